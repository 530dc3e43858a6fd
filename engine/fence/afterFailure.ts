/**
 * What becomes of a fenced source when a step after the fence fails: where running again would not mend it, the source is put back by itself,
 * as nobody may be there to do so. Decided here; done by the step `give-back`.
 *
 * It stays stopped
 * - where the step was interrupted, or met what passes (see `isResumable`): the next `pulumi up` goes on, and nothing is copied twice;
 * - where the target may have been started, or handed over, by any run of the work directory: two servers would sign as one;
 * - where `sourceAfterFailure` is `keep`.
 */
import { readdir, readFile, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { fenceContract, fencedAtAction, giveBackContract, startSteps } from "../../contract/index.ts";
import { writePrivateFile } from "../run/atomicFile.ts";
import { ErrorWithAftermath, MigrationError, MigrationErrors } from "../run/errors.ts";
import { nextCommands } from "../run/givenBack.ts";
import { hasCode } from "../run/heldDirectory.ts";
import { readJournal, type JournalRecord } from "../run/journal.ts";
import type { AnyStep, StepCall } from "../run/openStep.ts";
import { isResumable } from "../run/resumable.ts";
import { runDirectoryPaths } from "../run/runDirectory.ts";
import { doStep } from "../run/runStep.ts";
import { isBegun, isDone, stepState } from "../run/stepState.ts";
import { systemRefusal } from "../run/systemErrors.ts";
import type { StepRun } from "../run/step.ts";

/** The step `fence` records it where an earlier run had fenced the source. */
export const takenOverAction = "taken-over";

export type SourceAfterFailure = "restore" | "keep";
const choice = z.enum(["restore", "keep"]);
const choiceFile = (runsDirectory: string): string => join(runsDirectory, "source-after-failure");

/** What the newest `pulumi up` has configured: no part of a step's specification, as it may change at any time. */
export async function keepChoice(runsDirectory: string, chosen: SourceAfterFailure): Promise<void> {
    if (chosen === "restore") await rm(choiceFile(runsDirectory), { force: true });
    else await writePrivateFile(choiceFile(runsDirectory), `${chosen}\n`);
}

async function readChoice(runsDirectory: string): Promise<SourceAfterFailure> {
    const text = await readFile(choiceFile(runsDirectory), "utf8").catch((error: unknown) => {
        if (hasCode(error, "ENOENT")) return "restore";
        throw error;
    });
    return choice.parse(text.trim());
}

/**
 * Whether a target of any of the runs may have been started, or a bundle given away. An earlier run counts: its resources are deleted only
 * after those of the newer one were made.
 */
export async function mayServeElsewhere(runsDirectory: string): Promise<boolean> {
    const entries = await readdir(runsDirectory, { withFileTypes: true });
    for (const entry of entries.filter((one) => one.isDirectory())) {
        const records = await readJournal(runDirectoryPaths(join(runsDirectory, entry.name)).journal);
        // A rehearsal fences nothing, and its target is isolated.
        if (records.some(({ step }) => step === fenceContract.name) && hasStarted(records)) return true;
    }
    return false;
}

function hasStarted(records: readonly JournalRecord[]): boolean {
    const begun = records.filter(
        ({ step, phase }) =>
            startSteps.includes(step) || ((phase === "cutover" || phase === "finish") && !step.startsWith("guard-")),
    );
    return [...new Set(begun.map(({ step }) => step))].some((step) => stepState(records, step).state !== "clean");
}

/**
 * @param step  that was begun and has failed; its failure is in the journal
 * @param giveBack  the step that puts the source back
 * @returns the error to end with: the step's own, and what has become of the source after it
 */
export async function sourceAfterFailure(
    error: unknown,
    step: AnyStep,
    run: StepRun,
    giveBack: AnyStep,
): Promise<unknown> {
    const { name, phase } = step.contract;
    const records = await run.journal.read();
    const runsDirectory = dirname(run.directory);
    if (run.signal.aborted || phase !== giveBackContract.phase || name === giveBackContract.name) return error;
    const isGivenBack = stepState(records, giveBackContract.name).state !== "clean";
    // Another step that failed at the same time gives it back, or has.
    if (!isDone(records, fenceContract.name) && !isGivenBack) return error;
    if (await mayServeElsewhere(runsDirectory)) return error;
    const stays = await whyItStays(error, runsDirectory, records);
    if (stays !== undefined) {
        run.progress.note(
            `the source stays stopped: ${stays}; \`pulumi up\` goes on from here, \`pulumi config set phase stage && pulumi up\` starts the source again`,
        );
        return error;
    }
    const spec = { run: run.reference, failed: name, code: codeOf(error) };
    const write = (line: string): void => run.progress.say(line);
    try {
        const done = await doStep({ step: giveBack, spec, write, signal: run.signal });
        const { serves, at } = giveBackContract.result.parse(JSON.parse(done));
        const { actions } = stepState(records, fenceContract.name);
        const aftermath = serves ? served(run, at, actions.get(fencedAtAction)) : undefined;
        run.progress.note(
            serves
                ? `the source was put back and serves since ${at}, because ${name} has failed: ${nextCommands}`
                : `the source was not started: it did not run before it was fenced, or is another's; see above`,
        );
        return aftermath === undefined ? error : new ErrorWithAftermath(error, aftermath);
    } catch (failure) {
        if (failure instanceof MigrationError && failure.code === "SM-E0706") {
            run.progress.note("another step that has failed puts the source back");
            return error;
        }
        const aftermath = down(`run ${run.id}`, failure);
        run.progress.note(`THE SOURCE IS DOWN: ${aftermath.detail.found}`);
        return new ErrorWithAftermath(error, aftermath);
    }
}

/**
 * Finishes what a kill has ended in the middle: the source may be down.
 *
 * @throws MigrationError SM-E0782 when it cannot be put back
 */
export async function finishGivingBack(
    runDirectory: string,
    giveBack: AnyStep,
    surroundings: Pick<StepCall, "write" | "signal">,
): Promise<void> {
    const { journal, specs } = runDirectoryPaths(runDirectory);
    if (!isBegun(await readJournal(journal), giveBackContract.name)) return;
    const spec: unknown = JSON.parse(await readFile(join(specs, `${giveBackContract.name}.json`), "utf8"));
    try {
        await doStep({ ...surroundings, step: giveBack, spec });
    } catch (failure) {
        throw down(`run directory ${runDirectory}`, failure);
    }
}

async function whyItStays(
    error: unknown,
    runsDirectory: string,
    records: readonly JournalRecord[],
): Promise<string | undefined> {
    if (isResumable(error)) return "what the step met passes, or is yours to make room for, and then it resumes";
    if (stepState(records, fenceContract.name).actions.get(takenOverAction) === true)
        return "an earlier run has fenced it, and may have moved it";
    return (await readChoice(runsDirectory)) === "keep" ? "`sourceAfterFailure` is `keep`" : undefined;
}

function served(run: StepRun, at: string, fencedAt: unknown): MigrationError {
    const since = typeof fencedAt === "string" ? `, after it had been stopped since ${fencedAt}` : "";
    return new MigrationError("SM-E0781", {
        where: `the source homeserver, run ${run.id}`,
        found: `it serves again since ${at}${since}`,
        fix: `mend what the error above names; then ${nextCommands}`,
        changed:
            "the fence was lifted: the source's database may be written to, and its service was started as it ran before; what was copied is still there, and worthless",
    });
}

function down(where: string, failure: unknown): MigrationError {
    return new MigrationError("SM-E0782", {
        where: `the source homeserver, ${where}`,
        found: failure instanceof Error ? failure.message : String(failure),
        changed: "the source is stopped, or half put back: putting it back is safe to repeat",
        cause: failure,
    });
}

function codeOf(error: unknown): string {
    const refused = systemRefusal(error);
    const first = refused instanceof MigrationErrors ? refused.errors[0] : refused;
    return first instanceof MigrationError ? first.code : "internal";
}
