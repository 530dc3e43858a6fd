/** The last look before the homeserver is stopped: whether the target is close behind, and the source is what was copied. */
import { MigrationError } from "../../run/errors.ts";
import { until } from "../../run/until.ts";
import { describeAddress } from "../connection.ts";
import { readBulk } from "./bulkRecord.ts";
import { readSchema, refuseChangedSchema } from "./definitionGuard.ts";
import { measureLag, notFollowing, type Lag } from "./progress.ts";
import { readRecord } from "./sourceChanges.ts";
import { onBoth, type Replication } from "./sides.ts";
import { goOnWithoutKeys } from "./temporaryKeys.ts";

export interface SettleOptions {
    /** Of the record that `follow` wrote. */
    readonly digest: string;
    /** The target is close enough when it confirms a position within this time, seconds; 2 when absent. */
    readonly closeSeconds?: number;
    /** For how long that is waited for, seconds; half an hour when absent. */
    readonly deadlineSeconds?: number;
}

/**
 * Refuses while everything still runs what the catch-up would refuse with the homeserver down.
 *
 * @throws MigrationError SM-E1305, SM-E1306, SM-E1310
 */
export async function settle(replication: Replication, options: SettleOptions): Promise<Lag> {
    const { run, source } = replication;
    const { closeSeconds = 2, deadlineSeconds = 1800 } = options;
    const record = await readRecord(run.directory);
    if (record?.state !== "following")
        throw new MigrationError("SM-E1310", {
            where: `run ${run.id}`,
            found: "this run does not follow the source, or does so no longer",
            expected: "a target that follows",
        });
    const bulk = await readBulk(run.directory, options.digest);
    return onBoth(replication, async (sides) => {
        refuseChangedSchema(bulk, await readSchema(sides.source), describeAddress(source));
        const end = performance.now() + deadlineSeconds * 1000;
        let behindSeconds = 0;
        return until(
            async () => {
                const remaining = Math.max(1, (end - performance.now()) / 1000);
                const onFailure = goOnWithoutKeys(sides.target, bulk.temporaryKeys, (line) => run.progress.say(line));
                const lag = await measureLag(sides, { seconds: remaining, signal: run.signal, onFailure });
                run.progress.say(`the target is ${lag.seconds} s and ${lag.bytes} bytes behind`);
                behindSeconds = lag.seconds;
                return lag.seconds <= closeSeconds ? lag : undefined;
            },
            { seconds: deadlineSeconds, everyMilliseconds: 500, signal: run.signal },
            () => notFollowing(sides, `the target is still ${behindSeconds} s behind after ${deadlineSeconds} s`),
        );
    });
}
