/** The point of no return: marks the target's database as the one that serves. */
import { commitContract } from "../../contract/index.ts";
import { refuseUnlessStillFenced } from "../../engine/fence/stillFenced.ts";
import { readToken } from "../../engine/fence/fenceToken.ts";
import { withClient } from "../../engine/postgres/connection.ts";
import { advanceMarker } from "../../engine/postgres/databases/marker.ts";
import { adminAddress } from "../../engine/postgres/databases/targetAddress.ts";
import { defineStep } from "../../engine/run/step.ts";

export const commit = defineStep(commitContract, async ({ source, database, fenceToken }, run) => {
    if (fenceToken !== undefined) await refuseUnlessStillFenced(source, await readToken(run.directory, fenceToken));
    const address = await adminAddress(database, database.name);
    await withClient(address, { step: "commit" }, (client) => advanceMarker(client, run.id, ["swapped"], "committed"));
    return { committedAt: await run.recorded("committed-at", () => Promise.resolve(new Date().toISOString())) };
});
