/** A PostgreSQL cluster of our own: made, found again, started so that it outlives the step, stopped, removed. */
import { chown, mkdir, readFile, readdir, readlink, realpath, rm, rmdir, stat, writeFile } from "node:fs/promises";
import { totalmem } from "node:os";
import { dirname, join } from "node:path";
import { z } from "zod";
import { writePrivateFile } from "../../run/atomicFile.ts";
import { freePort } from "../../machines/freePort.ts";
import { runProgram } from "../../machines/program.ts";
import { serviceUser } from "../../machines/serviceUser.ts";
import { MigrationError } from "../../run/errors.ts";
import { keptPassword } from "./ownerRole.ts";

export interface ManagedCluster {
    /** Holds the data directory, the log, the passwords and the record of whose cluster it is. */
    readonly directory: string;
    /** 0 takes a free one, and keeps it. */
    readonly port: number;
    /** Directory of initdb and pg_ctl. */
    readonly programs: string;
}

const recordShape = z.strictObject({
    /** The newest run that uses the cluster; only it may remove it. */
    run: z.string(),
    serverName: z.string(),
    port: z.number().int(),
    /** initdb has ended well. */
    initialised: z.boolean(),
});
export type ClusterRecord = z.infer<typeof recordShape>;

export const clusterHost = "127.0.0.1";
export const clusterAdmin = "postgres";
/** After a crash, a server replays its log before it answers. */
const startSeconds = 600;
const stopSeconds = 300;
const mebibyte = 1024 * 1024;

export function clusterPaths(directory: string): {
    data: string;
    log: string;
    record: string;
    adminPassword: string;
    ownerPassword: string;
} {
    return {
        data: join(directory, "data"),
        log: join(directory, "postgresql.log"),
        record: join(directory, "synapse-migration.json"),
        adminPassword: join(directory, "admin-password"),
        ownerPassword: join(directory, "owner-password"),
    };
}

/**
 * Makes the cluster, or finds it again, and has it run: UTF8, C, passwords by SCRAM, on loopback only, without a socket in the file system.
 * It belongs to the given run from then on.
 *
 * @throws MigrationError SM-E1105 when the directory has files that are not ours or its user cannot reach it; SM-E1101 when a program fails
 */
export async function ensureCluster(cluster: ManagedCluster, run: string, serverName: string): Promise<ClusterRecord> {
    const { directory } = cluster;
    const paths = clusterPaths(directory);
    const found = await readClusterRecord(directory);
    if (found === undefined) await refuseForeignDirectory(directory);
    await mkdir(directory, { recursive: true, mode: 0o711 });
    await refuseUnreachable(directory);
    const port = cluster.port !== 0 ? cluster.port : (found?.port ?? (await freePort(clusterHost)));
    const write = async (initialised: boolean): Promise<ClusterRecord> => {
        const record = { run, serverName, port, initialised };
        await writePrivateFile(paths.record, `${JSON.stringify(record)}\n`);
        return record;
    };
    if (found?.initialised !== true) {
        await write(false);
        await initialise(cluster, paths);
    }
    const record = await write(true);
    if (found?.initialised === true && found.port !== port) await stopCluster(cluster);
    if (!(await isClusterRunning(directory))) {
        await writeConfiguration(paths.data, port);
        await pgCtl(cluster, ["start", "-l", paths.log, "-w", "-t", String(startSeconds)], startSeconds + 10);
    }
    return record;
}

/** Stops the server, if it runs; sessions are ended. */
export async function stopCluster(cluster: ManagedCluster): Promise<void> {
    if (await isClusterRunning(cluster.directory))
        await pgCtl(cluster, ["stop", "-m", "fast", "-w", "-t", String(stopSeconds)], stopSeconds + 10);
}

/** Stops the server and removes what {@link ensureCluster} made. The caller has made sure that nobody needs it. */
export async function removeCluster(cluster: ManagedCluster): Promise<void> {
    await stopCluster(cluster);
    const { record, ...others } = clusterPaths(cluster.directory);
    for (const path of Object.values(others)) await rm(path, { recursive: true, force: true });
    // Last: as long as the record is there, another attempt finds what is left.
    await rm(record, { force: true });
    await rmdir(cluster.directory).catch(() => undefined);
}

