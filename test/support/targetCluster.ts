/** The database server that a stack under test has made for its target, as the role that looks after it. */
import { join } from "node:path";
import type { z } from "zod";
import { query, withClient } from "../../engine/postgres/connection.ts";
import {
    clusterAdmin,
    clusterHost,
    clusterPaths,
    readClusterRecord,
} from "../../engine/postgres/server/managedCluster.ts";
import { readPassword } from "../../engine/postgres/server/passwordFile.ts";
import type { TestSynapse } from "./synapse.ts";

export async function queryTarget<Row>(
    { directory }: TestSynapse,
    database: string,
    shape: z.ZodType<Row>,
    sql: string,
): Promise<Row[]> {
    const cluster = join(directory, "target", "postgres");
    const record = await readClusterRecord(cluster);
    if (record === undefined) throw new Error("there is no cluster");
    const address = {
        ...{ host: clusterHost, port: record.port, name: database, user: clusterAdmin },
        password: await readPassword(clusterPaths(cluster).adminPassword),
    };
    return withClient(address, { step: "test" }, (client) => query(client, shape, sql));
}
