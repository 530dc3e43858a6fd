/** Extensions that a dump needs and a server may lack. */
import { z } from "zod";
import { MigrationError } from "../../run/errors.ts";
import type { Definition } from "../catalogue/catalogue.ts";
import { query, type Client } from "../connection.ts";

/**
 * @param client  as a role that may make databases: what it may create, too, as a superuser, is made by it
 * @param definitions  of the dump
 * @throws MigrationError SM-E0511 naming extensions that are not on the server, or that only a superuser may create (B25)
 */
export async function refuseUnknownExtensions(
    client: Client,
    definitions: readonly Definition[],
    where: string,
): Promise<void> {
    const needed = definitions
        .filter(({ kind, name }) => kind === "extension" && name !== "plpgsql")
        .map(({ name }) => name.replaceAll('"', ""));
    if (needed.length === 0) return;
    const available = await availableExtensions(client, needed, "trusted OR current_setting('is_superuser') = 'on'");
    const lacking = needed.filter((name) => !available.includes(name));
    if (lacking.length === 0) return;
    throw new MigrationError("SM-E0511", {
        where,
        found: `no extension ${lacking.join(", ")} that the database's owner may create`,
        expected: `the extensions ${needed.join(", ")}`,
    });
}

/** Those of the names that the owner of a database may create. */
export function ownersExtensions(client: Client, names: readonly string[]): Promise<string[]> {
    return availableExtensions(client, names, "trusted");
}

async function availableExtensions(client: Client, names: readonly string[], condition: string): Promise<string[]> {
    const available = await query(
        client,
        z.object({ name: z.string() }),
        `SELECT DISTINCT name::text FROM pg_available_extension_versions WHERE (${condition}) AND name = ANY ($1)`,
        [names],
    );
    return available.map(({ name }) => name);
}
