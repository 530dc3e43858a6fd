/** Runs one step: reads its specification, locks, journals, acts, and answers. */
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { z } from "zod";
import { runReference } from "../../contract/shared.ts";
import { writePrivateFile } from "./atomicFile.ts";
import { MigrationError, MigrationErrors } from "./errors.ts";
import { lockFile } from "./fileLock.ts";
import { openJournal, readJournal } from "./journal.ts";
import { lineProgress, type Progress } from "./progress.ts";
import { redact, registerSecret, withoutSecret } from "./redaction.ts";
import { prepareRunDirectory, runDirectoryPaths, type RunDirectory } from "./runDirectory.ts";
import { specDigest } from "./specDigest.ts";
import { secretsIn, withoutSecrets } from "./specSecrets.ts";
import type { StepDefinition, StepRun } from "./step.ts";
import { isCommitted, stepState, type StepState } from "./stepState.ts";

/** A step of any specification and result, as the registry keeps it. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- the registry holds steps of many types; zod checks what goes in and comes out
export type AnyStep = StepDefinition<any, any>;

export interface StepCall {
    readonly step: AnyStep;
    /** Parsed JSON; checked against the contract here. */
    readonly spec: unknown;
    readonly write: (line: string) => void;
    readonly signal: AbortSignal;
}

/** Everything the answer of a step may take on standard output, bytes. It is kept in the Pulumi state for good. */
const largestResult = 4096;
/** How long an attempt waits for one that is just being killed. */
const lockWaitSeconds = 20;

const anyRun = z.looseObject({ run: runReference });

interface OpenStep {
    readonly spec: unknown;
    readonly run: StepRun;
    readonly state: StepState;
    readonly digest: string;
    readonly committed: boolean;
    readonly disposable: boolean;
    readonly paths: RunDirectory;
}

/**
 * Does a step, or answers from the journal when it was done with this specification.
 *
 * @returns the result as one line of JSON of at most 4 KiB
 * @throws MigrationError SM-E0200 for a specification that is not valid, SM-E0705 when it was done with another one,
 *     SM-E0706 when another process does it now, and what the step itself throws
 */
export async function doStep(call: StepCall): Promise<string> {
    return withStep(call, async ({ spec, run, state, digest, paths }) => {
        const { contract, act } = call.step;
        const base = { step: contract.name, phase: contract.phase };
        if (state.state === "done" && contract.repeatable !== true) {
            if (state.specDigest !== digest) throw doneOtherwise(contract.name, paths.journal);
            run.progress.say("done before: the journal has the answer");
            return answer(contract.result.parse(state.result), contract.name);
        }
        await writePrivateFile(
            join(paths.specs, `${contract.name}.json`),
            JSON.stringify(withoutSecrets(contract.spec, spec)),
        );
        await run.journal.append({ ...base, kind: "intent", specDigest: digest });
        const started = performance.now();
        const elapsed = (): number => Math.round(performance.now() - started) / 1000;
        try {
            const result: unknown = contract.result.parse(await act(spec, run));
            const line = answer(result, contract.name);
            await run.journal.append({ ...base, kind: "done", result, seconds: elapsed() });
            return line;
        } catch (error) {
            await run.journal.append({ ...base, kind: "failed", error: described(error), seconds: elapsed() });
            throw error;
        }
    });
}

/**
 * What a step answered when it was done, out of the journal: for an update of its resource, which does nothing. Changes nothing, and makes
 * no run directory where there is none.
 *
 * @returns the result as one line of JSON of at most 4 KiB
 * @throws MigrationError SM-E0200 for a specification that is not valid, SM-E0715 when the journal has no result: it is another one than
 *     that of the stack, or the step was taken back
 */
