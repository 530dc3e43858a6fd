/** Which containers are a homeserver's: the named ones, and those whose processes share its configuration on the machine's own disk. Pure. */
import { hostPath } from "../../machines/pathMap.ts";
import type { ProcessFacts } from "../../machines/procfs.ts";
import { identifyingFiles, isMain } from "../systemd/findServices.ts";
import { looksLikeSynapse } from "../synapseProcess.ts";
import { composeServiceOf, isStopped, type ContainerFacts } from "./containerFacts.ts";
import { configFilesOnMachine, containerPaths } from "./containerPaths.ts";

export interface FoundContainers {
    readonly main: ContainerFacts;
    readonly workers: readonly ContainerFacts[];
    /** Live processes of the homeserver in these, main ones first. */
    readonly processes: readonly ProcessFacts[];
    /** Processes of it that none of these containers has: on the machine itself, or another main process with the same configuration. */
    readonly outside: readonly ProcessFacts[];
    /** Files and directories that the homeserver is known by, as the machine has them. */
    readonly configFiles: readonly string[];
    /** It runs, and nothing in it looks like Synapse. */
    readonly isStrange: boolean;
}

/**
 * @param main  the container that the configuration names
 * @param named  others that it names
 * @param given  the configuration of the source, as the main container has it
 */
export function containersAmong(
    main: ContainerFacts,
    named: readonly ContainerFacts[],
    given: readonly string[],
    {
        containers,
        processes,
    }: { readonly containers: readonly ContainerFacts[]; readonly processes: readonly ProcessFacts[] },
): FoundContainers {
    const homeservers = processes.filter(({ argv }) => looksLikeSynapse(argv));
    const containerOf = ({ keeping }: ProcessFacts): ContainerFacts | undefined =>
        containers.find(({ id }) => id === keeping.container);
    const files = new Map(homeservers.map((one) => [one, configFilesOnMachine(one, containerOf(one))]));
    const first = [main, ...named.filter(({ id }) => id !== main.id)];
    const isNamed = (one: ProcessFacts): boolean => first.some(({ id }) => id === one.keeping.container);
    const paths = containerPaths(main);
    const ours = [
        ...given.map((file) => hostPath(file, paths)),
        ...homeservers.filter(isNamed).flatMap((one) => files.get(one) ?? []),
    ];
    const identifying = identifyingFiles(
        ours,
        homeservers.filter((one) => isMain(one) && !isNamed(one)).map((one) => files.get(one) ?? []),
    );
    const sharing = homeservers.filter(
        (one) => isNamed(one) || files.get(one)?.some((file) => identifying.includes(file)),
    );
    // A second main process may be that of another homeserver: who administers both has to say so.
    const workers = sharing.filter((one) => !isNamed(one) && !isMain(one)).flatMap((one) => containerOf(one) ?? []);
    const idle = containers.filter((one) => !first.includes(one) && isIdleWorker(one, main, identifying));
    const own = [...new Set([...first, ...workers, ...idle])];
    const isInside = (one: ProcessFacts): boolean => own.some(({ id }) => id === one.keeping.container);
    const sorted = [...sharing].sort((a, b) => Number(isMain(b)) - Number(isMain(a)) || a.pid - b.pid);
    return {
        main,
        workers: own.filter(({ id }) => id !== main.id),
        processes: sorted.filter(isInside),
        outside: sorted.filter((one) => !isInside(one)),
        configFiles: identifying,
        isStrange: main.status === "running" && !sharing.some(isNamed) && !saysSynapse(main),
    };
}

/** What does not run now may do so after the next boot, or the next `up`. */
function isIdleWorker(one: ContainerFacts, main: ContainerFacts, configuration: readonly string[]): boolean {
    if (!isStopped(one) || one.image !== main.image) return false;
    const isOnce = one.labels["com.docker.compose.oneoff"] !== undefined && composeServiceOf(one) === undefined;
    return (
        !isOnce &&
        one.mounts.some(
            ({ source }) =>
                source !== "" && configuration.some((file) => file === source || file.startsWith(`${source}/`)),
        )
    );
}

/** Before Synapse itself has begun, its container's own beginning runs. */
const saysSynapse = ({ command, labels, name }: ContainerFacts): boolean =>
    [...command, name, ...Object.values(labels)].some((word) => /synapse/i.test(word));
