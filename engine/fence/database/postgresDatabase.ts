/** A source's database of PostgreSQL: fenced by its sessions, its locks and its counters. */
import { setTimeout as delay } from "node:timers/promises";
import type { RunReference, SelfHostedSource } from "../../../contract/index.ts";
import { withClient, type DatabaseAddress } from "../../postgres/connection.ts";
import { sourceAddress } from "../../postgres/databases/sourceDatabase.ts";
import { copiedTables, differsFromCopy } from "../comparedAnew.ts";
import type { FenceToken } from "../fenceToken.ts";
import { refuseObstacles } from "../lookBeforeFence.ts";
import { makeReadOnly, readOnlySetting, restoreReadOnly } from "../readOnly.ts";
import { refuseOthersFence } from "../sourceRecord.ts";
import { judgeMovements, movements, readWatermarks, type Watermarks } from "../watermarks.ts";
import { foreignSessions, listed, refuseOpenTransactions, sessionsGone, stillLive } from "../writingSessions.ts";
import type { FenceableDatabase, ProveOptions, StandsStill, StillStep } from "./fenceableDatabase.ts";
import { recordInDatabase } from "./recordInDatabase.ts";

/** Each call finds out anew where the database is: its machine may have been restarted since the last one. */
export function postgresDatabase(source: SelfHostedSource): FenceableDatabase {
    const address = (): Promise<DatabaseAddress> => sourceAddress(source);
    return {
        kind: "postgres",
        record: async (step, work) => withClient(await address(), { step }, (client) => work(recordInDatabase(client))),
        readOnly: async () => withClient(await address(), { step: "fence" }, readOnlySetting),
        refuseObstacles: async (signal) => refuseObstacles(source, await address(), signal),
        proveStill: async (options) => proveStill(await address(), options),
        async giveBack(before) {
            const at = await address();
            await withClient(at, { step: "fence" }, (client) => restoreReadOnly(client, at.name, before));
        },
        refuseUnlessStill: async (token, run, step) => refuseUnlessStill(await address(), token, run, step),
    };
}

async function proveStill(address: DatabaseAddress, { seconds, progress, signal }: ProveOptions): Promise<StandsStill> {
    return withClient(address, { step: "fence", signal }, async (client) => {
        const sessions = await progress.during("waiting for its database sessions to end", () => sessionsGone(client));
        await makeReadOnly(client, address.name);
        await refuseOpenTransactions(client);
        const before = await readWatermarks(client);
        await delay(seconds * 1000, undefined, { signal });
        const moved = movements(before, await readWatermarks(client));
        if (moved.length > 0) throw stillLive(`the database still changes\n${moved.slice(0, 5).join("\n")}`);
        return {
            stands: { watermarks: before },
            sessionsEnded: sessions,
            checks: [
                {
                    id: "no-sessions",
                    state: "passed",
                    evidence: `${sessions} sessions have ended, none is left`,
                },
                {
                    id: "exclusive-lock",
                    state: "passed",
                    evidence: "an exclusive lock on every table was granted at once",
                },
                {
                    id: "streams-still",
                    state: "passed",
                    evidence: `all sequences and row counters stood still for ${seconds} s`,
                },
            ],
        };
    });
}

/**
 * Where its server has failed since and its counters are lost, the rows themselves are read and compared with those that were copied; this
 * takes as long as reading the whole database.
 */
async function refuseUnlessStill(
    address: DatabaseAddress,
    { watermarks }: FenceToken,
    run: RunReference,
    step?: StillStep,
): Promise<void> {
    if (watermarks === undefined) throw stillLive("it was fenced as an SQLite file, and is a database of PostgreSQL");
    const look = (since: Watermarks) =>
        withClient(address, { step: "fence" }, async (client) => {
            await refuseOthersFence(recordInDatabase(client), run);
            const sessions = await foreignSessions(client);
            if (sessions.length > 0) throw stillLive(listed(sessions));
            const seen = await readWatermarks(client);
            const { moved, unproven } = judgeMovements(since, seen);
            if (moved.length > 0) throw writtenTo([...moved, ...unproven]);
            return { unproven, seen };
        });
    const { unproven, seen } = await look(watermarks);
    if (unproven.length === 0) return;
    const copied = step === undefined ? undefined : await copiedTables(step.journal);
    if (step === undefined || copied === undefined) throw writtenTo(unproven);
    const differing = await step.progress.during(
        "the source's server has lost its counters: comparing all of its rows with those that were copied",
        () => differsFromCopy(address, copied, step.signal),
    );
    if (differing.length > 0) throw writtenTo([...differing, ...unproven]);
    // The counters are good again since the failure: whoever wrote behind the reading of the rows has moved them.
    const meanwhile = (await look(seen)).unproven;
    if (meanwhile.length > 0) throw writtenTo(meanwhile);
    step.progress.say(
        "the source's server has failed since the fence and lost its counters; every row was compared with the copy anew",
    );
}

function writtenTo(lines: readonly string[]): ReturnType<typeof stillLive> {
    return stillLive(`the source has been written to after it was fenced\n${lines.slice(0, 5).join("\n")}`);
}
