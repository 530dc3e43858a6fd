/** The point of no return of a bundle: it is whole, the source still stands still, and never serves again. */
import { join } from "node:path";
import { bundleManifest, readDigested } from "./bundle/bundleManifest.ts";
import { requireOwnBundle } from "./bundle/bundleDirectory.ts";
import { manifestName } from "./bundle/bundleNames.ts";
import { handOverContract } from "./contract.ts";
import { refuseUnlessStillFenced } from "./fence.ts";
import { readToken } from "./fence/token.ts";
import { defineStep } from "./run/step.ts";

/** There is no database of a target to mark: the record of this step in the journal is what makes it committed, see `isCommitted`. */
export const handOver = defineStep(handOverContract, async (spec, run) => {
    const { source, fenceToken, bundle, manifestDigest } = spec;
    await requireOwnBundle(bundle.directory, run.directory);
    await readDigested(join(bundle.directory, manifestName), manifestDigest, bundleManifest);
    if (fenceToken !== undefined) await refuseUnlessStillFenced(source, await readToken(run.directory, fenceToken));
    return { handedOverAt: await run.once("handed-over-at", () => Promise.resolve(new Date().toISOString())) };
});
