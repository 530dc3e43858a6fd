/** A source's SQLite file: fenced where nobody has it open, and neither it nor what SQLite keeps beside it changes. */
import { setTimeout as delay } from "node:timers/promises";
import type { RunReference, SelfHostedSource } from "../../../contract/index.ts";
import { holdersOf } from "../../machines/fileHolders.ts";
import type { Machine } from "../../machines/machine.ts";
import { placeOn } from "../../machines/placeOn.ts";
import { MigrationError } from "../../run/errors.ts";
import { until } from "../../run/until.ts";
import { sourceService } from "../../services/service.ts";
import { describe } from "../../services/synapseProcess.ts";
import type { HomeserverConfig } from "../../synapse/config/homeserverConfig.ts";
import { heldListeners, type Obstacle } from "../obstacles.ts";
import type { FenceToken, FileFootprint } from "../fenceToken.ts";
import { refuseOthersFence, type RecordPlace } from "../sourceRecord.ts";
import { throwObstacles } from "../lookBeforeFence.ts";
import { unnamedHomeserver } from "../unnamedHomeserver.ts";
import { stillLive } from "../writingSessions.ts";
import type { FenceableDatabase, ProveOptions, StandsStill } from "./fenceableDatabase.ts";
import { recordBesideFile } from "./recordBesideFile.ts";

/** What SQLite writes beside a database: its write-ahead log, or the journal of a transaction. The index of the log (`-shm`) holds no data. */
const sideFiles = ["-wal", "-journal"] as const;
/** A homeserver that has just ended has closed its file within this time; a backup that has just read it is done with it. */
const closedSeconds = 10;
const shown = 8;

interface OpenedFile {
    readonly machine: Machine;
    /** Without links. */
    readonly path: string;
}

/**
 * While it is fenced nobody may write to the file: a homeserver that is started nevertheless, in a container that is made anew for one, ends at
 * its first row. Root's own may write all the same, and is found by what it holds and what it changes.
 */
export function sqliteDatabase(source: SelfHostedSource, config: HomeserverConfig): FenceableDatabase {
    const file = (): Promise<OpenedFile> => sqliteFile(config);
    const placeOf = ({ machine, path }: OpenedFile): RecordPlace => recordBesideFile(machine, path);
    return {
        kind: "sqlite",
        record: async (_step, work) => work(placeOf(await file())),
        readOnly: async () => (await modeOf(await file())).toString(8),
        refuseObstacles: async (signal) => refuseObstacles(source, await file(), signal),
        proveStill: async (options) => proveStill(await file(), options),
        async giveBack(before) {
            if (before !== null) await openAgain(await file(), Number.parseInt(before, 8));
        },
        refuseUnlessStill: async (token, run) => refuseUnlessStill(await file(), token, run, placeOf(await file())),
    };
}

/**
 * The file as its machine has it.
 *
 * @throws MigrationError SM-E0970 where there is none, or the rows are in memory
 */
export async function sqliteFile({
    machine,
    database,
}: Pick<HomeserverConfig, "machine" | "database">): Promise<OpenedFile> {
    if (database.kind !== "sqlite") throw new Error("not a database of SQLite");
    const path = await machine.files.realpath(database.path);
    const facts = path === undefined ? undefined : await machine.files.stat(path);
    if (path !== undefined && facts?.kind === "file") return { machine, path };
    throw new MigrationError("SM-E0970", {
        where: placeOn(machine, database.path),
        found: facts === undefined ? "no file" : `a ${facts.kind}`,
        expected: `the file that ${database.where} names`,
        changed: "nothing",
    });
}

/** Of owner, group and others. */
const writable = 0o222;
const chmodSeconds = 30;

async function modeOf({ machine, path }: OpenedFile): Promise<number> {
    const facts = await machine.files.stat(path);
    if (facts === undefined) throw new Error(`${path} is gone`);
    return facts.mode;
}

async function changeMode({ machine, path }: OpenedFile, mode: number): Promise<void> {
    await machine.run("chmod", [mode.toString(8), path], { timeoutSeconds: chmodSeconds });
}

/** With what was made beside it meanwhile: SQLite gives that the mode of the database. */
async function openAgain(file: OpenedFile, mode: number): Promise<void> {
    const { machine, path } = file;
    for (const side of [...sideFiles, "-shm"].map((suffix) => ({ machine, path: `${path}${suffix}` })))
        if ((await machine.files.stat(side.path)) !== undefined) await changeMode(side, mode);
    await changeMode(file, mode);
}

/** SM-E0723: its mode is its owner's to change. */
export async function rightsLacking({ machine, path }: OpenedFile): Promise<Obstacle[]> {
    const [facts, userId] = await Promise.all([machine.files.stat(path), machine.userId()]);
    if (userId === 0 || facts?.uid === userId) return [];
    const found = `${path} belongs to user ${facts?.uid ?? "unknown"}; we are user ${userId}, and cannot close it to writers`;
    return [
        {
            code: "SM-E0723",
            found,
            fix: "work there as root: `become: sudo` of source.machine, or run this program as root",
        },
    ];
}

