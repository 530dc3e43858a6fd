/** Which primary keys and unique indexes Synapse's schema has at a version: asked of the installed Synapse, never of a list. */
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { runProgram } from "../machines/program.ts";

const schemaKey = z.strictObject({
    table: z.string(),
    /** Null for an expression. */
    columns: z.array(z.string().nullable()),
    primary: z.boolean(),
    /** Of an index that Synapse names. */
    name: z.string().nullable(),
    /** The statement that Synapse makes it with; null for constraints. */
    sql: z.string().nullable(),
});
export type SchemaKey = z.infer<typeof schemaKey>;

const answer = z.strictObject({ keys: z.array(schemaKey).nullable() });
const buildSeconds = 120;

/**
 * @param python  of the installed Synapse
 * @returns undefined for a version that it cannot build: one of a newer Synapse, or from before the oldest schema that it begins with
 * @throws MigrationError SM-E1101 when there is no Synapse
 */
export async function schemaKeys(python: string, schema: number): Promise<readonly SchemaKey[] | undefined> {
    const program = fileURLToPath(new URL("read_schema.py", import.meta.url));
    const { stdout } = await runProgram(python, ["-I", "-B", program], {
        workingDirectory: "/",
        input: JSON.stringify({ schema }),
        timeoutSeconds: buildSeconds,
    });
    return answer.parse(JSON.parse(stdout)).keys ?? undefined;
}
