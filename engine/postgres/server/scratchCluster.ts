/** A PostgreSQL server for a moment: made, asked, and removed, in a directory that the user it runs as can reach. */
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { exists } from "../../run/exists.ts";
import { withClient, type DatabaseAddress } from "../connection.ts";
import { adminAddress, ownerAddress } from "../databases/targetAddress.ts";
import { clusterAdmin, clusterHost, clusterPaths, ensureCluster, removeCluster } from "./managedCluster.ts";
import { ensureOwnerRole } from "./ownerRole.ts";
import { createDatabaseStatement, readDatabaseFacts } from "./serverFacts.ts";

export interface ScratchCluster {
    /** Directory of initdb and pg_ctl. */
    readonly programs: string;
    /** The user that is configured, for where this runs as root. */
    readonly user?: string | undefined;
    readonly signal?: AbortSignal | undefined;
}

const name = "scratch";

/** Whether the programs are those of a server, and not of a client alone. */
export const canMakeCluster = (programs: string): Promise<boolean> => exists(join(programs, "initdb"));

/**
 * Gives an empty database, UTF8 and C as a target's, as its owner, who is no superuser. Nothing secret may be put into it: it lies below the
 * system's directory for temporary files.
 */
export async function withScratchDatabase<T>(
    { programs, user, signal }: ScratchCluster,
    work: (address: DatabaseAddress) => Promise<T>,
): Promise<T> {
    const directory = await mkdtemp(join(tmpdir(), "synapse-migration-scratch-"));
    const cluster = { directory: join(directory, "target", "postgres"), port: 0, programs };
    try {
        await chmod(directory, 0o711);
        const { port } = await ensureCluster(cluster, name, name, { user });
        const { ownerPassword, adminPassword } = clusterPaths(cluster.directory);
        const database = {
            ...{ host: clusterHost, port, name, owner: name, ownerPasswordFile: ownerPassword },
            ...{ admin: clusterAdmin, adminPasswordFile: adminPassword, clientDirectory: programs },
        };
        const maintenance = await adminAddress(database);
        const options = { step: name, ...(signal === undefined ? {} : { signal }) };
        await withClient(maintenance, options, async (client) => {
            const role = { role: name, passwordFile: ownerPassword, managed: true };
            await ensureOwnerRole(client, maintenance, role);
            const { versionNumber } = await readDatabaseFacts(client);
            await client.query(createDatabaseStatement(name, name, versionNumber));
        });
        return await work(await ownerAddress(database, name));
    } finally {
        await removeCluster(cluster).finally(() => rm(directory, { recursive: true, force: true }));
    }
}
