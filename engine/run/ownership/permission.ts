/** Whether a step may act on a target, and whether it may be taken back: by the record beside the target, then by the journal. */
import { dirname } from "node:path";
import type { StepContract } from "../../../contract/define.ts";
import type { RunReference } from "../../../contract/shared.ts";
import { MigrationError } from "../errors.ts";
import type { JournalRecord } from "../journal.ts";
import { runDirectoryPaths } from "../runDirectory.ts";
import { isCommitted, type StepState } from "../stepState.ts";
import { holdTarget } from "./targetHold.ts";
import {
    claimTarget,
    describeRecord,
    heldByAnother,
    holderOf,
    readTargetRecord,
    takeLost,
    workDirectoryLost,
    type TargetRecord,
} from "./targetRecord.ts";

type Contract = Pick<StepContract<never, never>, "name" | "phase" | "repeatable" | "irrevocable" | "owner">;

/** Steps of these phases make the target out of the source; after the commit they answer, or refuse. */
const beforeTheCommit: readonly string[] = ["stage", "migrate"];

/**
 * Whether the step is done and the journal answers, as it does for all that was done before the commit; else it may act.
 *
 * @throws MigrationError SM-E0740, SM-E0742, SM-E1502 when the target is another's, SM-E1503 when it would be made again
 */
export async function answersFromJournal(
    contract: Contract,
    run: RunReference,
    records: readonly JournalRecord[],
    { state }: StepState,
): Promise<boolean> {
    const journalCommitted = isCommitted(records);
    // Nothing is claimed by who only looks.
    const record = contract.phase === "assess" ? await ownRecord(run) : await claimTarget(run, journalCommitted);
    const committed = journalCommitted || (record !== undefined && record.state !== "held");
    if (state === "done" && isAnswered(contract, committed)) return true;
    const disposable = record?.disposable ?? run.disposable ?? false;
    if (committed && !disposable && beforeTheCommit.includes(contract.phase))
        throw new MigrationError("SM-E1503", {
            where: `step ${contract.name}, ${runDirectoryPaths(run.directory).journal}`,
            found: record === undefined ? "the record of the commit" : describeRecord(record),
            expected: "the record that the step was done",
            changed: "nothing",
        });
    return false;
}

/**
 * Runs what acts on a target, or takes something of it back, while nobody else does the same and nobody can take the target over. Who only
 * looks holds nothing, and where nobody has claimed a target there is none to hold.
 *
 * @throws MigrationError SM-E0706 while another process does the same step, SM-E0740 when the target was taken over meanwhile
 */
export async function holdingTarget<T>(contract: Contract, run: RunReference, work: () => Promise<T>): Promise<T> {
    const { target, directory } = run;
    if (target === undefined || contract.phase === "assess") return work();
    const isAnothers = async (): Promise<TargetRecord | undefined> => {
        const record = await readTargetRecord(target);
        return (await holderOf(record, dirname(directory))) === "another" ? record : undefined;
    };
    const isOfSource = contract.owner === "source" && (await isAnothers()) !== undefined;
    if (isOfSource || (await readTargetRecord(target)) === undefined) return work();
    const holder = `process ${process.pid}, step ${contract.name} of ${directory}, since ${new Date().toISOString()}`;
    const lock = await holdTarget(target, contract.name, holder, async () => {
        const record = await isAnothers();
        if (record !== undefined) throw heldByAnother(target, record);
    });
    try {
        return await work();
    } finally {
        await lock.release();
    }
}

function isAnswered({ repeatable }: Contract, committed: boolean): boolean {
    return repeatable === undefined || (repeatable === "before-commit" && committed);
}

async function ownRecord({ target, directory }: RunReference): Promise<TargetRecord | undefined> {
    const record = target === undefined ? undefined : await readTargetRecord(target);
    return (await holderOf(record, dirname(directory))) === "ours" ? record : undefined;
}

/** Of what is left alone somebody must know after the run. */
export type Permission =
    { readonly undo: true } | { readonly undo: false; readonly because: string; readonly isNote: boolean };
const no = (because: string, isNote = true): Permission => ({ undo: false, because, isNote });

/**
 * @param state  of the step, as the journal has it
 * @throws MigrationError SM-E0715 when neither journal nor record know of the step, SM-E0742 when the work directory was lost
 */
export async function mayUndo(
    contract: Contract,
    run: RunReference,
    records: readonly JournalRecord[],
    state: StepState,
): Promise<Permission> {
    const { target } = run;
    if (target !== undefined) await takeLost(target, dirname(run.directory));
    const record = target === undefined ? undefined : await readTargetRecord(target);
    const holder = await holderOf(record, dirname(run.directory));
    const isKnown = records.some(({ step }) => step === contract.name);
    const isOurs = record !== undefined && holder === "ours";
    if (target !== undefined && record !== undefined && !isOurs && contract.owner !== "source") {
        if (holder === "lost") throw workDirectoryLost(target, record);
        return no(`left as it is: the target is another's, ${describeRecord(record)}`);
    }
    const recordCommitted = isOurs && record.run === run.id && record.state !== "held";
    const committed = isCommitted(records) || recordCommitted;
    const disposable = (recordCommitted ? record.disposable : run.disposable) ?? false;
    if (committed && (contract.irrevocable === true || !disposable))
        return no("left as it is: the target is committed, and this belongs to the only server there is now");
    if (state.state !== "clean") return { undo: true };
    if (isKnown) return no("nothing to take back", false);
    // The stack has the step, and the journal has lost it: what it made says itself whose it is.
    if (isOurs || contract.owner === "source") return { undo: true };
    if (disposable) return no("nothing to take back: its work directory and its target's record are gone");
    throw new MigrationError("SM-E0715", {
        where: `step ${contract.name}, ${runDirectoryPaths(run.directory).journal}`,
        found: records.length === 0 ? "no journal, or an empty one" : "no record of the step",
        expected: "the record that it was done: the stack has the step's resource",
        changed: "nothing",
    });
}
