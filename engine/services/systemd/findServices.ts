/** Which of systemd's services are a homeserver's: by what their processes were started with, not by their names. */
import type { ProcessFacts } from "../../machines/procfs.ts";
import { keepsWhatItStarts } from "../keeper.ts";
import { configFiles, looksLikeSynapse, usingConfiguration } from "../synapseProcess.ts";
import { isDown, type UnitFacts } from "./unitFacts.ts";

export interface FoundServices {
    readonly main: readonly string[];
    readonly worker: readonly string[];
    /** Live processes of the homeserver, main ones first. */
    readonly processes: readonly ProcessFacts[];
    /** Those of them that no unit runs which could be stopped for good: started by hand, by a user's systemd, in a container. */
    readonly outside: readonly ProcessFacts[];
    /** Named units that run something else than Synapse. */
    readonly strange: readonly string[];
    /** Files and directories that the homeserver is known by. */
    readonly configFiles: readonly string[];
}

/** Whether a command line is that of the main process of a homeserver, and of no worker. */
const isMainLine = (argv: readonly string[]): boolean =>
    argv.some((word) => /(^|[./_])homeserver(\.py|-wrapped)?$/.test(word)) && looksLikeSynapse(argv);

const isMain = ({ argv }: ProcessFacts): boolean => isMainLine(argv);
const filesOfUnit = ({ words }: UnitFacts): string[] =>
    looksLikeSynapse(words) ? configFiles({ argv: words, workingDirectory: "/" }) : [];

const unitOf = ({ keeping }: ProcessFacts): string | undefined =>
    keeping.userUnit === undefined && keeping.container === undefined ? keeping.unit : undefined;

/**
 * Pure.
 *
 * @param named  the units of the configuration, as systemd knows them, and those that an earlier attempt has held
 * @param given  the configuration of the source
 * @param all  processes of the machine
 * @param loaded  all services that systemd knows of: one that does not run now may do so after the next boot
 */
export function servicesAmong(
    named: readonly UnitFacts[],
    given: readonly string[],
    all: readonly ProcessFacts[],
    loaded: readonly UnitFacts[],
): FoundServices {
    const names = named.map(({ name }) => name);
    const inNamed = all.filter((one) => names.includes(unitOf(one) ?? ""));
    const ours = [
        ...given,
        ...inNamed.filter(({ argv }) => looksLikeSynapse(argv)).flatMap(configFiles),
        ...named.flatMap(filesOfUnit),
    ];
    const unnamed = loaded.filter(({ name }) => !names.includes(name));
    const identifying = identifyingFiles(ours, [
        ...all.filter((one) => isMain(one) && !inNamed.includes(one)).map(configFiles),
        ...unnamed.filter(({ words }) => isMainLine(words)).map(filesOfUnit),
    ]);
    const sharing = new Set([
        ...usingConfiguration(identifying, all),
        ...inNamed.filter(({ argv }) => looksLikeSynapse(argv)),
    ]);
    const units = [...new Set([...sharing].flatMap((one) => unitOf(one) ?? []))];
    // A second main process may be that of another homeserver: who administers both has to say so.
    const hasMain = (unit: string): boolean => [...sharing].some((one) => isMain(one) && unitOf(one) === unit);
    const found = units.filter((unit) => names.includes(unit) || (!hasMain(unit) && isItsOwn(unit, sharing, all)));
    const idle = unnamed
        .filter((unit) => isDown(unit) && filesOfUnit(unit).some((file) => identifying.includes(file)))
        .map(({ name }) => name);
    const services = [...new Set([...names, ...[...found, ...idle].sort()])];
    const isInside = (one: ProcessFacts): boolean => services.includes(unitOf(one) ?? "");
    const running = services.filter(hasMain);
    const main = running.length > 0 ? running : services.slice(0, 1);
    const processes = [...sharing].sort((a, b) => Number(isMain(b)) - Number(isMain(a)) || a.pid - b.pid);
    return {
        main,
        worker: services.filter((unit) => !main.includes(unit)),
        processes: processes.filter(isInside),
        outside: processes.filter((one) => !isInside(one)),
        strange: names.filter((unit) => runsSomethingElse(unit, inNamed)),
        configFiles: identifying,
    };
}

/**
 * The files that tell this homeserver's processes from those of another one on the same machine, which may share files with it.
 *
 * @param ours  that this homeserver is started with
 * @param theirs  that each other main process is started with
 */
export function identifyingFiles(ours: readonly string[], theirs: readonly (readonly string[])[]): string[] {
    // One that has nothing but ours is no other homeserver: it is this one, outside of its unit.
    const others = new Set(theirs.filter((files) => files.some((file) => !ours.includes(file))).flat());
    const own = [...new Set(ours)].filter((file) => !others.has(file));
    return own.length > 0 ? own : [...new Set(ours)];
}

/** Nothing runs in it but these processes, those below them, and those that have started them. */
function isItsOwn(unit: string, sharing: ReadonlySet<ProcessFacts>, all: readonly ProcessFacts[]): boolean {
    if (!keepsWhatItStarts(unit)) return false;
    const byPid = new Map(all.map((one) => [one.pid, one]));
    const above = (one: ProcessFacts | undefined): ProcessFacts[] =>
        one === undefined || one.pid <= 1 ? [] : [one, ...above(byPid.get(one.parent))];
    const starters = new Set([...sharing].flatMap(above));
    return all
        .filter((one) => unitOf(one) === unit)
        .every((one) => starters.has(one) || above(one).some((parent) => sharing.has(parent)));
}

/** A client that waits for a container's end runs what is in the container. */
const containerClients = /(^|\/)(docker|podman|nerdctl|docker-compose)$/;

function runsSomethingElse(unit: string, inNamed: readonly ProcessFacts[]): boolean {
    const inIt = inNamed.filter((one) => unitOf(one) === unit);
    return (
        inIt.length > 0 &&
        !inIt.some(({ argv }) => looksLikeSynapse(argv) || argv.slice(0, 2).some((word) => containerClients.test(word)))
    );
}
