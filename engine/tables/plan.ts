/** The file that says what a merge would do: written once, applied only as it was written. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { z } from "zod";
import { MigrationError } from "../run/errors.ts";
import { canonicalJson } from "../synapse/canonicalJson.ts";
import { differenceShape } from "./difference.ts";

const content = z.strictObject({
    format: z.literal("synapse-migrate tables plan 1"),
    madeAt: z.string(),
    /** `name@host:port`. */
    database: z.string(),
    sideSchema: z.string(),
    backup: z.strictObject({
        files: z.array(z.strictObject({ path: z.string(), bytes: z.number(), sha256: z.string() })),
        serverVersion: z.string(),
        sha256: z.string(),
    }),
    replace: z.boolean(),
    tables: z.array(
        z.strictObject({
            difference: differenceShape,
            inserts: z.number().int().min(0),
            replaces: z.number().int().min(0),
        }),
    ),
    /** Why it must not be applied. */
    refusals: z.array(z.strictObject({ code: z.string(), where: z.string(), found: z.string() })),
});
export type TablesPlan = z.infer<typeof content>;

const file = content.extend({ digest: z.string() });

/** As it is kept in a file. */
export function planText(plan: TablesPlan): string {
    return `${JSON.stringify({ ...plan, digest: planDigest(plan) }, undefined, 4)}\n`;
}

/** @throws MigrationError SM-E0988 when it is not a plan, or not as it was written */
export async function readPlan(path: string): Promise<TablesPlan> {
    const refuse = (found: string, cause?: unknown): MigrationError =>
        new MigrationError("SM-E0988", { where: path, found, expected: "a plan, as it was written", cause });
    let parsed: unknown;
    try {
        parsed = JSON.parse(await readFile(path, "utf8"));
    } catch (error) {
        throw refuse("a file that cannot be read as JSON", error);
    }
    const { data, success } = file.safeParse(parsed);
    if (!success) throw refuse("JSON that is no plan");
    const { digest, ...plan } = data;
    if (digest !== planDigest(plan)) throw refuse("a plan that was changed after it was written");
    return plan;
}

function planDigest(plan: TablesPlan): string {
    return createHash("sha256").update(canonicalJson(plan)).digest("hex");
}
