/** Runs one step: reads its specification, locks, journals, acts, and answers. */
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { writePrivateFile } from "./atomicFile.ts";
import { MigrationError, MigrationErrors } from "./errors.ts";
import { changedAfterwards, isBelow, materialChanges, programVersion, secretsDigest } from "./changedSpec.ts";
import { refuseForgotten } from "./declaredPhase.ts";
import { refuseGivenBack } from "./givenBack.ts";
import { readJournal, type JournalRecord } from "./journal.ts";
import { anyRun, invalidSpec, withStep, type OpenStep, type StepCall } from "./openStep.ts";
import { watchReached } from "./machinesReached.ts";
import { redact, registerSecret, withoutSecret } from "./redaction.ts";
import { runDirectoryPaths } from "./runDirectory.ts";
import { secretsIn, withoutSecrets } from "./specSecrets.ts";
import type { StepRun } from "./step.ts";
import { isReplacement, rememberAnswer } from "./replacement.ts";
import { stepState } from "./stepState.ts";
import { systemRefusal } from "./systemErrors.ts";
import { keepCopy } from "./ownership/keptCopy.ts";
import { readTargetRecord } from "./ownership/targetRecord.ts";
import { answersFromJournal, holdingTarget, mayUndo } from "./ownership/permission.ts";

/** Everything the answer of a step may take on standard output, bytes. It is kept in the Pulumi state for good. */
const largestResult = 4096;

/**
 * Does a step, or answers from the journal when it was done with this specification.
 *
 * @returns the result as one line of JSON of at most 4 KiB
 * @throws MigrationError SM-E0200 for a specification that is not valid, SM-E0705 when it was done with another one,
 *     SM-E0706 when another process does it now, from whichever work directory, SM-E0719 when the stack has forgotten steps that it should
 *     take back, SM-E0780 when the source was put back since, SM-E0740, SM-E0742, SM-E1502 when the target is another's, SM-E1503 when it would act on a
 *     target that is committed, and what the step itself throws
 */
export async function doStep(call: StepCall): Promise<string> {
    return withStep(call, async ({ spec, run, state, records, digest, paths, answered }) => {
        const { contract } = call.step;
        refuseGivenBack(contract, records, paths.journal);
        if (contract.repeatable !== "always" && call.isKnown !== true) await refuseForgotten(contract, records, paths);
        const answers = await answersFromJournal(contract, run.reference, records, state);
        if (answers) {
            if (contract.repeatable === undefined && state.specDigest !== digest) {
                const changed = await materialChanges(contract, run.reference, records, spec);
                if (changed?.length !== 0) throw doneOtherwise(contract.name, paths.journal, changed);
            }
            run.progress.say("done before: the journal has the answer");
            await rememberAnswer(answered);
            // A kill may have come between the end of the step and its copy.
            await keepCopyOf(run, contract.name);
            return answer(contract.result.parse(state.result), contract.name);
        }
        return actOn(call, { spec, run, digest, paths });
    });
}

/** Acts, between an intent and its end in the journal. */
function actOn(call: StepCall, open: Pick<OpenStep, "spec" | "run" | "digest" | "paths">): Promise<string> {
    return holdingTarget(call.step.contract, open.run.reference, () => journaled(call, open));
}

async function journaled(
    { step, afterFailure }: StepCall,
    { spec, run, digest, paths }: Pick<OpenStep, "spec" | "run" | "digest" | "paths">,
): Promise<string> {
    const { contract, act } = step;
    const base = { step: contract.name, phase: contract.phase };
    await writePrivateFile(
        join(paths.specs, `${contract.name}.json`),
        JSON.stringify(withoutSecrets(contract.spec, spec)),
    );
    const secrets = await secretsDigest(contract, spec, paths.digestKey);
    const begun = { specDigest: digest, secretsDigest: secrets, program: programVersion };
    await run.journal.append({ ...base, kind: "intent", ...begun });
    const started = performance.now();
    const elapsed = (): number => Math.round(performance.now() - started) / 1000;
    const reached = watchReached();
    try {
        // Once more, now that whoever would give the source back reads in the journal that this has begun.
        refuseGivenBack(contract, await run.journal.read(), paths.journal);
        const result: unknown = contract.result.parse(await act(spec, run));
        const line = answer(result, contract.name);
        await run.journal.append({ ...base, kind: "done", result, seconds: elapsed(), machines: reached() });
        await keepCopyOf(run, contract.name);
        return line;
    } catch (error) {
        await noteFailure(run, { ...base, seconds: elapsed(), machines: reached() }, error);
        throw afterFailure === undefined ? error : await afterFailure(error, step, run);
    }
}

/**
 * What becomes of a step whose resource is updated: what it answered when it was done, out of the journal. A change that can be made true is
 * made true; any other that matters is refused.
 *
 * @returns the result as one line of JSON of at most 4 KiB
 * @throws MigrationError SM-E0200 for a specification that is not valid, SM-E0715 when the journal has no result: it is another one than
 *     that of the stack, or the step was taken back; SM-E0780 when the source was put back since; SM-E0717 when the specification says something else than what was done
 */
