/** Whether the definitions on the source are still those that were copied: changes of definitions are not replicated. */
import { createHash } from "node:crypto";
import { z } from "zod";
import { MigrationError } from "../../run/errors.ts";
import { compareDefinitions, describeDifference, readDefinitions, type Definition } from "../catalogue/catalogue.ts";
import { query, type Client } from "../connection.ts";

/** All that would have to be the same at the end. */
export interface Definitions {
    readonly definitions: Definition[];
    /** Digest of Synapse's schema version and of the deltas that made it; of nothing where the database is not Synapse's. */
    readonly schemaDigest: string;
}

export async function readSchema(client: Client): Promise<Definitions> {
    return { definitions: await readDefinitions(client), schemaDigest: await schemaDigest(client) };
}

/** A homeserver that is upgraded writes these, also where an upgrade changes rows alone. */
const schemaTables = ["schema_version", "schema_compat_version", "applied_schema_deltas", "applied_module_schemas"];

async function schemaDigest(client: Client): Promise<string> {
    const digest = createHash("sha256");
    for (const table of schemaTables) {
        const [found] = await query(
            client,
            z.object({ present: z.boolean() }),
            "SELECT to_regclass('public.' || $1) IS NOT NULL AS present",
            [table],
        );
        if (found?.present !== true) continue;
        const rows = await query(
            client,
            z.object({ row: z.string() }),
            // Not `t::text`: a cast of the table's row type may be somebody's function.
            `SELECT ROW(t.*)::text AS row FROM ONLY public.${table} t ORDER BY ROW(t.*)::text COLLATE "C"`,
        );
        digest.update(JSON.stringify([table, rows.map(({ row }) => row)]));
    }
    return digest.digest("hex");
}

/** The same definitions without what this program itself changes while it follows. */
function withoutIdentities(definitions: readonly Definition[]): Definition[] {
    return definitions.map(({ kind, name, definition }) => ({
        kind,
        name,
        definition:
            kind === "table"
                ? definition.replace(/replica identity [dnfi]/, "replica identity")
                : kind === "index"
                  ? definition.replace(/, replica identity$/, "")
                  : definition,
    }));
}

/** @throws MigrationError SM-E1306 naming what changed on the source since it was copied */
export function refuseChangedSchema(copied: Definitions, now: Definitions, where: string): void {
    const differences = compareDefinitions(
        withoutIdentities(copied.definitions),
        withoutIdentities(now.definitions),
    ).map(describeDifference);
    if (copied.schemaDigest !== now.schemaDigest)
        differences.push("schema_version or applied_schema_deltas: the homeserver was upgraded");
    if (differences.length === 0) return;
    throw new MigrationError("SM-E1306", {
        where,
        found: differences.slice(0, 8).join("\n"),
        expected: "the definitions that were copied",
    });
}
