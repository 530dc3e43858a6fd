/** The schema beside the homeserver's own that tables of a backup are loaded into: made, recognised, indexed, dropped. */
import { randomBytes } from "node:crypto";
import { escapeIdentifier, escapeLiteral } from "pg";
import { z } from "zod";
import { query, quotedName, type Client } from "../postgres/connection.ts";
import { MigrationError } from "../run/errors.ts";
import type { PairedTable } from "./pairedTable.ts";

const named = /^synapse_restore_[0-9a-f]{8}$/;
const mark = "synapse-migrate tables";

/** Makes a schema that nobody has. Needs the right to create in the database, which its owner has. */
export async function makeSideSchema(client: Client): Promise<string> {
    const schema = `synapse_restore_${randomBytes(4).toString("hex")}`;
    await client.query(
        `CREATE SCHEMA ${escapeIdentifier(schema)}; COMMENT ON SCHEMA ${escapeIdentifier(schema)} IS ${escapeLiteral(mark)}`,
    );
    return schema;
}

/** @throws MigrationError SM-E0988 unless {@link makeSideSchema} made it, SM-E0985 when it is gone */
export async function requireSideSchema(client: Client, schema: string): Promise<void> {
    const found = await query(
        client,
        z.object({ comment: z.string().nullable() }),
        `SELECT obj_description(oid, 'pg_namespace') AS comment FROM pg_namespace WHERE nspname = $1`,
        [schema],
    );
    if (!named.test(schema) || (found[0] !== undefined && found[0].comment !== mark))
        throw new MigrationError("SM-E0988", {
            where: schema,
            found: "a schema that this program did not make",
            expected: "synapse_restore_ and eight digits",
        });
    if (found[0] !== undefined) return;
    throw new MigrationError("SM-E0985", {
        where: schema,
        found: "no schema of this name",
        expected: "the backup's rows",
    });
}

/** @throws MigrationError as {@link requireSideSchema} */
export async function dropSideSchema(client: Client, schema: string): Promise<void> {
    await requireSideSchema(client, schema);
    await client.query(`DROP SCHEMA ${escapeIdentifier(schema)} CASCADE`);
}

/**
 * Gives a loaded table the key that its live one has.
 *
 * @throws MigrationError SM-E0982 when the backup has a key twice
 */
export async function indexSideTable(client: Client, schema: string, table: PairedTable): Promise<void> {
    if (table.key.length === 0) return;
    const columns = table.key.map((name) => escapeIdentifier(name)).join(", ");
    try {
        await client.query(`CREATE UNIQUE INDEX ON ${quotedName(schema, table.name)} (${columns})`);
    } catch (error) {
        if (!(error instanceof Error && "code" in error && error.code === "23505")) throw error;
        throw new MigrationError("SM-E0982", {
            where: `table ${table.name} of the backup`,
            found: `several rows with the same ${table.key.join(", ")}`,
            fix: "was the backup made with a damaged index? Another backup is needed for this table",
        });
    }
}