export async function updateStep(call: StepCall): Promise<string> {
    const { contract } = call.step;
    for (const secret of secretsIn(contract.spec, call.spec)) registerSecret(secret);
    const parsed = contract.spec.safeParse(call.spec);
    if (!parsed.success) throw invalidSpec(contract.name, parsed.error);
    const { run } = anyRun.parse(parsed.data);
    const { journal } = runDirectoryPaths(run.directory);
    // Looked at before anything is opened: where there is no run directory, none is made.
    const records = await readJournal(journal);
    refuseGivenBack(contract, records, journal);
    const state = stepState(records, contract.name);
    if (state.state !== "done") throw notDone(contract.name, journal, records);
    const compared = contract.repeatable === undefined;
    const changed = compared ? ((await materialChanges(contract, run, records, parsed.data)) ?? []) : [];
    if (changed.length === 0) return answer(contract.result.parse(state.result), contract.name);
    const { applied = [] } = contract;
    if (!changed.every((path) => applied.some((field) => isBelow(path, field))))
        throw await changedAfterwards(contract, run, records, changed);
    return withStep(call, (open) => actOn(call, open));
}

function notDone(step: string, journal: string, records: readonly JournalRecord[]): MigrationError {
    const last = records.findLast((record) => record.step === step);
    return new MigrationError("SM-E0715", {
        where: `step ${step}, ${journal}`,
        found:
            records.length === 0
                ? "no journal, or an empty one"
                : last === undefined
                  ? "no record of the step"
                  : `its last record is "${last.kind}" of ${last.at}`,
        expected: "the record that it was done: the stack has the step's resource",
        changed: "nothing",
    });
}

/**
 * Takes a step back. What was taken back before, what is replaced, what belongs to another and what must outlive the commit is left alone.
 *
 * @throws MigrationError SM-E0715 when nobody knows of the step, SM-E0742 when the work directory was lost
 */
export async function undoStep(call: StepCall): Promise<void> {
    await withStep(call, async ({ spec, run, state, records, answered }) => {
        const { contract, undo } = call.step;
        const base = { step: contract.name, phase: contract.phase };
        if (contract.repeatable !== undefined && undo === undefined) return;
        if (call.forGood !== true && (await isReplacement(answered))) {
            run.progress.say("left as it is: its resource was replaced, and the step stays done");
            return;
        }
        const may = await mayUndo(contract, run.reference, records, state);
        if (!may.undo) {
            if (may.isNote) run.progress.note(may.because);
            else run.progress.say(may.because);
            // A kill may have come between the end of the undo and its copy: who adopts it would believe in a fence that was lifted.
            if (state.state === "clean") await keepCopyOf(run, contract.name);
            return;
        }
        await holdingTarget(contract, run.reference, async () => {
            await run.journal.append({ ...base, kind: "undo" });
            const started = performance.now();
            const reached = watchReached();
            try {
                await undo?.(spec, run);
            } catch (error) {
                await noteFailure(run, { ...base, machines: reached() }, error);
                throw error;
            }
            const seconds = Math.round(performance.now() - started) / 1000;
            await run.journal.append({ ...base, kind: "undone", seconds, machines: reached() });
            await keepCopyOf(run, contract.name);
        });
    });
}

/** Only where the record is there to keep it beside: the undo of the first step takes both away. */
async function keepCopyOf({ reference: { directory, target } }: StepRun, step: string): Promise<void> {
    if (target !== undefined && (await readTargetRecord(target)) !== undefined) await keepCopy(directory, target, step);
}

function answer(result: unknown, step: string): string {
    const line = withoutSecret(JSON.stringify(result));
    if (Buffer.byteLength(line) <= largestResult) return line;
    throw new Error(
        `the result of ${step} takes ${Buffer.byteLength(line)} bytes; ${largestResult} are allowed, the rest belongs into its evidence`,
    );
}

/** Where not even that can be written, as on a full disk, the step's own error is the one to be told; its intent stands in the journal. */
async function noteFailure(
    { journal }: StepRun,
    base: Pick<JournalRecord, "step" | "phase" | "seconds" | "machines">,
    error: unknown,
): Promise<void> {
    await journal.append({ ...base, kind: "failed", error: described(error) }).catch((unwritten: unknown) => {
        if (systemRefusal(unwritten) === unwritten) throw unwritten;
    });
}

function described(error: unknown): { code: string; message: string } {
    const refused = systemRefusal(error);
    const first = refused instanceof MigrationErrors ? refused.errors[0] : refused;
    const code = first instanceof MigrationError ? first.code : "internal";
    return { code, message: redact(error instanceof Error ? error.message : String(error)).slice(0, 2000) };
}

function doneOtherwise(step: string, journal: string, changed: readonly string[] = []): MigrationError {
    return new MigrationError("SM-E0705", {
        where: `step ${step}, ${journal}`,
        found: ["a done record of another specification", changed.join(", ")].filter((part) => part !== "").join(": "),
        expected: "the specification that the step was done with",
    });
}
