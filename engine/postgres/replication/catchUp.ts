/** Takes the last change over from a source that has been fenced, proves it, and ends the following. */
import { escapeLiteral } from "pg";
import type { Check } from "../../../contract/shared.ts";
import { MigrationError } from "../../run/errors.ts";
import { outcome } from "../compare/stateChecks.ts";
import { describeAddress, quotedName, withClient, type Client } from "../connection.ts";
import { tableFingerprints, type TableFingerprint } from "../compare/fingerprint.ts";
import { compareSequences, readSequences, type Sequence } from "../sequences/sequences.ts";
import { clearSource, refuseLeftovers } from "./undoFollowing.ts";
import { readBulk, type BulkRecord } from "./bulkRecord.ts";
import { readSchema, refuseChangedSchema } from "./definitionGuard.ts";
import { readProof, removeProof, writeProof, type CatchUpProof } from "./catchUpProof.ts";
import { replicationName } from "./names.ts";
import { currentPosition, requireFollowing, waitForPosition, type Sides } from "./progress.ts";
import { readRecord, writeRecord } from "./sourceChanges.ts";
import { resetIdentities } from "./replicaIdentity.ts";
import { onBoth, onTarget, type Replication } from "./sides.ts";
import { dropSubscription, readSubscription } from "./subscription.ts";
import { compareTails } from "./tail.ts";
import { dropTemporaryKeys, goOnWithoutKeys } from "./temporaryKeys.ts";
import { copyUnlogged } from "./unloggedTables.ts";

export interface CatchUpOptions {
    /** Of the record that {@link follow} wrote. */
    readonly digest: string;
    /** `strict` hashes every row of both sides; `quick` takes the same time at any size. */
    readonly verify: "quick" | "strict";
    /** Connections at a time on each side, for `strict`. */
    readonly jobs: number;
    /** The last change must have arrived within this time, seconds; 120 when absent. */
    readonly deadlineSeconds?: number;
}

export interface CaughtUp extends CatchUpProof {
    readonly bulk: BulkRecord;
    /** Seconds of each part, in order; of this attempt. */
    readonly parts: Readonly<Record<string, number>>;
    /** Objects on the source that could not be removed yet: the undo of the following tries again. */
    readonly left: readonly string[];
}

/**
 * Nobody may write to the source any more when this is called. Safe to repeat: once the last change is proven to be there, only what is
 * left to be removed is.
 *
 * @throws MigrationError SM-E1305, SM-E1306, SM-E1307 naming what is not the same, SM-E1310 when this run has ended following before
 */
export async function catchUp(replication: Replication, options: CatchUpOptions): Promise<CaughtUp> {
    const { run } = replication;
    const record = await readRecord(run.directory);
    const bulk = record === undefined ? undefined : await readBulk(run.directory, options.digest);
    if (record === undefined || bulk === undefined) throw followingEnded(replication, undefined);
    const earlier = record.state === "ended" ? await readProof(run.directory) : undefined;
    if (record.state !== "following" && earlier === undefined) throw followingEnded(replication, record.state);
    const parts: Record<string, number> = {};
    const timed: Timed = async (part, work) => {
        const began = performance.now();
        try {
            return await work();
        } finally {
            parts[part] = Math.round(performance.now() - began) / 1000;
        }
    };
    const proof = earlier ?? (await prove(replication, options, bulk, timed));
    // From here on the target is a server of its own: nothing that the source writes reaches it any more.
    await writeProof(run.directory, proof);
    await writeRecord(run.directory, { ...record, state: "ended" });
    await timed("subscription", () =>
        onTarget(replication, async (target) => {
            await dropSubscription(target, replicationName(run.id));
            await dropTemporaryKeys(target, bulk.temporaryKeys);
            await resetIdentities(target, record.identities, { signal: run.signal });
        }),
    );
    const left = await timed("source cleared", () => clearSource(replication, run.signal));
    for (const line of left) run.progress.note(`still on the source: ${line}`);
    return { ...proof, bulk, parts, left };
}

/**
 * For who goes back to the source: ends what a catch-up that was killed has left half-done, so that no slot stays without a reader. A target
 * that still follows goes on. After it, a catch-up that had ended cannot be repeated.
 *
 * @throws MigrationError SM-E1308 when something is left
 */
export async function forgetCatchUp(replication: Replication): Promise<void> {
    const { run } = replication;
    const record = await readRecord(run.directory);
    if (record?.state !== "ended") return;
    await removeProof(run.directory);
    const left: string[] = [];
    await onTarget(replication, (target) => dropSubscription(target, replicationName(run.id))).catch((error: unknown) =>
        left.push(`subscription in ${describeAddress(replication.target)}: ${String(error)}`),
    );
    if (!record.sourceCleared) left.push(...(await clearSource(replication, run.signal)));
    refuseLeftovers(left, `run ${run.id}`);
}

type Timed = <T>(part: string, work: () => Promise<T>) => Promise<T>;

