/** Which run holds the fence of a source, and how the source was before anybody fenced it. */
import { readFile, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import type { RunReference } from "../../contract/index.ts";
import { writePrivateFile } from "../run/atomicFile.ts";
import { stoppedService } from "../services/serviceControl.ts";

const fenceHolder = z.strictObject({
    run: z.string(),
    /** How the service ran. */
    service: stoppedService,
    /** The database's own `default_transaction_read_only`, null where it had none. */
    readOnly: z.string().nullable(),
});
export type FenceHolder = z.infer<typeof fenceHolder>;

/** All runs of a stack share the directory above theirs. */
const holderFile = (runsDirectory: string): string => join(runsDirectory, "fence-holder.json");

/** Undefined while nobody fences the source. */
export async function readFenceHolder(runsDirectory: string): Promise<FenceHolder | undefined> {
    const text = await readFile(holderFile(runsDirectory), "utf8").catch((error: unknown) => {
        if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
        throw error;
    });
    return text === undefined ? undefined : fenceHolder.parse(JSON.parse(text));
}

/**
 * Makes the run the holder. A newer run takes over what an older one found: to it the source looks stopped and read-only, and giving the
 * source back in that state would not give it back.
 *
 * @param found  looks at the source; called only where nobody holds the fence, and before anything is changed
 */
export async function claimFence(
    run: RunReference,
    found: () => Promise<Omit<FenceHolder, "run">>,
): Promise<FenceHolder> {
    const runsDirectory = dirname(run.directory);
    const before = await readFenceHolder(runsDirectory);
    if (before?.run === run.id) return before;
    const { service, readOnly } = before ?? (await found());
    const holder = { run: run.id, service, readOnly };
    await writePrivateFile(holderFile(runsDirectory), `${JSON.stringify(holder, null, 1)}\n`);
    return holder;
}

export async function releaseFence(run: RunReference): Promise<void> {
    await rm(holderFile(dirname(run.directory)), { force: true });
}
