/** Copies a database that goes on being written to, and has the target take over every later change. */
import type { Finding } from "../../../contract/shared.ts";
import { MigrationError } from "../../run/errors.ts";
import { until } from "../../run/until.ts";
import { compareDefinitions, describeDifference, readDefinitions } from "../catalogue/catalogue.ts";
import { foreignCode, runByReplication } from "../catalogue/foreignCode.ts";
import { describeAddress, type DatabaseAddress } from "../connection.ts";
import { tableFingerprints, type TableFingerprint } from "../compare/fingerprint.ts";
import { readDatabaseFacts } from "../server/serverFacts.ts";
import { undoFollowing, refuseLeftovers } from "./undoFollowing.ts";
import { writeBulk } from "./bulkRecord.ts";
import { readSchema, refuseChangedSchema } from "./definitionGuard.ts";
import { replicationName } from "./names.ts";
import { measureLag, notFollowing, type Lag } from "./progress.ts";
import { createPublication } from "./publication.ts";
import { otherRecords, readRecord, writeRecord } from "./sourceChanges.ts";
import { missingIdentities, setIdentities, type ReplicaIdentity } from "./replicaIdentity.ts";
import { onBoth, onSource, onTarget, type Replication } from "./sides.ts";
import { preflightSource } from "./sourcePreflight.ts";
import { createSlot, readSlot } from "./slot.ts";
import { createSubscription, upstreamOf } from "./subscription.ts";
import { preflightTarget } from "./targetPreflight.ts";
import { makeTemporaryKeys } from "./temporaryKeys.ts";

/** How the rows of the snapshot get to the target. */
interface BulkCopy {
    readonly source: DatabaseAddress;
    readonly target: DatabaseAddress;
    /** The same database, as the role that makes extensions which the owner may not make. */
    readonly admin: DatabaseAddress;
    /** For `SET TRANSACTION SNAPSHOT`. */
    readonly snapshot: string;
    readonly step: string;
    readonly jobs: number;
}
export type CopyRows = (
    copy: BulkCopy,
    run: Replication["run"],
) => Promise<{ readonly tables: readonly TableFingerprint[]; readonly bytes: number }>;

export interface FollowOptions {
    /** Makes definitions, rows, indexes and constraints of the snapshot in the empty incoming database. */
    readonly copy: CopyRows;
    /** Connections at a time, on each side. */
    readonly jobs: number;
    /** The subscription's first contact with the source is waited for this long, seconds; 60 when absent. */
    readonly contactSeconds?: number;
    /** How long the target may need to take over what was written during the copy, seconds; an hour when absent. */
    readonly settleSeconds?: number;
}

export interface Following {
    /** Of slot, publication and subscription. */
    readonly name: string;
    /** SHA-256 of the record of what was copied. */
    readonly digest: string;
    readonly tables: number;
    readonly rows: number;
    readonly bytes: number;
    /** Of the copy and its comparison. */
    readonly seconds: number;
    /** Tables that got a replica identity for as long as they are followed. */
    readonly identities: number;
    readonly lag: Lag;
    /** What should be known while it follows. */
    readonly findings: readonly Finding[];
}

/**
 * Makes the target follow the source. The order matters: replica identities, publication, slot, copy, subscription; see section 31 of
 * PostgreSQL's manual, and `replicaIdentity.ts` for what goes wrong otherwise.
 *
 * Whatever a killed attempt has left is removed first. On failure everything is taken back; the incoming database is the caller's.
 *
 * @throws MigrationError SM-E0545, SM-E1301 to SM-E1304, SM-E1305, SM-E1306, SM-E1307 when copy and snapshot differ, SM-E1309
 */
export async function follow(replication: Replication, options: FollowOptions): Promise<Following> {
    const { run } = replication;
    refuseLeftovers(await undoFollowing(replication, true), "what an earlier attempt has left");
    const findings = await preflightSource(replication);
    await preflightTarget(replication);
    await refuseCodeOfWorker(replication, "source");
    try {
        return { ...(await begin(replication, options)), findings };
    } catch (error) {
        const left = await undoFollowing(replication, true).catch((failure: unknown) => [String(failure)]);
        for (const line of left) run.progress.note(`left behind: ${line}`);
        throw error;
    }
}