async function prove(
    replication: Replication,
    options: CatchUpOptions,
    bulk: BulkRecord,
    timed: Timed,
): Promise<CatchUpProof> {
    const { run, owner, source } = replication;
    return onBoth(replication, async (sides) => {
        const onFailure = goOnWithoutKeys(sides.target, bulk.temporaryKeys, (line) => run.progress.say(line));
        const deadline = { seconds: options.deadlineSeconds ?? 120, signal: run.signal, onFailure };
        const position = await timed("last change", () =>
            run.progress.during("waiting for the last change", async () => {
                await requireFollowing(sides);
                const last = await lastPosition(sides.source);
                await waitForPosition(sides, last, deadline);
                return last;
            }),
        );
        await timed("unlogged tables", () =>
            withClient(owner, { step: replication.step, signal: run.signal }, (target) =>
                copyUnlogged(sides.source, target),
            ),
        );
        const sequences = await timed("sequences", () => copySequences(sides));
        const { checks, tables } = await timed("checks", () => check(replication, sides, bulk, sequences, options));
        const failed = checks.filter(({ state }) => state === "failed");
        if (failed.length > 0)
            throw new MigrationError("SM-E1307", {
                where: `${describeAddress(source)} and ${describeAddress(owner)}`,
                found: failed.map(({ id, evidence }) => `${id}: ${evidence}`).join("\n"),
                expected: "the same on both sides",
                changed: "the target still follows",
            });
        return { position, checks, sequences, ...(tables === undefined ? {} : { tables }) };
    });
}

/**
 * The position after the last change. A change that was committed with `synchronous_commit = off` may not be on the disk yet, and is not sent
 * before it is. So a transaction with `on` is committed here, which writes the log up to itself. It needs something to write: a message
 * (PostgreSQL manual 9.28.6), which a subscription does not take over.
 */
async function lastPosition(source: Client): Promise<string> {
    await source.query(
        "BEGIN; SET LOCAL synchronous_commit = on; SELECT pg_logical_emit_message(true, 'synapse_migration', 'last'); COMMIT",
    );
    return currentPosition(source);
}

/** Values travel in one batch; what the target has afterwards is compared. */
async function copySequences({ source, target }: Sides): Promise<Sequence[]> {
    const sequences = await readSequences(source);
    const values = sequences.map(
        ({ schema, name, lastValue, isCalled }) =>
            `SELECT setval(${escapeLiteral(quotedName(schema, name))}::regclass, ${BigInt(lastValue)}, ${isCalled})`,
    );
    if (values.length > 0) await target.query(values.join(";\n"));
    return sequences;
}

async function check(
    { source, owner, step, run }: Replication,
    sides: Sides,
    bulk: BulkRecord,
    sequences: readonly Sequence[],
    { verify, jobs }: CatchUpOptions,
): Promise<{ checks: Check[]; tables: TableFingerprint[] | undefined }> {
    refuseChangedSchema(bulk, await readSchema(sides.source), describeAddress(source));
    const subscription = await readSubscription(sides.target, sides.name);
    const tails = await compareTails(sides.source, sides.target);
    const bulkRows = bulk.tables.reduce((sum, { rows }) => sum + rows, 0);
    const copied = `${bulk.tables.length} tables, ${bulkRows} rows: counts and hashes equal at ${bulk.copiedAt}`;
    const options = { step, jobs, signal: run.signal };
    const [here, there] =
        verify === "quick"
            ? []
            : await run.progress.during("hashing every row on both sides", () =>
                  Promise.all([tableFingerprints(source, options), tableFingerprints(owner, options)]),
              );
    return {
        tables: here,
        checks: [
            outcome(
                "replica-sequences",
                compareSequences(sequences, await readSequences(sides.target)),
                `${sequences.length} sequences equal, is_called too`,
            ),
            outcome(
                "replica-subscription",
                subscription === undefined
                    ? ["the subscription is gone"]
                    : subscription.notReady > 0
                      ? [`${subscription.notReady} tables are not ready`]
                      : [],
                "every table is ready",
            ),
            errorsCheck(subscription?.errors ?? null),
            {
                id: "replica-definitions",
                state: "passed",
                evidence: "unchanged since the copy, schema version included",
            },
            outcome(
                "replica-tails",
                tails.differences.map(
                    (each) => `${each.table}: ${each.source} on the source, ${each.target} on the target`,
                ),
                `the newest ${tails.rows} rows of ${tails.tables} tables are equal`,
            ),
            { id: "replica-copy", state: "passed", evidence: copied },
            here === undefined || there === undefined
                ? {
                      id: "replica-rows",
                      state: "not-run",
                      evidence: "verify: quick compares the newest rows and the copy",
                  }
                : outcome("replica-rows", unequal(here, there), `${here.length} tables: counts and hashes equal`),
        ],
    };
}

/** Each one was got over, or the last change would not have arrived. */
function errorsCheck(errors: number | null): Check {
    const id = "replica-errors";
    if (errors === null) return { id, state: "not-run", evidence: "PostgreSQL before 15 does not count them" };
    if (errors === 0) return { id, state: "passed", evidence: "none while it followed" };
    return {
        id,
        state: "warning",
        evidence: `${errors} while it followed, all of them got over; see the log of the target's server`,
    };
}

function unequal(source: readonly TableFingerprint[], target: readonly TableFingerprint[]): string[] {
    const nameOf = ({ schema, name }: TableFingerprint): string => `${schema}.${name}`;
    const text = (table: TableFingerprint | undefined): string =>
        table === undefined ? "absent" : `${table.rows} rows, hash ${table.hash}`;
    const [from, to] = [source, target].map((side) => new Map(side.map((table) => [nameOf(table), table])));
    return [...new Set([...source, ...target].map(nameOf))].sort().flatMap((name) => {
        const [here, there] = [text(from?.get(name)), text(to?.get(name))];
        return here === there ? [] : [`${name}: ${here} on the source, ${there} on the target`];
    });
}

function followingEnded({ run }: Replication, state: string | undefined): MigrationError {
    return new MigrationError("SM-E1310", {
        where: `run ${run.id}`,
        found:
            state === "ended"
                ? "this run has taken over the last change before, and follows no more"
                : "this run does not follow the source",
        expected: "a run that follows",
    });
}
