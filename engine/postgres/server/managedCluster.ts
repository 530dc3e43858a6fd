/** A PostgreSQL cluster of our own: made, found again, started so that it outlives the step, stopped, removed. */
import { constants } from "node:fs";
import { open, readdir, rmdir } from "node:fs/promises";
import { totalmem } from "node:os";
import { dirname, join } from "node:path";
import { z } from "zod";
import { removePrivateFile, writePrivateFile } from "../../run/atomicFile.ts";
import { removeTree, shapeDirectory } from "../../run/heldDirectory.ts";
import { readTrusted } from "../../run/trustedFile.ts";
import { freePort } from "../../machines/freePort.ts";
import { runProgram } from "../../machines/program.ts";
import type { ServiceUser } from "../../machines/serviceUser.ts";
import { makeTargetDirectory, type TargetDirectoryOptions } from "../../machines/targetDirectory.ts";
import { targetUser } from "../../machines/targetUser.ts";
import { MigrationError } from "../../run/errors.ts";
import { didNotComeUp } from "../../services/daemon.ts";
import { keptPassword } from "./ownerRole.ts";
import { isServed, removeStaleLock } from "./staleLock.ts";

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
 * @param options  of the target's directory, which is the one above the cluster's
 * @throws MigrationError SM-E1105 when the directory has files that are not ours; SM-E1206 when its user cannot reach it; SM-E1207 when
 *     something in it is somebody else's doing; SM-E1101 when a program fails; SM-E0712 with the end of its log when the server does not come up
 */
export async function ensureCluster(
    cluster: ManagedCluster,
    run: string,
    serverName: string,
    options: TargetDirectoryOptions = {},
): Promise<ClusterRecord> {
    const { directory } = cluster;
    const paths = clusterPaths(directory);
    const found = await readClusterRecord(directory);
    if (found === undefined) await refuseForeignDirectory(directory);
    const user = await makeTargetDirectory(dirname(directory), options);
    await shapeDirectory(directory, { mode: 0o711 });
    const port = cluster.port !== 0 ? cluster.port : (found?.port ?? (await freePort(clusterHost)));
    const write = async (initialised: boolean): Promise<ClusterRecord> => {
        const record = { run, serverName, port, initialised };
        await writePrivateFile(paths.record, `${JSON.stringify(record)}\n`);
        return record;
    };
    if (found?.initialised !== true) {
        await write(false);
        await initialise(cluster, paths, user);
    }
    const record = await write(true);
    if (found?.initialised === true && found.port !== port) await stopCluster(cluster);
    if (!(await isClusterRunning(directory))) {
        await removeStaleLock(paths.data);
        await writeConfiguration(paths.data, port, user);
        const start = ["start", "-l", paths.log, "-w", "-t", String(startSeconds)];
        await pgCtl(cluster, user, start, startSeconds + 10).catch(async (error: unknown) => {
            if (!(error instanceof MigrationError)) throw error;
            // pg_ctl only points to the log, which has the reason.
            throw await didNotComeUp(error.detail.found, paths.log, startSeconds);
        });
    }
    return record;
}

/** Stops the server, if it runs; sessions are ended. */
export async function stopCluster(cluster: ManagedCluster): Promise<void> {
    const user = await targetUser(dirname(cluster.directory));
    if (await isClusterRunning(cluster.directory))
        await pgCtl(cluster, user, ["stop", "-m", "fast", "-w", "-t", String(stopSeconds)], stopSeconds + 10);
}

/** Stops the server and removes what {@link ensureCluster} made. The caller has made sure that nobody needs it. */
export async function removeCluster(cluster: ManagedCluster): Promise<void> {
    await stopCluster(cluster);
    const { record, ...others } = clusterPaths(cluster.directory);
    const { data, ...files } = others;
    await removeTree(data);
    for (const path of Object.values(files)) await removePrivateFile(path);
    // Last: as long as the record is there, another attempt finds what is left.
    await removePrivateFile(record);
    await rmdir(cluster.directory).catch(() => undefined);
}

/** Undefined when there is no cluster of ours. */
export async function readClusterRecord(directory: string): Promise<ClusterRecord | undefined> {
    const text = await readTrusted(clusterPaths(directory).record);
    return text === undefined ? undefined : recordShape.parse(JSON.parse(text));
}

/** Whether its server is there and works in its data directory. */
export async function isClusterRunning(directory: string): Promise<boolean> {
    return isServed(clusterPaths(directory).data);
}

async function initialise(
    cluster: ManagedCluster,
    paths: ReturnType<typeof clusterPaths>,
    user: ServiceUser | undefined,
): Promise<void> {
    await removeTree(paths.data);
    await shapeDirectory(paths.data, { mode: 0o700, owner: user });
    await makeLog(paths.log, user);
    const passwordCopy = `${paths.adminPassword}.initdb`;
    await writePrivateFile(
        passwordCopy,
        `${await keptPassword(paths.adminPassword)}\n`,
        user === undefined ? {} : { owner: user },
    );
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
        await removePrivateFile(passwordCopy);
    }
}

/** Empty, and the server's: pg_ctl has the server append to it. */
async function makeLog(path: string, user: ServiceUser | undefined): Promise<void> {
    await removePrivateFile(path);
    const log = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
    if (user !== undefined) await log.chown(user.uid, user.gid);
    await log.close();
}

async function writeConfiguration(data: string, port: number, user: ServiceUser | undefined): Promise<void> {
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

async function pgCtl(
    cluster: ManagedCluster,
    user: ServiceUser | undefined,
    args: readonly string[],
    timeoutSeconds: number,
): Promise<void> {
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
