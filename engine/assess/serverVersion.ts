/** Which PostgreSQL a server is. */
import { z } from "zod";
import { queryOne, type Client } from "../postgres/connection.ts";

const versionShape = z.object({
    /** For example "15.18 (Debian 15.18-0+deb12u1)". */
    text: z.string(),
    /** For example 15. */
    major: z.number().int(),
});
export type ServerVersion = z.infer<typeof versionShape>;

/** Asks the server that one is connected to; costs no look at any table. */
export async function serverVersion(client: Client): Promise<ServerVersion> {
    return queryOne(
        client,
        versionShape,
        `SELECT current_setting('server_version') AS text, current_setting('server_version_num')::int / 10000 AS major`,
    );
}
