/** Where a homeserver's database is, its server's version and its size. No password is ever part of it. */
import { withClient } from "../postgres/connection.ts";
import type { PeerUsers } from "../postgres/databases/peerAccess.ts";
import { databaseAddress } from "../postgres/databases/sourceDatabase.ts";
import { readDatabaseFacts } from "../postgres/server/serverFacts.ts";
import type { PostgresDatabase } from "../synapse/config/databaseSettings.ts";
import type { HomeserverConfig } from "../synapse/config/homeserverConfig.ts";
import { reasonOf } from "./budget.ts";
import type { Database } from "./discovery.ts";

export interface DatabaseLook {
    /** Has the files of the configuration. */
    readonly config: Pick<HomeserverConfig, "machine" | "database">;
    /** Whom the homeserver runs as: a server may let in that user, and no other. */
    readonly user: { readonly uid: number } | undefined;
    /** Where the configuration's host is from outside of its container's networks. */
    readonly hostOutside: string | undefined;
    readonly timeoutSeconds: number;
}

/** Everything that needs no connection. */
export function configuredDatabase(database: HomeserverConfig["database"]): Database {
    if (database.kind === "sqlite") return { kind: "sqlite", path: database.path };
    if (database.kind === "several") return { kind: "several", names: [...database.names] };
    const { host, port, name, user } = database;
    return {
        kind: "postgres",
        ...{ host, port },
        ...(name === undefined ? {} : { name }),
        ...(user === undefined ? {} : { user }),
    };
}

/** Connects to it, read only, or looks at its file. What keeps that from being done is a part of the answer. */
export async function databaseOf(look: DatabaseLook, signal: AbortSignal): Promise<Database> {
    const { machine, database } = look.config;
    const configured = configuredDatabase(database);
    try {
        if (database.kind === "several") return configured;
        if (database.kind === "sqlite") {
            const { kind, path } = database;
            const facts = await machine.files.stat(path);
            return { kind, path, ...(facts === undefined ? { notSeen: "no such file" } : { sizeBytes: facts.size }) };
        }
        return { ...configured, ...(await askServer(look, database, signal)) };
    } catch (error) {
        return { ...configured, notSeen: reasonOf(error) };
    }
}

interface Seen {
    readonly serverVersion: string;
    readonly sizeBytes: number;
    readonly via?: string;
}

async function askServer(look: DatabaseLook, database: PostgresDatabase, signal: AbortSignal): Promise<Seen> {
    const { config, hostOutside, timeoutSeconds, user } = look;
    const { machine } = config;
    const outside = hostOutside === undefined ? {} : { host: hostOutside };
    const users: PeerUsers = () => (user === undefined ? [] : [user.uid]);
    const address = await databaseAddress({ ...database, ...outside }, machine, { users });
    const options = { step: "discover", readOnly: true, statementSeconds: Math.ceil(timeoutSeconds), signal };
    const { version, sizeBytes } = await withClient(address, options, readDatabaseFacts);
    const as = address.via?.user === undefined ? [] : [`a relay as user ${address.via.user}`];
    const ways = [...(hostOutside === undefined ? [] : [`${hostOutside}:${database.port}`]), ...as];
    return { serverVersion: version, sizeBytes, ...(ways.length === 0 ? {} : { via: ways.join(", ") }) };
}