export async function reprintStep({
    step: { contract },
    spec: given,
}: Pick<StepCall, "step" | "spec">): Promise<string> {
    for (const secret of secretsIn(contract.spec, given)) registerSecret(secret);
    const parsed = contract.spec.safeParse(given);
    if (!parsed.success) throw invalidSpec(contract.name, parsed.error);
    const { directory } = anyRun.parse(parsed.data).run;
    const { journal } = runDirectoryPaths(directory);
    const records = await readJournal(journal);
    const state = stepState(records, contract.name);
    if (state.state === "done") return answer(contract.result.parse(state.result), contract.name);
    const last = records.findLast(({ step }) => step === contract.name);
    throw new MigrationError("SM-E0715", {
        where: `step ${contract.name}, ${journal}`,
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

/** Takes a step back. What was never begun, was taken back before, or must outlive the commit is left alone. */
export async function undoStep(call: StepCall): Promise<void> {
    await withStep(call, async ({ spec, run, state, committed, disposable }) => {
        const { contract, undo } = call.step;
        const base = { step: contract.name, phase: contract.phase };
        if (contract.repeatable === true && undo === undefined) return;
        if (state.state === "clean") {
            run.progress.say("nothing to take back");
            return;
        }
        const keeps = contract.afterCommit === "keep" || (contract.afterCommit === "keep-data" && !disposable);
        if (committed && keeps) {
            run.progress.say(
                "left as it is: the target is committed, and this belongs to the only server there is now",
            );
            return;
        }
        await run.journal.append({ ...base, kind: "undo" });
        const started = performance.now();
        try {
            await undo?.(spec, run);
        } catch (error) {
            await run.journal.append({ ...base, kind: "failed", error: described(error) });
            throw error;
        }
        await run.journal.append({ ...base, kind: "undone", seconds: Math.round(performance.now() - started) / 1000 });
    });
}

async function withStep<T>(call: StepCall, work: (open: OpenStep) => Promise<T>): Promise<T> {
    const { contract } = call.step;
    for (const secret of secretsIn(contract.spec, call.spec)) registerSecret(secret);
    const parsed = contract.spec.safeParse(call.spec);
    if (!parsed.success) throw invalidSpec(contract.name, parsed.error);
    const spec: unknown = parsed.data;
    const { run: reference } = anyRun.parse(spec);
    const paths = await prepareRunDirectory(reference.directory);
    const progress = lineProgress(contract.name, call.write, redact);
    const lock = await lockFile(
        join(paths.locks, contract.name),
        `process ${process.pid}, step ${contract.name}, since ${new Date().toISOString()}`,
        lockWaitSeconds,
    );
    try {
        const journal = openJournal(paths.journal);
        const records = await journal.read();
        const state = stepState(records, contract.name);
        return await work({
            spec,
            run: stepRun(call, reference, paths, progress, state),
            state,
            digest: await specDigest({ version: contract.version, spec }, paths.digestKey),
            committed: isCommitted(records),
            disposable: reference.disposable ?? false,
            paths,
        });
    } finally {
        await lock.release();
    }
}

function stepRun(
    call: StepCall,
    reference: z.infer<typeof runReference>,
    paths: RunDirectory,
    progress: Progress,
    state: StepState,
): StepRun {
    const { name, phase } = call.step.contract;
    const journal = openJournal(paths.journal);
    return {
        id: reference.id,
        directory: reference.directory,
        progress,
        journal,
        signal: call.signal,
        async recorded(action, act) {
            // A recorded result came out of the same action, so it has the type that the action returns.
            if (state.actions.has(action)) return state.actions.get(action) as Awaited<ReturnType<typeof act>>;
            call.signal.throwIfAborted();
            const result = await act();
            await journal.append({
                step: name,
                phase,
                kind: "action",
                action,
                ...(result === undefined ? {} : { result }),
            });
            return result;
        },
        evidence: (evidence) =>
            writePrivateFile(join(paths.evidence, `${name}.json`), redact(`${JSON.stringify(evidence, null, 1)}\n`)),
    };
}

function answer(result: unknown, step: string): string {
    const line = withoutSecret(JSON.stringify(result));
    if (Buffer.byteLength(line) <= largestResult) return line;
    throw new Error(
        `the result of ${step} takes ${Buffer.byteLength(line)} bytes; ${largestResult} are allowed, the rest belongs into its evidence`,
    );
}

function described(error: unknown): { code: string; message: string } {
    const first = error instanceof MigrationErrors ? error.errors[0] : error;
    const code = first instanceof MigrationError ? first.code : "internal";
    return { code, message: redact(error instanceof Error ? error.message : String(error)).slice(0, 2000) };
}

function doneOtherwise(step: string, journal: string): MigrationError {
    return new MigrationError("SM-E0705", {
        where: `step ${step}, ${journal}`,
        found: "a done record of another specification",
        expected: "the specification that the step was done with",
    });
}

function invalidSpec(step: string, error: z.ZodError): MigrationError {
    const problems = error.issues.map(({ path, message }) => `${path.join(".") || "(whole)"}: ${message}`);
    return new MigrationError("SM-E0200", {
        where: `step ${step}, standard input`,
        found: redact(problems.join("\n")),
    });
}
