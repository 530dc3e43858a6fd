/** The point of no return: marks the target's database as the one that serves. */
import { commitContract } from "./contract.ts";
import { refuseUnlessStillFenced } from "./fence.ts";
import { readToken } from "./fence/token.ts";
import { withClient } from "./postgres/connection.ts";
import { advanceMarker } from "./postgres/marker.ts";
import { adminAddress } from "./postgres/targetAddress.ts";
import { defineStep } from "./run/step.ts";

export const commit = defineStep(commitContract, async ({ source, database, fenceToken }, run) => {
    if (fenceToken !== undefined) await refuseUnlessStillFenced(source, await readToken(run.directory, fenceToken));
    const address = await adminAddress(database, database.name);
    await withClient(address, { step: "commit" }, (client) => advanceMarker(client, run.id, ["swapped"], "committed"));
    return { committedAt: await run.once("committed-at", () => Promise.resolve(new Date().toISOString())) };
});
