/** Opens a step for whatever is to be done with it: checks its specification, locks it, and reads where it stands. */
import { join } from "node:path";
import { z } from "zod";
import { runReference } from "../../contract/shared.ts";
import { writePrivateFile } from "./atomicFile.ts";
import { MigrationError } from "./errors.ts";
import { lockFile } from "./fileLock.ts";
import { openJournal, type JournalRecord } from "./journal.ts";
import { lineProgress, type Progress } from "./progress.ts";
import { redact, registerSecret } from "./redaction.ts";
import { prepareRunDirectory, type RunDirectory } from "./runDirectory.ts";
import { specDigest } from "./specDigest.ts";
import { secretsIn } from "./specSecrets.ts";
import type { StepDefinition, StepRun } from "./step.ts";
import { stepState, type StepState } from "./stepState.ts";

/** A step of any specification and result, as the registry keeps it. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- the registry holds steps of many types; zod checks what goes in and comes out
export type AnyStep = StepDefinition<any, any>;

export interface StepCall {
    readonly step: AnyStep;
    /** Parsed JSON; checked against the contract here. */
    readonly spec: unknown;
    readonly write: (line: string) => void;
    readonly signal: AbortSignal;
    /** The stack has a resource of it, which is updated: it has not forgotten the step. */
    readonly isKnown?: boolean;
    /** Of an undo: it is no second half of a replacement, whichever operation of Pulumi calls it. */
    readonly forGood?: boolean;
    /** Asked when a step that was begun has failed, before anybody else may do it: gives the error to end with. */
    readonly afterFailure?: (error: unknown, step: AnyStep, run: StepRun) => Promise<unknown>;
}

/** How long an attempt waits for one that is just being killed. */
const lockWaitSeconds = 20;

export const anyRun = z.looseObject({ run: runReference });

export interface OpenStep {
    readonly spec: unknown;
    readonly run: StepRun;
    readonly state: StepState;
    readonly records: readonly JournalRecord[];
    readonly digest: string;
    readonly paths: RunDirectory;
    /** Tells which operation of Pulumi was answered from the journal. */
    readonly answered: string;
}

/**
 * @throws MigrationError SM-E0200 for a specification that is not valid, SM-E0706 when another process does the step now, SM-E1202
 */
export async function withStep<T>(call: StepCall, work: (open: OpenStep) => Promise<T>): Promise<T> {
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
            records,
            digest: await specDigest({ version: contract.version, spec: withoutNames(spec) }, paths.digestKey),
            paths,
            answered: join(paths.locks, `${contract.name}.answered`),
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
        reference,
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
            writePrivateFile(join(paths.evidence, `${name}.json`), `${JSON.stringify(evidence, redactedValue, 1)}\n`),
    };
}

/** Names of fields are ours, and other steps look for them: a secret that is a word, as "shared", must not alter them. */
const redactedValue = (_name: string, value: unknown): unknown => (typeof value === "string" ? redact(value) : value);

/** Who a stack is to people, and where its target's record lies, is no part of what the step does. */
function withoutNames(spec: unknown): unknown {
    const { run, ...rest } = anyRun.parse(spec);
    const { id, directory, disposable } = run;
    return { ...rest, run: { id, directory, ...(disposable === undefined ? {} : { disposable }) } };
}

export function invalidSpec(step: string, error: z.ZodError): MigrationError {
    const problems = error.issues.map(({ path, message }) => `${path.join(".") || "(whole)"}: ${message}`);
    return new MigrationError("SM-E0200", {
        where: `step ${step}, standard input`,
        found: redact(problems.join("\n")),
    });
}
