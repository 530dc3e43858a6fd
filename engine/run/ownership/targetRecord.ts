/**
 * The record beside what a target owns: whose it is, which run made it, and whether it was committed. Read before any act or undo, so that a
 * lost work directory, a lost state, another run and another stack meet it, and not an empty page.
 */
import { mkdir, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { instant, type RunReference } from "../../../contract/shared.ts";
import { writePrivateFile } from "../atomicFile.ts";
import { MigrationError } from "../errors.ts";
import { hasCode } from "../heldDirectory.ts";
import { parseJson } from "../parseJson.ts";
import { readTrusted } from "../trustedFile.ts";
import { recordDirectory, takingOver } from "./targetHold.ts";
import { describeOwner, ensureOwner, json, owner, readOwner, wasHere, writeOnce } from "./owner.ts";

const targetRecord = z.strictObject({
    format: z.literal(1),
    owner,
    stack: z.string().optional(),
    /** The newest run of that owner that acts here. */
    run: z.string(),
    /** `held`: may still be taken back. `committed`: the only server there is. `released`: that, and its stack may be forgotten. */
    state: z.enum(["held", "committed", "released"]),
    /** May be destroyed whole even after its commit; what it was when it was committed, whatever is configured since. */
    disposable: z.boolean(),
    /** The target's directory was not there before. */
    madeDirectory: z.boolean(),
    since: instant,
    /** From the commit on. */
    serverName: z.string().optional(),
    committedAt: instant.optional(),
});
export type TargetRecord = z.infer<typeof targetRecord>;

const recordFile = (target: string): string => join(recordDirectory(target), "record.json");

/**
 * Undefined where nobody has acted.
 *
 * @throws MigrationError SM-E0743 when what is there is no record of ours
 */
export async function readTargetRecord(target: string): Promise<TargetRecord | undefined> {
    const path = recordFile(target);
    const text = await readTrusted(path).catch((error: unknown) => {
        throw damaged(path, error instanceof MigrationError ? error.detail.found : String(error));
    });
    if (text === undefined) return undefined;
    const parsed = targetRecord.safeParse(parseJson(text));
    if (!parsed.success) throw damaged(path, "something else");
    return parsed.data;
}

/** Whose a target is, as seen from a directory of runs. */
export type Holder = "nobody" | "ours" | "lost" | "another";

/** `lost`: this directory's, of which nothing is left that could say so. */
export async function holderOf(record: TargetRecord | undefined, runsDirectory: string): Promise<Holder> {
    if (record === undefined) return "nobody";
    const own = await readOwner(runsDirectory);
    if (own !== undefined) return own.id === record.owner.id ? "ours" : "another";
    return wasHere(record.owner, runsDirectory) ? "lost" : "another";
}

/**
 * Makes the target this run's, or sees that it is. A newer run of the same owner takes over what an older one holds, as Pulumi makes the
 * new one's steps before it deletes the old one's.
 *
 * @param committed  by the journal: a target of a program that kept no records
 * @throws MigrationError SM-E0740 when it is another stack's, SM-E0742 when its work directory was lost, SM-E1502 when another run of
 *     this stack was committed
 */
export async function claimTarget(run: RunReference, committed: boolean): Promise<TargetRecord | undefined> {
    const { target } = run;
    if (target === undefined) return undefined;
    const runsDirectory = dirname(run.directory);
    const found = await readTargetRecord(target);
    const holder = await holderOf(found, runsDirectory);
    if (found === undefined) return claimFree(run, target, committed);
    if (holder === "another") throw heldByAnother(target, found);
    if (holder === "lost" && !found.disposable) throw workDirectoryLost(target, found);
    if (holder === "lost") {
        await takeLost(target, runsDirectory);
        return claimTarget(run, committed);
    }
    const own = await ensureOwner(runsDirectory);
    const isCommitted = found.state !== "held";
    if (isCommitted && found.run !== run.id && !found.disposable) throw anotherRunCommitted(run, found);
    const disposable = isCommitted ? found.disposable : (run.disposable ?? false);
    const stack = run.stack ?? found.stack;
    const now = { ...found, owner: own, run: run.id, disposable, ...(stack === undefined ? {} : { stack }) };
    if (JSON.stringify(now) !== JSON.stringify(found)) await writePrivateFile(recordFile(target), json(now));
    return now;
}

/**
 * Makes a disposable target this directory's, whose work directory was lost. Any other stays whose it is.
 *
 * @throws MigrationError SM-E0706 while a process of the lost one is alive
 */
export async function takeLost(target: string, runsDirectory: string): Promise<void> {
    const isLost = async (): Promise<boolean> =>
        (await holderOf(await readTargetRecord(target), runsDirectory)) === "lost";
    if (!(await isLost())) return;
    await takingOver(target, isLost, async () => {
        const found = await readTargetRecord(target);
        if (found?.disposable !== true) return;
        await writePrivateFile(recordFile(target), json({ ...found, owner: await ensureOwner(runsDirectory) }));
    });
}

async function claimFree(run: RunReference, target: string, committed: boolean): Promise<TargetRecord | undefined> {
    await mkdir(dirname(target), { recursive: true });
    const madeDirectory = await mkdir(target, { mode: 0o711 }).then(
        () => true,
        (error: unknown) => {
            if (hasCode(error, "EEXIST")) return false;
            throw error;
        },
    );
    await mkdir(recordDirectory(target), { recursive: true, mode: 0o700 });
    const record: TargetRecord = {
        format: 1,
        owner: await ensureOwner(dirname(run.directory)),
        ...(run.stack === undefined ? {} : { stack: run.stack }),
        run: run.id,
        state: committed ? "committed" : "held",
        disposable: run.disposable ?? false,
        madeDirectory,
        since: new Date().toISOString(),
    };
    // Two stacks at once: one of them finds the other's.
    return (await writeOnce(recordFile(target), record)) ? record : claimTarget(run, committed);
}

/** The point of no return as all that would take something back sees it: written before anything else that says so. */
export async function markTargetCommitted(run: RunReference, serverName: string): Promise<void> {
    const record = await claimTarget(run, false);
    if (run.target === undefined || record === undefined || record.state !== "held") return;
    const committedAt = new Date().toISOString();
    await writePrivateFile(recordFile(run.target), json({ ...record, state: "committed", serverName, committedAt }));
}

/** Writes a record as a person has decided: adopted, released. */
export async function writeTargetRecord(target: string, record: TargetRecord): Promise<void> {
    await writePrivateFile(recordFile(target), json(targetRecord.parse(record)));
}

/**
 * Removes the record of a run that has taken back all that it had there. A newer run's stays.
 *
 * @returns undefined when nothing was removed
 */
export async function removeTargetRecord(run: RunReference): Promise<TargetRecord | undefined> {
    const { target } = run;
    const record = target === undefined ? undefined : await readTargetRecord(target);
    if (target === undefined || record?.run !== run.id) return undefined;
    if ((await holderOf(record, dirname(run.directory))) !== "ours") return undefined;
    await rm(recordDirectory(target), { recursive: true, force: true });
    return record;
}

export function describeRecord({ owner: of, stack, run, state, since, committedAt }: TargetRecord): string {
    const how = state === "held" ? `held since ${since}` : `${state}, committed ${committedAt ?? "at an unknown time"}`;
    return `run ${run} of ${describeOwner(of, stack)}: ${how}`;
}

export function heldByAnother(target: string, record: TargetRecord): MigrationError {
    return new MigrationError("SM-E0740", {
        where: target,
        found: describeRecord(record),
        expected: "a target that nobody holds, or this very stack with the work directory that it was made with",
        changed: "nothing",
    });
}

export function workDirectoryLost(target: string, record: TargetRecord): MigrationError {
    return new MigrationError("SM-E0742", {
        where: record.owner.directory,
        found: `nothing of the owner that ${target} names: ${describeRecord(record)}`,
        expected: "the work directory that made the target",
        changed: "nothing",
    });
}

function anotherRunCommitted(run: { readonly id: string }, record: TargetRecord): MigrationError {
    return new MigrationError("SM-E1502", {
        where: `run ${run.id}`,
        found: describeRecord(record),
        expected: `the run ${record.run}`,
        changed: "nothing",
    });
}

function damaged(path: string, found: string): MigrationError {
    return new MigrationError("SM-E0743", {
        where: path,
        found,
        expected: "a record of this program",
        changed: "nothing",
    });
}
