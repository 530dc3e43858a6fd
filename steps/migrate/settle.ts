/** The last look before the source is stopped: whether its copy is close behind, and can still become it. */
import { settleContract } from "../../contract/replicate.ts";
import { settle as settleReplication } from "../../engine/postgres/replication/settle.ts";
import { replicationOf } from "../../engine/postgres/replication/stepReplication.ts";
import { defineStep } from "../../engine/run/step.ts";

export const settle = defineStep(settleContract, async (spec, run) => {
    const replication = await replicationOf(spec, "settle", run);
    const lag = await settleReplication(replication, { digest: spec.digest });
    await run.evidence({ lag });
    return { lagSeconds: lag.seconds, lagBytes: lag.bytes };
});