/** Processes that have the database or one of its side files open. */
async function holders({ machine, path }: OpenedFile) {
    const all = await Promise.all(["", ...sideFiles, "-shm"].map((suffix) => machine.files.stat(`${path}${suffix}`)));
    return holdersOf(machine, new Set(all.flatMap((facts) => (facts === undefined ? [] : [facts.identity]))));
}

/** As it and its side files stand. */
async function footprintOf({ machine, path }: OpenedFile): Promise<FileFootprint> {
    const files: Record<string, FileFootprint["files"][string]> = {};
    for (const suffix of ["", ...sideFiles]) {
        const facts = await machine.files.stat(`${path}${suffix}`);
        // An empty one is what SQLite makes when it looks at the database, and holds nothing.
        const isEmpty = suffix !== "" && facts?.size === 0;
        if (facts !== undefined && !isEmpty)
            files[suffix] = { identity: facts.identity, bytes: facts.size, mtime: facts.mtime };
    }
    return { path, files };
}

/** What differs, a line each. */
function footprintMoved(before: FileFootprint, now: FileFootprint): string[] {
    const suffixes = [...new Set([...Object.keys(before.files), ...Object.keys(now.files)])];
    const told = (one: FileFootprint["files"][string] | undefined): string =>
        one === undefined ? "not there" : `${one.bytes} bytes of ${one.mtime}, ${one.identity}`;
    return [
        ...(before.path === now.path ? [] : [`${before.path} is ${now.path} now`]),
        ...suffixes
            .map((suffix) => ({ suffix, was: told(before.files[suffix]), is: told(now.files[suffix]) }))
            .filter(({ was, is }) => was !== is)
            .map(({ suffix, was, is }) => `${now.path}${suffix}: ${was}, now ${is}`),
    ];
}

/** Processes that have it open and are none of the homeserver's, a line each. */
export async function openersOf(source: SelfHostedSource, file: OpenedFile): Promise<string[]> {
    const own = new Set((await sourceService(source).status()).processes.map(({ pid }) => pid));
    const others = (await holders(file)).filter(({ pid }) => !own.has(pid));
    return others.slice(0, shown).map(describe);
}

async function refuseObstacles(source: SelfHostedSource, file: OpenedFile, signal: AbortSignal): Promise<void> {
    let found: string[] = [];
    // A person's look at it, or a backup, is over soon.
    await until(async () => (found = await openersOf(source, file)).length === 0 || undefined, {
        seconds: closedSeconds / 2,
        everyMilliseconds: 200,
        signal,
    });
    const open: Obstacle[] = found.length === 0 ? [] : [{ code: "SM-E0974", found: found.join("\n") }];
    const obstacles = [
        ...open,
        ...(await rightsLacking(file)),
        ...(await unnamedHomeserver(source)),
        ...(await heldListeners(source)),
    ];
    throwObstacles(obstacles, placeOn(file.machine, file.path));
}

async function proveStill(file: OpenedFile, { seconds, progress, signal }: ProveOptions): Promise<StandsStill> {
    await progress.during("waiting until nobody has its database open", async () => {
        let left = await holders(file);
        await until(
            async () => (left = await holders(file)).length === 0 || undefined,
            { seconds: closedSeconds, everyMilliseconds: 200, signal },
            () => stillOpen(file, left),
        );
    });
    await changeMode(file, (await modeOf(file)) & ~writable);
    const before = await footprintOf(file);
    await delay(seconds * 1000, undefined, { signal });
    const moved = footprintMoved(before, await footprintOf(file));
    if (moved.length > 0) throw stillLive(`the database still changes\n${moved.join("\n")}`);
    const userId = await file.machine.userId();
    const seen = userId === 0 ? "" : ` that user ${userId} may look into`;
    return {
        stands: { file: before },
        sessionsEnded: 0,
        checks: [
            {
                id: "file-closed",
                state: "passed",
                evidence: `no process of ${file.machine.name}${seen} has ${file.path} open, or what SQLite keeps beside it`,
            },
            {
                id: "file-still",
                state: "passed",
                evidence: `it, its write-ahead log and its journal stood still for ${seconds} s, and nobody may write to it`,
            },
        ],
    };
}

async function refuseUnlessStill(
    file: OpenedFile,
    token: FenceToken,
    run: RunReference,
    place: RecordPlace,
): Promise<void> {
    if (token.file === undefined) throw stillLive("it was fenced as a database of PostgreSQL, and is an SQLite file");
    await refuseOthersFence(place, run);
    const open = await holders(file);
    if (open.length > 0) throw stillOpen(file, open);
    const moved = footprintMoved(token.file, await footprintOf(file));
    if (moved.length > 0) throw stillLive(`the source has been written to after it was fenced\n${moved.join("\n")}`);
}

function stillOpen(file: OpenedFile, open: Awaited<ReturnType<typeof holders>>): MigrationError {
    const lines = open.slice(0, shown).map(describe).join("\n");
    return stillLive(`${placeOn(file.machine, file.path)} is open in\n${lines}`);
}
