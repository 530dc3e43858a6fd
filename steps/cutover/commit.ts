/** The point of no return: marks the target's database as the one that serves. */
import { commitContract } from "../../contract/index.ts";
import { markSourceCommitted, refuseUnlessStillFenced } from "../../engine/fence/stillFenced.ts";
import { withClient } from "../../engine/postgres/connection.ts";
import { advanceMarker, readMarker, requireMarker } from "../../engine/postgres/databases/marker.ts";
import { adminAddress } from "../../engine/postgres/databases/targetAddress.ts";
import { markTargetCommitted } from "../../engine/run/ownership/targetRecord.ts";
import { defineStep } from "../../engine/run/step.ts";

/**
 * All that may refuse comes first. Then the three records, the target's own before the others: killed between any two of them, going back is
 * refused and going on ends here again.
 */
export const commit = defineStep(commitContract, async ({ source, database, fenceToken }, run) => {
    const address = await adminAddress(database, database.name);
    const where = `database ${database.name}`;
    await withClient(address, { step: "commit" }, async (client) =>
        requireMarker(await readMarker(client), run.id, ["swapped", "committed"], where),
    );
    if (fenceToken !== undefined) await refuseUnlessStillFenced(source, fenceToken, run.reference, run);
    await markTargetCommitted(run.reference, source.serverName);
    if (fenceToken !== undefined) await markSourceCommitted(source, run.reference, "commit");
    await withClient(address, { step: "commit" }, (client) => advanceMarker(client, run.id, ["swapped"], "committed"));
    return { committedAt: await run.recorded("committed-at", () => Promise.resolve(new Date().toISOString())) };
});
