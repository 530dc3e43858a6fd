/** Where the source homeserver's database is: from its own configuration, single fields overridden by the stack's. */
import { dirname, join } from "node:path";
import type { SelfHostedSource } from "../../../contract/source.ts";
import type { Machine, Reachable } from "../../machines/machine.ts";
import { thisMachine } from "../../machines/local/localMachine.ts";
import { throwAll } from "../../run/errors.ts";
import type { PostgresDatabase } from "../../synapse/config/databaseSettings.ts";
import { readHomeserverConfig, requirePostgres } from "../../synapse/config/homeserverConfig.ts";
import type { DatabaseTls } from "../../synapse/config/databaseTls.ts";
import { readSourceConfig } from "../../synapse/config/sourceConfig.ts";
import { readSourceSecret } from "../../synapse/secrets/readSecretFile.ts";
import type { DatabaseAddress } from "../databaseAddress.ts";
import { passwordIn, readPassword } from "../server/passwordFile.ts";

/**
 * @throws MigrationError those of the configuration's reader, SM-E0505 for SQLite, SM-E0704 for several databases, those of
 *     {@link databaseAddress}
 */
export async function sourceAddress(source: SelfHostedSource): Promise<DatabaseAddress> {
    const config = await readSourceConfig(source);
    return databaseAddress(requirePostgres(config), config.machine, source.database?.passwordFile);
}

/** The database that a homeserver's configuration names, without a stack. @throws MigrationError as {@link sourceAddress} */
export async function configuredAddress(
    homeserverConfig: readonly string[],
    ownPasswordFile?: string,
): Promise<DatabaseAddress> {
    return databaseAddress(requirePostgres(await readHomeserverConfig(homeserverConfig)), thisMachine, ownPasswordFile);
}

/**
 * A database as its homeserver's machine reaches it.
 *
 * @param ownPasswordFile  has the password in place of the configuration
 * @throws MigrationError SM-E0230, SM-E0232 where we cannot connect as Synapse does; SM-E1003 for a file with a password
 */
export async function databaseAddress(
    database: PostgresDatabase,
    machine: Machine,
    ownPasswordFile?: string,
): Promise<DatabaseAddress> {
    throwAll(database.problems);
    const { host, port, user = "", passfile } = database;
    const reached = machine.isHere ? { tls: database.tls } : await reachedThrough(machine, database);
    const address = { host, port, name: database.name ?? user, user, ...reached };
    if (ownPasswordFile !== undefined) return { ...address, password: await readPassword(ownPasswordFile) };
    if (passfile === undefined) return { ...address, password: database.password };
    const { text } = await readSourceSecret(machine, passfile, "database.args.passfile");
    return { ...address, password: passwordIn(text, address) };
}

const loopback = new Set(["localhost", "127.0.0.1", "::1"]);

/**
 * A server as its machine reaches it. A socket has no TLS: where TLS is a matter of taste and the server is that machine's own, the connection
 * to it, which is encrypted already, does without.
 */
async function reachedThrough(
    machine: Machine,
    { host, port, tls }: PostgresDatabase,
): Promise<Pick<DatabaseAddress, "machine" | "via" | "tls">> {
    const place: Reachable = host.startsWith("/") ? { socket: join(host, `.s.PGSQL.${port}`) } : { host, port };
    const isOptional = ["allow", "prefer"].includes(tls.mode) && loopback.has(host);
    const isWithout = place.socket !== undefined || tls.mode === "disable" || isOptional;
    const near = await machine.reach(place, isWithout ? "socket" : "port");
    const { host: nearHost, port: nearPort } = near.socket === undefined ? near : { host: dirname(near.socket), port };
    const via = { host: nearHost, port: nearPort, withoutTls: isWithout };
    if (isWithout) return { machine: machine.name, via, tls };
    const here = async (path: string | undefined) => (path === undefined ? undefined : machine.here(path));
    const files: Omit<DatabaseTls, "mode"> = {
        rootCertificate: await here(tls.rootCertificate),
        certificate: await here(tls.certificate),
        key: await here(tls.key),
    };
    return { machine: machine.name, via, tls: { mode: tls.mode, ...files } };
}
