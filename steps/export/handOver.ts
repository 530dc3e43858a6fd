/** The point of no return of a bundle: it is whole, the source still stands still, and never serves again. */
import { join } from "node:path";
import { bundleManifest, readDigested } from "../../engine/bundle/write/bundleManifest.ts";
import { requireOwnBundle } from "../../engine/bundle/write/bundleDirectory.ts";
import { manifestName } from "../../engine/bundle/write/bundleNames.ts";
import { handOverContract } from "../../contract/index.ts";
import { markSourceCommitted, refuseUnlessStillFenced } from "../../engine/fence/stillFenced.ts";
import { defineStep } from "../../engine/run/step.ts";

/** There is no database of a target to mark: the record of this step in the journal is what makes it committed, see `isCommitted`. */
export const handOver = defineStep(handOverContract, async (spec, run) => {
    const { source, fenceToken, bundle, manifestDigest } = spec;
    await requireOwnBundle(bundle.directory, run.directory);
    await readDigested(join(bundle.directory, manifestName), manifestDigest, bundleManifest);
    if (fenceToken !== undefined) {
        await refuseUnlessStillFenced(source, fenceToken, run.reference, run);
        await markSourceCommitted(source, run.reference, "hand-over");
    }
    return { handedOverAt: await run.recorded("handed-over-at", () => Promise.resolve(new Date().toISOString())) };
});
