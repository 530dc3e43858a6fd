/** A process, unit or container whose command line is Synapse's, and which of them are of one homeserver. Pure. */
import { basename } from "node:path";
import { identifyingFiles } from "../services/systemd/findServices.ts";
import { looksLikeSynapse } from "../services/synapseProcess.ts";

export interface Sighting {
    readonly argv: readonly string[];
    /** Whether it runs now. */
    readonly running: boolean;
    readonly pid?: number | undefined;
    readonly uid?: number | undefined;
    readonly gid?: number | undefined;
    readonly workingDirectory?: string | undefined;
    /** Who keeps it. */
    readonly unit?: string | undefined;
    readonly userUnit?: string | undefined;
    readonly container?: string | undefined;
    /** Its configuration, as it sees it. */
    readonly configFiles: readonly string[];
    /** The same, told apart on the whole machine: two containers have another `/data/homeserver.yaml` each, or the same. */
    readonly configKeys: readonly string[];
}

/** The sightings of one homeserver. */
export interface SightedHomeserver {
    /** The main process; the one that runs, where there are several. Absent where only workers are seen. */
    readonly main: Sighting | undefined;
    /** Further ones with the same configuration: a unit that does not run beside a process that was started by hand. */
    readonly otherMains: readonly Sighting[];
    readonly workers: readonly Sighting[];
}

const interpreter = /^\.?(python|pypy)[\d.]*(-wrapped)?$/;
const script = /^\.?synapse_(homeserver|worker|generic_worker)(-wrapped)?$/;

/** Whether a process is one of Synapse's, and none that has started one and waits for it: `sudo`, `docker run`, a shell. */
export function isSynapse(argv: readonly string[]): boolean {
    const program = basename(argv[0] ?? "");
    return looksLikeSynapse(argv) && (interpreter.test(program) || script.test(program));
}

/** The part of Synapse that a command line starts: `homeserver`, `generic_worker`. */
export function appOf(argv: readonly string[]): string | undefined {
    for (const [index, word] of argv.entries()) {
        const module = argv[index - 1] === "-m" ? /^synapse\.app\.([a-z_]+)$/.exec(word)?.[1] : undefined;
        const file = /\/synapse\/app\/([a-z_]+)\.py$/.exec(word)?.[1];
        const named = index < 2 ? script.exec(basename(word))?.[1] : undefined;
        const app = module ?? file ?? named;
        if (app !== undefined) return app === "worker" ? "generic_worker" : app;
    }
    return undefined;
}

/** The workers of one process that forks them are started by it as the main process is. */
const mainApps: ReadonlySet<string> = new Set(["homeserver", "complement_fork_starter"]);
export const isMain = ({ argv }: Pick<Sighting, "argv">): boolean => mainApps.has(appOf(argv) ?? "");

/** Groups what belongs together, in the order in which main processes are given; those that run come first. */
export function homeserversAmong(sightings: readonly Sighting[]): SightedHomeserver[] {
    const ordered = [...sightings].sort((a, b) => Number(b.running) - Number(a.running));
    const groups: { mains: Sighting[]; workers: Sighting[] }[] = [];
    for (const main of ordered.filter(isMain)) {
        const same = groups.find(({ mains }) => mains.some((one) => isSame(one, main)));
        if (same === undefined) groups.push({ mains: [main], workers: [] });
        else same.mains.push(main);
    }
    const keysOf = ({ mains }: { mains: Sighting[] }): string[] => mains.flatMap(({ configKeys }) => configKeys);
    const own = new Map(
        groups.map((group) => {
            const others = groups.filter((one) => one !== group).map(keysOf);
            return [group, new Set(identifyingFiles(keysOf(group), others))] as const;
        }),
    );
    for (const worker of ordered.filter((one) => !isMain(one))) {
        const group =
            groups.find((one) => worker.configKeys.some((key) => own.get(one)?.has(key) === true)) ??
            groups.find(({ mains }) => worker.container !== undefined && mains[0]?.container === worker.container) ??
            groups.find(({ mains, workers }) => mains.length === 0 && workers.some((one) => isRelated(one, worker)));
        if (group === undefined) groups.push({ mains: [], workers: [worker] });
        else group.workers.push(worker);
    }
    return groups.map(({ mains: [main, ...otherMains], workers }) => ({ main, otherMains, workers }));
}

/** One that has nothing but what the other has is the same, started in another way. */
function isSame(a: Sighting, b: Sighting): boolean {
    const within = (some: Sighting, all: Sighting): boolean =>
        some.configKeys.length > 0 && some.configKeys.every((key) => all.configKeys.includes(key));
    return within(a, b) || within(b, a);
}

const isRelated = (a: Sighting, b: Sighting): boolean => a.configKeys.some((key) => b.configKeys.includes(key));