/** Undefined when there is no cluster of ours. */
export async function readClusterRecord(directory: string): Promise<ClusterRecord | undefined> {
    const text = await readFile(clusterPaths(directory).record, "utf8").catch(() => undefined);
    return text === undefined ? undefined : recordShape.parse(JSON.parse(text));
}

/** Whether the process that the data directory names is there and works in it. */
export async function isClusterRunning(directory: string): Promise<boolean> {
    const { data } = clusterPaths(directory);
    const text = await readFile(join(data, "postmaster.pid"), "utf8").catch(() => undefined);
    const pid = text?.split("\n")[0]?.trim() ?? "";
    if (!/^[1-9]\d*$/.test(pid)) return false;
    const works = await readlink(`/proc/${pid}/cwd`).catch(() => undefined);
    return works !== undefined && works === (await realpath(data));
}

async function initialise(cluster: ManagedCluster, paths: ReturnType<typeof clusterPaths>): Promise<void> {
    const user = serviceUser();
    await rm(paths.data, { recursive: true, force: true });
    await mkdir(paths.data, { mode: 0o700 });
    await writeFile(paths.log, "", { mode: 0o600 });
    const passwordCopy = `${paths.adminPassword}.initdb`;
    await writePrivateFile(
        passwordCopy,
        `${await keptPassword(paths.adminPassword)}\n`,
        user === undefined ? {} : { owner: user },
    );
    if (user !== undefined) for (const path of [paths.data, paths.log]) await chown(path, user.uid, user.gid);
    try {
        await runProgram(
            join(cluster.programs, "initdb"),
            [
                ...[
                    "--pgdata",
                    paths.data,
                    "--username",
                    clusterAdmin,
                    "--pwfile",
                    passwordCopy,
                    "--auth",
                    "scram-sha-256",
                ],
                ...["--encoding", "UTF8", "--locale", "C", "--data-checksums"],
            ],
            { workingDirectory: "/", timeoutSeconds: 120, ...(user === undefined ? {} : { user }) },
        );
    } finally {
        await rm(passwordCopy, { force: true });
    }
}

async function writeConfiguration(data: string, port: number): Promise<void> {
    const user = serviceUser();
    const path = join(data, "postgresql.conf");
    const settings = {
        listen_addresses: `'${clusterHost}'`,
        port: String(port),
        unix_socket_directories: "''",
        password_encryption: "'scram-sha-256'",
        shared_buffers: `'${Math.min(1024, Math.max(128, Math.floor(totalmem() / mebibyte / 16)))}MB'`,
        max_wal_size: "'4GB'",
        wal_compression: "on",
        timezone: "'UTC'",
        log_timezone: "'UTC'",
        lc_messages: "'C'",
        // Statements quote rows, and rows hold access tokens.
        log_min_error_statement: "panic",
        log_parameter_max_length_on_error: "0",
    };
    const text = Object.entries(settings).map(([name, value]) => `${name} = ${value}\n`);
    await writePrivateFile(
        path,
        `# Written by synapse-migration when it starts this server.\n${text.join("")}`,
        user === undefined ? {} : { owner: user },
    );
}

async function pgCtl(cluster: ManagedCluster, args: readonly string[], timeoutSeconds: number): Promise<void> {
    const user = serviceUser();
    await runProgram(join(cluster.programs, "pg_ctl"), ["--pgdata", clusterPaths(cluster.directory).data, ...args], {
        workingDirectory: "/",
        timeoutSeconds,
        ...(user === undefined ? {} : { user }),
    });
}

async function refuseForeignDirectory(directory: string): Promise<void> {
    const present = await readdir(directory).catch(() => []);
    if (present.length === 0) return;
    throw new MigrationError("SM-E1105", {
        where: directory,
        found: `${present.slice(0, 5).join(", ")}, and no record of a cluster of ours`,
        expected: "an empty directory, or none",
    });
}

async function refuseUnreachable(directory: string): Promise<void> {
    const user = serviceUser();
    if (user === undefined) return;
    for (let path = directory; ; path = dirname(path)) {
        const { mode, uid, gid } = await stat(path);
        const needed = uid === user.uid ? 0o100 : gid === user.gid ? 0o010 : 0o001;
        if ((mode & needed) === 0) {
            throw new MigrationError("SM-E1105", {
                where: directory,
                found: `${path} has mode ${(mode & 0o7777).toString(8)}: the server's user (uid ${user.uid}) may not enter it`,
                expected: "directories that this user may enter",
            });
        }
        if (path === dirname(path)) return;
    }
}
