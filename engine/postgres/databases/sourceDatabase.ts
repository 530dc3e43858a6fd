/** Where the source homeserver's database is: from its own configuration, single fields overridden by the stack's. */
import { userInfo } from "node:os";
import type { SelfHostedSource } from "../../../contract/source.ts";
import { requirePostgres } from "../../synapse/config/homeserverConfig.ts";
import { readSourceConfig } from "../../synapse/config/sourceConfig.ts";
import type { DatabaseAddress } from "../connection.ts";
import { readPassword } from "../server/passwordFile.ts";

/** @throws MigrationError those of the configuration's reader, SM-E0505 for SQLite, SM-E0704 for several databases, SM-E1003 */
export async function sourceAddress(source: SelfHostedSource): Promise<DatabaseAddress> {
    const { host, port, name, user, password } = requirePostgres(await readSourceConfig(source));
    const { passwordFile } = source.database ?? {};
    return {
        host,
        port,
        name,
        user: user ?? userInfo().username,
        password: passwordFile === undefined ? password : await readPassword(passwordFile),
    };
}
