/** The filled homeserver's rows in PostgreSQL, as `synapse_port_db` leaves them: ported once for all tests. */
import { join } from "node:path";
import { copySqliteDatabase, type SqliteCopy } from "../../../engine/sqlite/privateCopy.ts";
import { portSqliteDatabase, type PortResult } from "../../../engine/sqlite/port.ts";
import { upgradeSqliteCopy } from "../../../engine/sqlite/upgradeSchema.ts";
import { testCluster, type TestCluster } from "../../support/cluster.ts";
import { serverName, sqliteSource, type SqliteSource } from "./sqliteSource.ts";

export interface PortedSource {
    readonly cluster: TestCluster;
    readonly source: SqliteSource;
    /** Path of the copy that was ported. */
    readonly copy: string;
    readonly copied: SqliteCopy;
    readonly ported: PortResult;
    /** What was said meanwhile. */
    readonly said: readonly string[];
    /** Name of a database of the test's own with what the script left. */
    readonly clone: () => Promise<string>;
}

let shared: Promise<PortedSource> | undefined;

/** Copies and ports the source of this process, once. */
export function portedSource(): Promise<PortedSource> {
    return (shared ??= port());
}

async function port(): Promise<PortedSource> {
    const [cluster, source] = [await testCluster(), await sqliteSource()];
    const { database, python } = source;
    const copy = join(source.directory, "copy.db");
    const copied = await copySqliteDatabase({ database, destination: copy, python });
    await upgradeSqliteCopy({ database: copy, serverName, found: copied, python });
    const name = await cluster.createDatabase("empty", cluster.newName("incoming"));
    const said: string[] = [];
    const onProgress = (line: string): void => void said.push(line);
    const ported = await portSqliteDatabase({
        ...{ database: copy, serverName, target: cluster.address(name), python, onProgress },
    });
    const clone = async (): Promise<string> => {
        const cloned = cluster.newName("cloned");
        await cluster.query("postgres", `CREATE DATABASE ${cloned} OWNER synapse TEMPLATE ${name}`);
        return cloned;
    };
    return { cluster, source, copy, copied, ported, said, clone };
}
