/** Looks at a homeserver in containers: which they are, what runs in them, what would start them again. Changes nothing. */
import type { ContainedService } from "../../../contract/index.ts";
import type { Machine } from "../../machines/machine.ts";
import { allProcesses, type ProcessFacts } from "../../machines/procfs.ts";
import { MigrationError } from "../../run/errors.ts";
import type { RecordedContainer, StoppedContainers } from "../serviceControl.ts";
import { composeServiceOf, describeContainer, isStopped, type ContainerFacts } from "./containerFacts.ts";
import { allContainers, type EngineName } from "./engineCalls.ts";
import { containersAmong, type FoundContainers } from "./findContainers.ts";
import { isHeld } from "./hold.ts";

export interface ContainersLook extends FoundContainers {
    /** Of the whole machine. */
    readonly containers: readonly ContainerFacts[];
    readonly all: readonly ProcessFacts[];
}

export const engineOf = ({ engine }: ContainedService): EngineName => engine ?? "docker";

/** For messages: what the stack says. */
export function nameOf(service: ContainedService): string {
    return service.kind === "container"
        ? `container ${service.name}`
        : `${service.services.join(", ")} of the project ${service.project}`;
}

/**
 * The containers that a service names, that of the main process first.
 *
 * @throws MigrationError SM-E1470 for one that is not there, SM-E1477 for a main process with several
 */
export function namedContainers(
    service: ContainedService,
    all: readonly ContainerFacts[],
    machine: Pick<Machine, "name">,
): [ContainerFacts, ...ContainerFacts[]] {
    const of = (wanted: string): ContainerFacts[] =>
        all.filter((one) => {
            if (service.kind === "container") return one.name === wanted;
            const compose = composeServiceOf(one);
            return compose?.project === service.project && compose.service === wanted;
        });
    const [first = "", ...others] = service.kind === "container" ? [service.name] : service.services;
    const [main, ...more] = of(first);
    const missing = [...(main === undefined ? [first] : []), ...others.filter((name) => of(name).length === 0)];
    if (main === undefined || missing.length > 0)
        throw new MigrationError("SM-E1470", {
            where: `${nameOf(service)} on ${machine.name}`,
            found: `no container of ${missing.join(", ")}; there ${
                all.length === 0 ? "is none at all" : `are: ${all.map(({ name }) => name).join(", ")}`
            }`,
        });
    if (more.length > 0)
        throw new MigrationError("SM-E1477", {
            where: `${nameOf(service)} on ${machine.name}`,
            found: [main, ...more].map(describeContainer).join("\n"),
        });
    return [main, ...others.flatMap(of)];
}

/**
 * @param given  the configuration of the source, as the main container has it
 * @throws MigrationError SM-E1470, SM-E1471, SM-E1477; SM-E1472 for a container that is no homeserver's
 */
export async function lookAtContainers(
    machine: Machine,
    service: ContainedService,
    given: readonly string[],
): Promise<ContainersLook> {
    const containers = await allContainers(machine, engineOf(service));
    const [main, ...named] = namedContainers(service, containers, machine);
    // Looked at after the containers: what has started meanwhile is not missed.
    const processes = await allProcesses(machine);
    const found = containersAmong(main, named, given, { containers, processes });
    if (found.isStrange)
        throw new MigrationError("SM-E1472", {
            where: `${nameOf(service)} on ${machine.name}`,
            found: `${describeContainer(main)}: ${main.command.join(" ")}`,
            changed: "nothing",
        });
    return { ...found, containers, all: processes };
}

/**
 * Of a container that is held, where nobody remembers how it ran before: it ran, and came back after a reboot, as Synapse's own examples have it. A
 * homeserver that does not come back would be noticed too late.
 */
const asHeld = { active: true, restart: "unless-stopped", pidsLimit: 0 } as const;

/** How it runs now; what was kept of an earlier look is more than this, where a container is held already. */
export function recordOf({ main, workers, configFiles }: ContainersLook): StoppedContainers {
    const recorded = (container: ContainerFacts, part: RecordedContainer["part"]): RecordedContainer => {
        const compose = composeServiceOf(container);
        return {
            id: container.id,
            name: container.name,
            part,
            ...(compose === undefined ? {} : { composeService: compose }),
            ...(isHeld(container)
                ? asHeld
                : { active: !isStopped(container), restart: container.restart, pidsLimit: container.pidsLimit }),
        };
    };
    return {
        kind: "containers",
        containers: [recorded(main, "main"), ...workers.map((one) => recorded(one, "worker"))],
        configFiles: [...configFiles],
        ports: [...new Set([main, ...workers].flatMap(({ publishedPorts }) => publishedPorts))].sort((a, b) => a - b),
    };
}

/** What was kept counts: what has come since then is added. */
export function merged(before: StoppedContainers | undefined, now: StoppedContainers): StoppedContainers {
    if (before === undefined) return now;
    const known = before.containers.map(({ id }) => id);
    const all = [...before.containers, ...now.containers.filter(({ id }) => !known.includes(id))];
    return {
        kind: "containers",
        containers: [...all.filter(({ part }) => part === "main"), ...all.filter(({ part }) => part !== "main")],
        configFiles: [...new Set([...before.configFiles, ...now.configFiles])],
        ports: [...new Set([...before.ports, ...now.ports])],
    };
}
