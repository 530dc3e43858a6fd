/** Finds the server and client programs of PostgreSQL, or installs Debian's, without a cluster. */
import { existsSync, readdirSync, realpathSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { delimiter, dirname, join } from "node:path";
import { MigrationError } from "../engine/run/errors.ts";
import type { Progress } from "../engine/run/progress.ts";
import { canInstallPackages, installPackages } from "./aptPackages.ts";
import type { Machine } from "./machine.ts";
import { oldestPostgresMajor, postgresPackage } from "./versions.ts";

/** A directory with all programs of one PostgreSQL version. */
export interface PostgresPrograms {
    readonly directory: string;
    /** For example `15.18`. */
    readonly version: string;
}

/** What the steps and the rehearsal run; a directory that lacks one is not taken. */
export const postgresPrograms = ["postgres", "initdb", "pg_ctl", "pg_dump", "pg_restore", "psql"] as const;

/** Read by Debian's postgresql-common when a server package is installed; absent it makes a cluster and starts it. */
const clusterSettings = "etc/postgresql-common/createcluster.d/synapse-migration.conf";
const packagedVersions = "usr/lib/postgresql";

/**
 * The newest PostgreSQL on this machine that Synapse accepts: where `pg_config` points, what `postgres` on PATH is a link to,
 * the directories of PATH, and Debian's.
 */
export async function findPostgres(machine: Machine): Promise<PostgresPrograms | undefined> {
    const found: PostgresPrograms[] = [];
    for (const directory of new Set(await candidateDirectories(machine))) {
        if (!postgresPrograms.every((program) => machine.isExecutable(join(directory, program)))) continue;
        const { stdout } = await machine.run(join(directory, "postgres"), ["--version"], { timeoutSeconds: 20 });
        const version = /\(PostgreSQL\) (\d+(?:\.\d+)?)/.exec(stdout)?.[1];
        if (version !== undefined && Number.parseInt(version) >= oldestPostgresMajor)
            found.push({ directory, version });
    }
    return found.sort((a, b) => Number(b.version) - Number(a.version))[0];
}

async function candidateDirectories(machine: Machine): Promise<string[]> {
    const packaged = join(machine.root, packagedVersions);
    const onPath = (machine.environment["PATH"] ?? "").split(delimiter).filter((entry) => entry.startsWith("/"));
    const linked = machine.find("postgres");
    const configured = machine.find("pg_config");
    return [
        ...(existsSync(packaged) ? readdirSync(packaged).map((version) => join(packaged, version, "bin")) : []),
        ...(configured === undefined ? [] : [await binaryDirectory(machine, configured)].filter((path) => path !== "")),
        ...(linked === undefined ? [] : [dirname(realpathSync(linked))]),
        ...onPath,
    ];
}

async function binaryDirectory(machine: Machine, configuration: string): Promise<string> {
    return (await machine.run(configuration, ["--bindir"], { timeoutSeconds: 20 })).stdout.trim();
}

/**
 * Finds PostgreSQL, or installs it as root on a Debian-like system.
 *
 * @throws MigrationError SM-E1180 when there is none and none can be installed
 */
export async function ensurePostgres(machine: Machine, progress: Progress): Promise<PostgresPrograms> {
    const found = await findPostgres(machine);
    if (found !== undefined) return found;
    await withoutCluster(machine, () => installPackages(machine, [postgresPackage], "PostgreSQL", progress));
    const installed = await findPostgres(machine);
    if (installed !== undefined) return installed;
    throw new MigrationError("SM-E1180", {
        where: join(machine.root, packagedVersions),
        found: `no PostgreSQL, although ${postgresPackage} was installed`,
        expected: `the programs ${postgresPrograms.join(", ")} of PostgreSQL ${oldestPostgresMajor} or newer`,
    });
}

/** Has Debian's package make no cluster, for this installation only: later ones are the administrator's. */
async function withoutCluster(machine: Machine, install: () => Promise<void>): Promise<void> {
    if (!canInstallPackages(machine)) return install();
    const settings = join(machine.root, clusterSettings);
    await mkdir(dirname(settings), { recursive: true });
    await writeFile(settings, "create_main_cluster = false\n");
    try {
        await install();
    } finally {
        await rm(settings, { force: true });
    }
}
