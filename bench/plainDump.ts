/**
 * How fast a plain, compressed, encrypted dump gets into a database: by `gpg -d | gunzip | psql`, as people do it today, and by the loader.
 *
 * `node --import tsx bench/plainDump.ts [megabytes] [rounds]` makes a server of its own with a database of Synapse's schema, runs both in
 * turns, prints medians, and removes everything. See bench/README.md.
 */
import { execa } from "execa";
import { rm, stat, writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { join } from "node:path";
import { openLayers } from "../steps/bundle/open.ts";
import { withClient } from "../steps/postgres/connection.ts";
import { tableLineDigests } from "../steps/postgres/plainDump/lineDigest.ts";
import { loadPlainDump } from "../steps/postgres/plainDump/load.ts";
import { makeRehearsalDirectory, removeRehearsalDirectory } from "../rehearsal/directory.ts";
import { SourceCluster } from "../rehearsal/source/cluster.ts";
import { synapseDump } from "../rehearsal/source/synapseDump.ts";
import { ensureToolchain } from "../toolchain/toolchain.ts";
import { fillStatements } from "./plainDump/fill.ts";
import { median, report, type Measured } from "./plainDump/report.ts";

const passphrase = "a passphrase of the bench";
const jobs = 2;
const programSeconds = 3600;

const [megabytes = 300, rounds = 3] = process.argv.slice(2).map(Number);

interface Bench {
    readonly directory: string;
    readonly programs: string;
    readonly cluster: SourceCluster;
    /** Passphrase and passwords, for programs. */
    readonly passphraseFile: string;
    readonly environment: Record<string, string>;
    readonly dump: string;
}

const { postgres } = await ensureToolchain({ postgres: true }, () => undefined);
if (postgres === undefined) throw new Error("the toolchain has no PostgreSQL");
const directory = makeRehearsalDirectory();
try {
    const cluster = await SourceCluster.start({
        directory: join(directory, "postgresql"),
        programs: postgres.directory,
    });
    const passphraseFile = join(directory, "passphrase");
    const passwords = join(directory, "passwords");
    await writeFile(passphraseFile, passphrase, { mode: 0o600 });
    await writeFile(passwords, `*:*:*:*:${cluster.synapse.password}\n`, { mode: 0o600 });
    const bench: Bench = {
        ...{ directory, programs: postgres.directory, cluster, passphraseFile },
        environment: { PATH: process.env["PATH"] ?? "", PGPASSFILE: passwords, GNUPGHOME: directory, LANG: "C.UTF-8" },
        dump: join(directory, "dump.sql.gz.gpg"),
    };
    const plainBytes = await makeDump(bench);
    const measured: Record<"psql" | "loader", Measured[]> = { psql: [], loader: [] };
    let checkSeconds = 0;
    for (let round = 1; round <= rounds; round += 1) {
        process.stderr.write(`round ${round} of ${rounds}\n`);
        measured.psql.push(await inDatabase(bench, () => restoreWithPsql(bench)));
        measured.loader.push(
            await inDatabase(bench, async () => {
                const loaded = await restoreWithLoader(bench);
                checkSeconds = loaded.checkSeconds;
                return loaded;
            }),
        );
    }
    const { size } = await stat(bench.dump);
    report({
        machine: { cores: cpus().length, model: cpus()[0]?.model ?? "" },
        ...{ plainBytes, dumpBytes: size, jobs, rounds, measured, checkSeconds },
        ratio:
            median(measured.psql.map(({ seconds }) => seconds)) / median(measured.loader.map(({ seconds }) => seconds)),
    });
} finally {
    await removeRehearsalDirectory(directory);
}

/** Fills the source, dumps it as people do, and leaves only the dump. */
async function makeDump(bench: Bench): Promise<number> {
    const { cluster } = bench;
    const plain = join(bench.directory, "dump.sql");
    process.stderr.write("filling the source\n");
    const target = ["-h", "127.0.0.1", "-p", String(cluster.synapse.port), "-U", "synapse", "-d", "synapse"];
    await program(bench, "pg_restore", ["--no-owner", "--no-acl", ...target, await synapseDump("rehearsal.test")]);
    await withClient(cluster.synapse, { step: "bench", statementSeconds: 0 }, async (client) => {
        for (const statement of fillStatements(megabytes)) await client.query(statement);
    });
    await program(bench, "pg_dump", [...target, "-f", plain]);
    const { size } = await stat(plain);
    await shell(
        bench,
        'gzip -c "$PLAIN" | gpg --batch --yes --quiet --pinentry-mode loopback --passphrase-file "$KEY" -c -o "$DUMP"',
        {
            PLAIN: plain,
        },
    );
    await rm(plain);
    await administer(bench, "DROP DATABASE synapse WITH (FORCE)");
    return size;
}

async function inDatabase(bench: Bench, work: () => Promise<Measured>): Promise<Measured> {
    await administer(
        bench,
        "CREATE DATABASE synapse OWNER synapse TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'",
    );
    try {
        await administer(bench, "CHECKPOINT");
        return await work();
    } finally {
        await administer(bench, "DROP DATABASE synapse WITH (FORCE)");
    }
}

async function administer({ cluster }: Bench, statement: string): Promise<void> {
    await withClient(
        { ...cluster.administration, name: "postgres" },
        { step: "bench", statementSeconds: 0 },
        (client) => client.query(statement),
    );
}

async function restoreWithPsql(bench: Bench): Promise<Measured> {
    const began = performance.now();
    await shell(
        bench,
        `gpg --batch --quiet --pinentry-mode loopback --passphrase-file "$KEY" -d "$DUMP" | gunzip |
            "$PROGRAMS/psql" -X -q -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$PORT" -U synapse -d synapse`,
    );
    return { seconds: (performance.now() - began) / 1000 };
}

async function restoreWithLoader(bench: Bench): Promise<Measured & { checkSeconds: number }> {
    const began = performance.now();
    const { stream, finished } = openLayers([bench.dump], { passphrase, workDirectory: bench.directory });
    let peakBytes = 0;
    const content = await loadPlainDump({
        dump: stream,
        address: bench.cluster.synapse,
        jobs,
        // psql collects no statistics either.
        analyze: false,
        onProgress: () => (peakBytes = Math.max(peakBytes, process.memoryUsage.rss())),
    });
    await finished;
    const seconds = (performance.now() - began) / 1000;
    const checking = performance.now();
    const found = await tableLineDigests(bench.cluster.synapse, content.tables, { jobs });
    const equal = content.tables.every(({ digest }, index) => found[index]?.digest === digest);
    if (!equal) throw new Error("the loaded database is not the dump");
    return { seconds, peakBytes, checkSeconds: (performance.now() - checking) / 1000 };
}

async function program(bench: Bench, name: string, args: readonly string[]): Promise<void> {
    await execa(join(bench.programs, name), args, {
        env: bench.environment,
        extendEnv: false,
        timeout: programSeconds * 1000,
    });
}

/** The one place with a shell: its pipe is what is measured. */
async function shell(bench: Bench, script: string, environment: Record<string, string> = {}): Promise<void> {
    await execa("bash", ["-c", `set -eo pipefail; ${script}`], {
        env: {
            ...bench.environment,
            ...{ KEY: bench.passphraseFile, DUMP: bench.dump, PROGRAMS: bench.programs },
            ...{ PORT: String(bench.cluster.synapse.port), ...environment },
        },
        extendEnv: false,
        timeout: programSeconds * 1000,
    });
}
