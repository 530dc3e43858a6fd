/** Everything on a machine whose command line is Synapse's: processes, units that do not run, containers that do not run. */
import { join } from "node:path";
import type { Machine } from "../machines/machine.ts";
import { orElse } from "../machines/procText.ts";
import { readEnvironment, type ProcessFacts } from "../machines/procfs.ts";
import { keepsWhatItStarts } from "../services/keeper.ts";
import { configFiles, looksLikeSynapse } from "../services/synapseProcess.ts";
import { isDown, type UnitFacts } from "../services/systemd/unitFacts.ts";
import { onMachine, synapseIn, type Container } from "./containers.ts";
import { containerOf, ofProcess, type Ground } from "./rooted.ts";
import { isSynapse, type Sighting } from "./sighting.ts";

/** Where a start script of one's own may say it, when the command line does not. */
const configVariables: ReadonlySet<string> = new Set(["SYNAPSE_CONFIG_PATH"]);

export async function sightingsAmong(
    machine: Machine,
    processes: readonly ProcessFacts[],
    ground: Ground,
): Promise<Sighting[]> {
    return Promise.all(
        processes
            .filter(({ argv }) => isSynapse(argv))
            .map(async (found): Promise<Sighting> => {
                const { pid, uid, gid, argv, workingDirectory, keeping } = found;
                const container = await containerOf(machine, found, ground);
                const unit = keeping.unit !== undefined && keepsWhatItStarts(keeping.unit) ? keeping.unit : undefined;
                const named = configFiles(found);
                const files = named.length > 0 ? named : await configuredByEnvironment(machine, pid);
                const at = container === undefined ? (path: string) => path : ofProcess(pid);
                return {
                    ...{ argv, running: true, pid, uid, gid, workingDirectory, container },
                    ...(container === undefined ? { unit, userUnit: keeping.userUnit } : {}),
                    configFiles: files,
                    configKeys: await keysOf(machine, files, at, container ?? ""),
                };
            }),
    );
}

async function configuredByEnvironment(machine: Machine, pid: number): Promise<string[]> {
    const { values } = await readEnvironment(machine, pid, configVariables);
    return Object.values(values).filter((path) => path.startsWith("/"));
}

/** Device and inode of each file; where it may not be looked at, its path and in which container. */
async function keysOf(
    { files }: Machine,
    paths: readonly string[],
    at: (path: string) => string | undefined,
    where: string,
): Promise<string[]> {
    return Promise.all(
        paths.map(async (path) => {
            const place = at(path);
            const facts = place === undefined ? undefined : await orElse(files.stat(place), undefined);
            return facts?.identity ?? join(where, path);
        }),
    );
}

/** Units that would start Synapse, and do not run. */
export async function idleUnits(machine: Machine, units: readonly UnitFacts[]): Promise<Sighting[]> {
    return Promise.all(
        units
            .filter((unit) => isDown(unit) && ["loaded", "masked"].includes(unit.loadState))
            .filter(({ words }) => looksLikeSynapse(words))
            .map(async ({ name, words }) => {
                const files = configFiles({ argv: words, workingDirectory: "/" });
                const configKeys = await keysOf(machine, files, (path) => path, "");
                return { argv: words, running: false, unit: name, configFiles: files, configKeys };
            }),
    );
}

/** Containers that would start Synapse, and do not run. */
export async function idleContainers(machine: Machine, containers: readonly Container[]): Promise<Sighting[]> {
    const found = await Promise.all(
        containers.map(async (one): Promise<Sighting[]> => {
            const synapse = one.facts.running ? undefined : synapseIn(one);
            if (synapse === undefined) return [];
            const { argv, configFiles: files } = synapse;
            const configKeys = await keysOf(machine, files, (path) => onMachine(one, path), one.facts.id);
            return [{ argv, running: false, container: one.facts.id, configFiles: files, configKeys }];
        }),
    );
    return found.flat();
}
