/** The fence token: which database stood still, when, and where. Later steps refuse when the source does not look like that any more. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { instant } from "../../contract/index.ts";
import { writePrivateFile } from "../run/atomicFile.ts";
import { MigrationError } from "../run/errors.ts";
import { parseJson } from "../run/parseJson.ts";
import { watermarks } from "./watermarks.ts";

/** A file of SQLite's, and what it keeps beside it, as they stood: whoever writes changes one of them. */
const fileFootprint = z.strictObject({
    /** Without links, on the source's machine. */
    path: z.string(),
    /** By the ending of their names, `""` for the database itself; what is not there is left out. */
    files: z.record(z.string(), z.strictObject({ identity: z.string(), bytes: z.number().int(), mtime: z.string() })),
});
export type FileFootprint = z.infer<typeof fileFootprint>;

const fenceToken = z
    .strictObject({
        run: z.string(),
        serverName: z.string(),
        fencedAt: instant,
        /** Of a database of PostgreSQL. */
        watermarks: watermarks.optional(),
        /** Of one of SQLite. */
        file: fileFootprint.optional(),
    })
    .refine((token) => (token.watermarks === undefined) !== (token.file === undefined), "must have one position");
/** After the idea of CloudNativePG's demotion token: promotion needs the exact position at which the other side was stopped. */
export type FenceToken = z.infer<typeof fenceToken>;

/** SHA-256 of the token's canonical form. */
export function tokenDigest(token: FenceToken): string {
    return createHash("sha256")
        .update(JSON.stringify(fenceToken.parse(token)))
        .digest("hex");
}

export function tokenFile(runDirectory: string): string {
    return join(runDirectory, "fence-token.json");
}

export async function writeToken(runDirectory: string, token: FenceToken): Promise<void> {
    await writePrivateFile(tokenFile(runDirectory), `${JSON.stringify(fenceToken.parse(token), null, 1)}\n`);
}

/**
 * Reads the token of a run.
 *
 * @throws MigrationError SM-E0703 when it is missing, damaged, or not the one that is named
 */
export async function readToken(runDirectory: string, digest: string): Promise<FenceToken> {
    const where = tokenFile(runDirectory);
    const refuse = (found: string, cause?: unknown): never => {
        throw new MigrationError("SM-E0703", {
            where,
            found,
            expected: `the fence token ${digest.slice(0, 12)}…`,
            cause,
        });
    };
    const text = await readFile(where, "utf8").catch((error: unknown) => refuse("it cannot be read", error));
    const parsed = fenceToken.safeParse(parseJson(text));
    if (!parsed.success) return refuse("it is not a fence token");
    const found = tokenDigest(parsed.data);
    return found === digest ? parsed.data : refuse(`the fence token ${found.slice(0, 12)}…`);
}
