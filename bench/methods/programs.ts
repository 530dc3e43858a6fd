/** What people run today: PostgreSQL's own programs, gzip, gpg, pgcopydb. */
import { mkdir, readdir, rm, stat } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { generatedDatabase } from "../data/cache.ts";
import { runPipeline, type Stage } from "../pipeline.ts";
import type { Address } from "../server.ts";
import { findOnPath } from "../../toolchain/findProgram.ts";
import { methodSeconds, type Bench, type Method } from "./method.ts";

const connection = ({ host, port, user, name }: Address): string[] => [
    "-h",
    host,
    "-p",
    String(port),
    "-U",
    user,
    "-d",
    name,
];

const pgDump = (bench: Bench, ...options: readonly string[]): Stage => ({
    program: join(bench.programs, "pg_dump"),
    args: [...options, ...connection(bench.source.address(generatedDatabase))],
});
const psql = (bench: Bench, database: string): Stage => ({
    program: join(bench.programs, "psql"),
    args: ["-X", "-q", "-v", "ON_ERROR_STOP=1", ...connection(bench.target.address(database))],
});
const gzip: Stage = { program: "gzip", args: ["-c"] };
const gunzip: Stage = { program: "gunzip", args: ["-c"] };
/** As people call it: with its defaults, AES256 and a compression of its own. */
const gpg = (bench: Bench, action: "-c" | "-d"): Stage => ({
    program: "gpg",
    args: ["--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase-file", bench.passphraseFile, action],
});

function pipeline(
    bench: Bench,
    stages: readonly [Stage, ...Stage[]],
    files: { from?: string; to?: string },
): Promise<number> {
    return runPipeline({ stages, ...files, environment: bench.environment, timeoutSeconds: methodSeconds });
}

/** Where {@link encryptedDump} puts it. */
const encryptedDumpFile = (bench: Bench): string => join(bench.directory, "database.sql.gz.gpg");

/** `pg_dump | gzip | gpg -c`. @returns path and seconds */
async function makeEncryptedDump(bench: Bench): Promise<{ file: string; seconds: number }> {
    const file = encryptedDumpFile(bench);
    return { file, seconds: await pipeline(bench, [pgDump(bench), gzip, gpg(bench, "-c")], { to: file }) };
}

/** The last one that was made; made now where there is none. */
export async function encryptedDump(bench: Bench): Promise<string> {
    const file = encryptedDumpFile(bench);
    return (await stat(file).catch(() => undefined)) === undefined ? (await makeEncryptedDump(bench)).file : file;
}

export const compressed: Method = {
    id: "a1",
    title: "a1: pg_dump | gzip, gunzip | psql",
    fillsTarget: true,
    collectsStatistics: false,
    async measure(bench, database) {
        const file = join(bench.directory, "database.sql.gz");
        const dump = await pipeline(bench, [pgDump(bench), gzip], { to: file });
        const restore = await pipeline(bench, [gunzip, psql(bench, database)], { from: file });
        const { size } = await stat(file);
        await rm(file);
        return { seconds: dump + restore, parts: { dump, restore }, fileBytes: size };
    },
};

export const encrypted: Method = {
    id: "a2",
    title: "a2: pg_dump | gzip | gpg -c, gpg -d | gunzip | psql",
    fillsTarget: true,
    collectsStatistics: false,
    missing: () => notInstalled("gpg"),
    async measure(bench, database) {
        const { file, seconds: dump } = await makeEncryptedDump(bench);
        const restore = await pipeline(bench, [gpg(bench, "-d"), gunzip, psql(bench, database)], { from: file });
        const { size } = await stat(file);
        return { seconds: dump + restore, parts: { dump, restore }, fileBytes: size };
    },
};

export const directory: Method = {
    id: "directory",
    title: "pg_dump -Fd -j2 -Z0, pg_restore -j2",
    fillsTarget: true,
    collectsStatistics: false,
    async measure(bench, database) {
        const files = join(bench.directory, "dump");
        const jobs = ["-j", String(bench.jobs)];
        const dump = await pipeline(bench, [pgDump(bench, "-Fd", "-Z0", ...jobs, "-f", files)], {});
        const restore = await pipeline(
            bench,
            [
                {
                    program: join(bench.programs, "pg_restore"),
                    args: ["--exit-on-error", ...jobs, ...connection(bench.target.address(database)), files],
                },
            ],
            {},
        );
        const fileBytes = await sizeOf(files);
        await rm(files, { recursive: true });
        return { seconds: dump + restore, parts: { dump, restore }, fileBytes };
    },
};

export const pgcopydb: Method = {
    id: "pgcopydb",
    title: "pgcopydb clone, 2 + 2 jobs",
    fillsTarget: true,
    collectsStatistics: true,
    missing: () => notInstalled("pgcopydb"),
    async measure(bench, database) {
        const work = join(bench.directory, "pgcopydb");
        await mkdir(work, { mode: 0o700 });
        const uri = ({ host, port, user, name }: Address): string => `postgresql://${user}@${host}:${port}/${name}`;
        const jobs = String(bench.jobs);
        const environment = { ...bench.environment, PATH: [bench.programs, process.env["PATH"] ?? ""].join(delimiter) };
        const seconds = await runPipeline({
            stages: [
                {
                    program: "pgcopydb",
                    args: [
                        ...["clone", "--source", uri(bench.source.address(generatedDatabase))],
                        ...["--target", uri(bench.target.address(database)), "--dir", join(work, "state")],
                        ...["--table-jobs", jobs, "--index-jobs", jobs, "--no-owner", "--no-acl"],
                    ],
                },
            ],
            environment: { ...environment, TMPDIR: work, XDG_DATA_HOME: work },
            timeoutSeconds: methodSeconds,
        });
        await rm(work, { recursive: true });
        return { seconds, parts: { copy: seconds } };
    },
};

/** As the manuals of PostgreSQL's programs advise after a restore. @returns seconds */
export function collectStatistics(bench: Bench, database: string): Promise<number> {
    const { programs, jobs, target } = bench;
    const vacuumdb: Stage = {
        program: join(programs, "vacuumdb"),
        args: ["--analyze-only", "--quiet", "-j", String(jobs), ...connection(target.address(database))],
    };
    return pipeline(bench, [vacuumdb], {});
}

function notInstalled(program: string): string | undefined {
    return findOnPath(program, process.env["PATH"] ?? "") === undefined ? "not installed" : undefined;
}

async function sizeOf(directoryPath: string): Promise<number> {
    const names = await readdir(directoryPath);
    const sizes = await Promise.all(names.map(async (name) => (await stat(join(directoryPath, name))).size));
    return sizes.reduce((sum, size) => sum + size, 0);
}
