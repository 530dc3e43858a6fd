/** Whether a source that was fenced still stands where it stood then. */
import type { RunReference, SelfHostedSource, Source } from "../../contract/index.ts";
import { withClient } from "../postgres/connection.ts";
import { sourceAddress } from "../postgres/databases/sourceDatabase.ts";
import type { StepRun } from "../run/step.ts";
import { sourceService } from "../services/service.ts";
import { copiedTables, differsFromCopy } from "./comparedAnew.ts";
import { refuseOthersFence } from "./sourceRecord.ts";
import { judgeMovements, readWatermarks } from "./watermarks.ts";
import { foreignSessions, listed, stillLive } from "./writingSessions.ts";

/**
 * Refuses unless the source still stands where the token says it was fenced.
 *
 * Where its server has failed since and its counters are lost, the rows themselves are read and compared with those that were copied; this
 * takes as long as reading the whole database.
 *
 * @param step  reads the rows where nothing else can tell; without it, or before the copy, what is not proven is refused
 * @throws MigrationError SM-E0702 naming what moved or who is connected, SM-E0741 when another stack holds the fence
 */
export async function refuseUnlessStillFenced(
    source: Source,
    token: { readonly watermarks: Awaited<ReturnType<typeof readWatermarks>> },
    run: RunReference,
    step?: Pick<StepRun, "journal" | "progress" | "signal">,
): Promise<void> {
    if (source.kind !== "selfHosted") throw new Error(`a source of kind ${source.kind} has no fence to look at`);
    await refuseStartedContainers(source);
    const address = await sourceAddress(source);
    const look = (since = token.watermarks) =>
        withClient(address, { step: "fence" }, async (client) => {
            await refuseOthersFence(client, run);
            const sessions = await foreignSessions(client);
            if (sessions.length > 0) throw stillLive(listed(sessions));
            const seen = await readWatermarks(client);
            const { moved, unproven } = judgeMovements(since, seen);
            if (moved.length > 0) throw writtenTo([...moved, ...unproven]);
            return { unproven, seen };
        });
    const { unproven, seen } = await look();
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

/** Started by habit, a container has no session for a while, and is told by its name before it has one. */
async function refuseStartedContainers(source: SelfHostedSource): Promise<void> {
    if (source.service.kind !== "container" && source.service.kind !== "compose") return;
    const { running: isRunning, evidence } = await sourceService(source).status();
    if (isRunning) throw stillLive(["its containers run again:", ...evidence].join("\n"));
}

function writtenTo(lines: readonly string[]): ReturnType<typeof stillLive> {
    return stillLive(`the source has been written to after it was fenced\n${lines.slice(0, 5).join("\n")}`);
}
