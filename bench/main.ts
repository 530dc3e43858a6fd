/** `npm run bench`: measures this project's ways and those that people use today, in turns, on a generated homeserver. See bench/README.md. */
import { mkdir, writeFile } from "node:fs/promises";
import { cpus, totalmem } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { measureSpeed } from "../engine/assess/calibration.ts";
import { queryOne, withClient } from "../engine/postgres/connection.ts";
import { makeRehearsalDirectory, removeRehearsalDirectory } from "../rehearsal/directory.ts";
import { newerPostgres } from "../toolchain/newerPostgres.ts";
import type { PostgresPrograms } from "../toolchain/postgres.ts";
import { ensureToolchain } from "../toolchain/toolchain.ts";
import { synapseVersion } from "../toolchain/versions.ts";
import { bundle, comparedBundle } from "./bundleDump.ts";
import { copyGenerated, generatedDatabase } from "./data/cache.ts";
import { measureDowntime, type Verify } from "./downtime/downtime.ts";
import { inDatabase, inTurns } from "./frame.ts";
import { measureLimits } from "./limits.ts";
import type { Bench } from "./methods/method.ts";
import { direct, load } from "./methods/ours.ts";
import { compressed, directory, encrypted, pgcopydb } from "./methods/programs.ts";
import { sshPort, sshSocket } from "./methods/throughSsh.ts";
import { measureMediaSsh } from "./mediaSsh/mediaSsh.ts";
import { readOptions, type BenchOptions } from "./options.ts";
import type { BenchResult, DowntimeRun, MediaSshResult, SizeResult } from "./results/results.ts";
import { describeResult } from "./results/tables.ts";
import { writeResult } from "./results/write.ts";
import { BenchServer } from "./server.ts";

const passphrase = "a passphrase of the bench";
const interruptions = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
const interrupted = 130;
const methods = [compressed, encrypted, bundle, comparedBundle, load, directory, pgcopydb, direct, sshSocket, sshPort];

const say = (line: string): void => void process.stderr.write(`[bench] ${line}\n`);
const [processor, cores] = [cpus()[0]?.model ?? "unknown", cpus().length];
const options = readOptions(process.argv.slice(2), cores);
/** All but this one move a database. */
const isMediaAlone = options.only.every((part) => part === "media-ssh");
const { postgres } = await ensureToolchain({ postgres: true, synapse: !isMediaAlone }, say);
if (postgres === undefined) throw new Error("the toolchain has no PostgreSQL");

/** Of the last size: it does not depend on it. */
let calibration: BenchResult["calibration"];
const sizes: SizeResult[] = [];
const mediaSsh = options.only.includes("media-ssh") ? await benchMedia(options) : undefined;
if (!isMediaAlone) for (const events of options.size) sizes.push(await benchSize(events, options, postgres));
const { jobs, rounds } = options;
const result: BenchResult = {
    ...{ format: 1, at: new Date().toISOString(), jobs, rounds, sizes },
    ...(calibration === undefined ? {} : { calibration }),
    ...(mediaSsh === undefined ? {} : { mediaSsh }),
    machine: { cores, model: processor, memoryBytes: totalmem() },
    versions: { PostgreSQL: postgres.version, Synapse: synapseVersion, "Node.js": process.versions.node },
};
process.stdout.write(`${describeResult(result)}\n`);
if (options.output !== undefined) for (const path of await writeResult(options.output, result)) say(`wrote ${path}`);

async function benchSize(
    events: number,
    { only, rounds, jobs, sameVersion }: BenchOptions,
    postgres: PostgresPrograms,
): Promise<SizeResult> {
    return inDirectory(async (work) => {
        const [from, to] = [join(work, "source"), join(work, "target")];
        await copyGenerated(from, events, postgres, say);
        await BenchServer.create(to, postgres.directory);
        const bench: Bench = {
            ...{ directory: work, programs: postgres.directory, jobs },
            source: await BenchServer.start(from, postgres.directory, { wal_level: "logical" }),
            target: await BenchServer.start(to, postgres.directory),
            ...(await secretsOf(work)),
        };
        say(`${events} events: ${rounds} rounds`);
        const measured = await inTurns(
            bench,
            methods.filter(({ id }) => only.some((part) => part === id)),
            rounds,
            say,
        );
        const limits = only.includes("limits")
            ? await inDatabase(bench, (database) => measureLimits(bench, database))
            : undefined;
        if (only.includes("calibration"))
            calibration = await inDatabase(bench, (database) => measureSpeed(bench.target.address(database), "bench"));
        const databaseBytes = await sizeOf(bench.source);
        await Promise.all([bench.source.stop(), bench.target.stop()]);
        const downtimes: Record<Verify, DowntimeRun[]> = { quick: [], strict: [] };
        for (let round = 1; round <= rounds; round += 1)
            for (const [verify, part] of [
                ["quick", "downtime"],
                ["strict", "downtime-strict"],
            ] as const) {
                if (!only.includes(part)) continue;
                const targetPrograms = sameVersion ? postgres.directory : await newerPostgres();
                const bench = { directory: work, events, jobs, postgres, targetPrograms, verify, say };
                const run = await measureDowntime(bench);
                downtimes[verify].push(run);
                say(`round ${round} of ${rounds}: ${part} ${run.seconds.toFixed(2)} s`);
            }
        return {
            ...{
                events,
                databaseBytes,
                methods: measured,
                downtime: downtimes.quick,
                strictDowntime: downtimes.strict,
            },
            ...(limits === undefined ? {} : { limits }),
        };
    });
}

async function benchMedia({ rounds, files }: BenchOptions): Promise<MediaSshResult> {
    return inDirectory((work) => measureMediaSsh(work, files, rounds, say));
}

/** For the bench's files; removed also when it is interrupted. */
async function inDirectory<T>(work: (directory: string) => Promise<T>): Promise<T> {
    const directory = makeRehearsalDirectory();
    const cleanUp = (signal: NodeJS.Signals): void => {
        say(`${signal}: cleaning up`);
        void removeRehearsalDirectory(directory).finally(() => process.exit(interrupted));
    };
    for (const signal of interruptions) process.once(signal, cleanUp);
    try {
        return await work(directory);
    } finally {
        for (const signal of interruptions) process.off(signal, cleanUp);
        await removeRehearsalDirectory(directory);
    }
}

/** Passwords for libpq's programs, and a home for gpg. */
async function secretsOf(work: string): Promise<Pick<Bench, "environment" | "passphraseFile">> {
    const [passwords, passphraseFile, home] = [join(work, "passwords"), join(work, "passphrase"), join(work, "gnupg")];
    await writeFile(passwords, `*:*:*:*:${BenchServer.password}\n`, { mode: 0o600 });
    await writeFile(passphraseFile, `${passphrase}\n`, { mode: 0o600 });
    await mkdir(home, { mode: 0o700 });
    return { environment: { PGPASSFILE: passwords, GNUPGHOME: home }, passphraseFile };
}

async function sizeOf(server: BenchServer): Promise<number> {
    const { bytes } = await withClient(server.address(generatedDatabase), { step: "bench" }, (client) =>
        queryOne(
            client,
            z.object({ bytes: z.coerce.number() }),
            "SELECT pg_database_size(current_database())::text AS bytes",
        ),
    );
    return bytes;
}