async function begin(replication: Replication, options: FollowOptions): Promise<Omit<Following, "findings">> {
    const { run, source, owner, step } = replication;
    const { jobs } = options;
    const name = replicationName(run.id);
    const began = performance.now();
    const startedAt = new Date().toISOString();
    return onSource(replication, async (client) => {
        const facts = await readDatabaseFacts(client);
        const schema = await readSchema(client);
        const identities = await recordIdentities(replication, await missingIdentities(client));
        await run.progress.during(`giving ${identities.length} tables a replica identity`, () =>
            setIdentities(client, identities, { signal: run.signal }),
        );
        const published = await createPublication(client, name);
        const slot = await run.progress.during("making the replication slot and its snapshot", () =>
            createSlot(source, name, client, run.signal),
        );
        try {
            const signal = AbortSignal.any([run.signal, slot.lost]);
            const { tables, bytes } = await options.copy(
                { source, target: owner, admin: replication.target, snapshot: slot.snapshot, step, jobs },
                { ...run, signal },
            );
            await slot.release();
            await run.progress.during("comparing the copy with the snapshot", () =>
                refuseUnequalCopy(replication, tables, jobs),
            );
            await refuseCodeOfWorker(replication, "target");
            const { targetVersion, temporaryKeys } = await onTarget(replication, async (target) => {
                await setIdentities(target, await missingIdentities(target), { signal: run.signal });
                const { version, versionNumber } = await readDatabaseFacts(target);
                const copied = { ...schema, definitions: await readDefinitions(target) };
                // Also whatever changed on the source between the reading and the slot.
                refuseChangedSchema(schema, copied, describeAddress(source));
                const keys = await makeTemporaryKeys(target, versionNumber);
                return { targetVersion: version, temporaryKeys: keys };
            });
            const seconds = Math.round(performance.now() - began) / 1000;
            const digest = await writeBulk(run.directory, {
                ...{ run: run.id, copiedAt: startedAt, seconds, tables: [...tables], published, temporaryKeys },
                ...{ sourceVersion: facts.version, targetVersion, ...schema },
            });
            const lag = await subscribe(replication, options);
            const record = await readRecord(run.directory);
            if (record === undefined) throw new Error("the record of the replication is gone");
            await writeRecord(run.directory, { ...record, state: "following" });
            const rows = tables.reduce((sum, table) => sum + table.rows, 0);
            return {
                ...{ name, digest, tables: tables.length, rows, bytes, seconds },
                ...{ identities: identities.length, lag },
            };
        } finally {
            await slot.release();
        }
    });
}

/** From this version on the worker that applies changes acts as the owner of each table. */
const actsAsOwner = 160000;

/**
 * Before, it acts as the role that made the subscription, a superuser, and what checks and indexes call would run as that one. Triggers do
 * not fire there unless they are made for replicas.
 *
 * @param where  the source, to know early; the target has what will run
 * @throws MigrationError SM-E0545 also for code that is accepted
 */
async function refuseCodeOfWorker(replication: Replication, where: "source" | "target"): Promise<void> {
    const { versionNumber } = await onTarget(replication, readDatabaseFacts);
    if (versionNumber >= actsAsOwner) return;
    const on = where === "source" ? onSource : onTarget;
    const names = runByReplication(await on(replication, (client) => foreignCode(client)));
    if (names.length === 0) return;
    throw new MigrationError("SM-E0545", {
        where: describeAddress(replication[where]),
        found: names.join("\n"),
        expected:
            "only Synapse's own, as a server before PostgreSQL 16 runs what it takes over with the rights of a superuser",
        fix: "set `copy: direct`, use a target of PostgreSQL 16 or newer, or remove it from the source; naming it in `foreignCode` is not enough here",
    });
}

/** Written before the first change. What another run has set is taken over: its undo leaves alone what is published. */
async function recordIdentities({ run }: Replication, planned: readonly ReplicaIdentity[]): Promise<ReplicaIdentity[]> {
    const inherited = (await otherRecords(run.directory)).flatMap(({ identities }) => identities);
    const byTable = new Map([...inherited, ...planned].map((each) => [`${each.schema}.${each.table}`, each]));
    await writeRecord(run.directory, {
        ...{ run: run.id, identities: [...byTable.values()], state: "preparing", sourceCleared: false },
    });
    return [...planned];
}

async function refuseUnequalCopy(
    { owner, step, run }: Replication,
    tables: readonly TableFingerprint[],
    jobs: number,
): Promise<void> {
    const found = await tableFingerprints(owner, { step, jobs, signal: run.signal });
    const nameOf = ({ schema, name }: TableFingerprint): string => `${schema}.${name}`;
    const lines = (list: readonly TableFingerprint[]) =>
        list.map((table) => ({
            kind: "rows of",
            name: nameOf(table),
            definition: `${table.rows} rows, hash ${table.hash}`,
        }));
    const differences = compareDefinitions(lines(tables), lines(found));
    if (differences.length === 0) return;
    throw new MigrationError("SM-E1307", {
        where: describeAddress(owner),
        found: differences.slice(0, 5).map(describeDifference).join("\n"),
        expected: "the rows of the snapshot that was copied",
        changed: "the copy is thrown away, and the source left as it was",
    });
}

async function subscribe(replication: Replication, options: FollowOptions): Promise<Lag> {
    const { source, seenFromTarget, passwordFile, run } = replication;
    const { contactSeconds = 60, settleSeconds = 3600 } = options;
    return onBoth(replication, async (sides) => {
        const upstream = upstreamOf(source, seenFromTarget, passwordFile);
        try {
            await createSubscription(sides.target, sides.name, upstream);
        } catch (error) {
            throw new MigrationError("SM-E1304", {
                where: `${upstream.host}:${upstream.port}, as seen from the target's server`,
                found: error instanceof Error ? error.message : String(error),
                cause: error,
            });
        }
        const { signal } = run;
        // Also the proof that the server which the target reaches there is the source's, and not another one.
        await until(
            async () => (await readSlot(sides.source, sides.name))?.active === true || undefined,
            { seconds: contactSeconds, signal },
            () => notFollowing(sides, `nobody reads from the slot ${contactSeconds} s after the subscription was made`),
        );
        return run.progress.during("taking over what was written during the copy", () =>
            measureLag(sides, { seconds: settleSeconds, signal }),
        );
    });
}
