/** What the canary account left on the source, and where it is kept until the probe has looked for it. */
import { readFile } from "node:fs/promises";
import { z } from "zod";
import { writePrivateFile } from "../run/atomicFile.ts";
import { registerSecret } from "../run/redaction.ts";

const canaryTraces = z.strictObject({
    userId: z.string(),
    deviceId: z.string(),
    accessToken: z.string(),
    /** `next_batch` of a sync before the fence. */
    syncToken: z.string(),
    roomId: z.string(),
    eventId: z.string(),
    eventBody: z.string(),
    media: z.strictObject({ serverName: z.string(), mediaId: z.string(), sha256: z.string() }),
    /** Absent where the source does not admit guests. */
    guestToken: z.string().optional(),
});
export type CanaryTraces = z.infer<typeof canaryTraces>;

export async function writeCanaryTraces(path: string, traces: CanaryTraces): Promise<void> {
    await writePrivateFile(path, `${JSON.stringify(canaryTraces.parse(traces))}\n`);
}

export async function readCanaryTraces(path: string): Promise<CanaryTraces> {
    const traces = canaryTraces.parse(JSON.parse(await readFile(path, "utf8")));
    registerSecret(traces.accessToken);
    if (traces.guestToken !== undefined) registerSecret(traces.guestToken);
    return traces;
}
