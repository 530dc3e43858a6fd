/** Generated databases, kept as data directories of stopped servers: made once, copied for each use. */
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { runProgram } from "../../engine/machines/program.ts";
import { exists } from "../../engine/run/exists.ts";
import { lockFile } from "../../engine/run/fileLock.ts";
import { synapseDump } from "../../rehearsal/source/synapseDump.ts";
import { reachableCacheDirectory, thisMachine } from "../../toolchain/machine.ts";
import type { PostgresPrograms } from "../../toolchain/postgres.ts";
import { synapseVersion } from "../../toolchain/versions.ts";
import { giveToServiceUser, makeServiceDirectory } from "../../rehearsal/directory.ts";
import { BenchServer } from "../server.ts";
import { generate } from "./generate.ts";
import { generatorVersion } from "./shape.ts";

/** Name of the database in a generated cluster. */
export const generatedDatabase = "synapse";

const copySeconds = 600;
/** Another bench may be generating the same. */
const lockSeconds = 3600;
/** Only for the time of generating: what is lost in a crash is made again. */
const fastSettings = {
    ...{ fsync: "off", synchronous_commit: "off", full_page_writes: "off", wal_level: "minimal", max_wal_senders: "0" },
    ...{ max_wal_size: "8GB", checkpoint_timeout: "1h", maintenance_work_mem: "1GB", autovacuum: "off" },
} as const;

/**
 * Data directory of a stopped server with the database of so many events. To be copied, not to be started.
 *
 * The name tells all that it depends on: Synapse's version, PostgreSQL's major, the generator's version, the size.
 */
async function generatedCluster(
    events: number,
    postgres: PostgresPrograms,
    say: (line: string) => void,
): Promise<string> {
    const cache = join(reachableCacheDirectory(thisMachine()), "bench");
    const name = `synapse-${synapseVersion}-postgresql-${Number.parseInt(postgres.version)}-v${generatorVersion}-${events}`;
    const path = join(cache, name);
    await mkdir(dirname(cache), { recursive: true, mode: 0o755 });
    makeServiceDirectory(cache);
    const lock = await lockFile(join(cache, `${name}.lock`), `a bench, process ${process.pid}`, lockSeconds);
    try {
        if (await exists(path)) return path;
        const partial = `${path}.partial`;
        await rm(partial, { recursive: true, force: true });
        await makeCluster(partial, events, postgres.directory, say);
        await rename(partial, path);
        return path;
    } finally {
        await lock.release();
    }
}

async function makeCluster(data: string, events: number, programs: string, say: (line: string) => void): Promise<void> {
    say("making a database of Synapse's for its schema, unless there is one");
    const schema = await synapseDump("rehearsal.test");
    await BenchServer.create(data, programs);
    const server = await BenchServer.start(data, programs, fastSettings);
    const directory = `${data}.work`;
    await mkdir(directory, { recursive: true, mode: 0o700 });
    try {
        await server.createDatabase(generatedDatabase);
        await generate({ address: server.address(generatedDatabase), programs, schema, directory, events, say });
    } finally {
        await server.stop();
        await rm(directory, { recursive: true, force: true });
    }
}

/**
 * Copies the cluster of so many events to a directory that does not exist yet; generates it first when there is none. Blocks are shared
 * where the file system can.
 */
export async function copyGenerated(
    data: string,
    events: number,
    postgres: PostgresPrograms,
    say: (line: string) => void,
): Promise<void> {
    const cluster = await generatedCluster(events, postgres, say);
    await runProgram("cp", ["--archive", "--reflink=auto", cluster, data], { timeoutSeconds: copySeconds });
    await writeFile(join(data, "postgresql.auto.conf"), "");
    giveToServiceUser(join(data, "postgresql.auto.conf"));
}
