/** Where the source homeserver's database is: from its own configuration, single fields overridden by the stack's. */
import type { SelfHostedSource } from "../../../contract/source.ts";
import { throwAll } from "../../run/errors.ts";
import type { PostgresDatabase } from "../../synapse/config/databaseSettings.ts";
import { readHomeserverConfig, requirePostgres } from "../../synapse/config/homeserverConfig.ts";
import { readSourceConfig } from "../../synapse/config/sourceConfig.ts";
import { readSourceSecret } from "../../synapse/secrets/readSecretFile.ts";
import type { DatabaseAddress } from "../databaseAddress.ts";
import { passwordIn, readPassword } from "../server/passwordFile.ts";

/**
 * @throws MigrationError those of the configuration's reader, SM-E0505 for SQLite, SM-E0704 for several databases, those of
 *     {@link databaseAddress}
 */
export async function sourceAddress(source: SelfHostedSource): Promise<DatabaseAddress> {
    return databaseAddress(requirePostgres(await readSourceConfig(source)), source.database?.passwordFile);
}

/** The database that a homeserver's configuration names, without a stack. @throws MigrationError as {@link sourceAddress} */
export async function configuredAddress(
    homeserverConfig: readonly string[],
    ownPasswordFile?: string,
): Promise<DatabaseAddress> {
    return databaseAddress(requirePostgres(await readHomeserverConfig(homeserverConfig)), ownPasswordFile);
}

/**
 * @param ownPasswordFile  has the password in place of the configuration
 * @throws MigrationError SM-E0230, SM-E0232 where we cannot connect as Synapse does; SM-E1003 for a file with a password
 */
async function databaseAddress(database: PostgresDatabase, ownPasswordFile?: string): Promise<DatabaseAddress> {
    throwAll(database.problems);
    const { host, port, user = "", tls, passfile } = database;
    const address = { host, port, name: database.name ?? user, user, tls };
    if (ownPasswordFile !== undefined) return { ...address, password: await readPassword(ownPasswordFile) };
    if (passfile === undefined) return { ...address, password: database.password };
    const { text } = await readSourceSecret(passfile, "database.args.passfile");
    return { ...address, password: passwordIn(text, address) };
}
