/** Contract of the step that copies a database from server to server: phase `migrate`, in place of dump and restore. */
import { z } from "zod";
import { contract } from "./define.ts";
import { absolutePath, count, runReference, seconds, sha256 } from "./shared.ts";
import { targetDatabase } from "./targetDatabase.ts";
import { selfHostedSource } from "./source.ts";

/** Copies into a new database beside the one in use, and writes a manifest of what the source holds. */
export const copyContract = contract({
    name: "copy",
    phase: "migrate",
    version: 1,
    spec: z.strictObject({
        run: runReference,
        source: selfHostedSource,
        /** Absent in a rehearsal, which copies a snapshot of a running source. One-time keys are kept only with it. */
        fenceToken: sha256.optional(),
        database: targetDatabase,
        /** Orders the safeguard before the copy. */
        safeguard: z.string(),
        /** Pairs of connections; when absent, as many as the smaller of both servers has cores. */
        jobs: z.number().int().min(1).max(64).optional(),
        /** Of rows; no limit when absent. */
        bytesPerSecond: z.number().int().min(1).optional(),
    }),
    result: z.strictObject({
        incoming: z.string(),
        manifestFile: absolutePath,
        manifestDigest: sha256,
        tables: count,
        rows: count,
        /** Of rows as they were sent; less where an earlier attempt had sent some. */
        bytes: count,
        oneTimeKeys: z.enum(["kept", "emptied"]),
        seconds,
    }),
});
