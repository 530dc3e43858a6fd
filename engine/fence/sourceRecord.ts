/**
 * The record at the source's own rows of who has fenced it, and whether it was left for good. Whoever would fence it, give it back or start a
 * server for it meets the record, whatever their work directory knows.
 */
import { dirname } from "node:path";
import { z } from "zod";
import { instant, type RunReference } from "../../contract/index.ts";
import { MigrationError } from "../run/errors.ts";
import { describeOwner, ensureOwner, owner, readOwner } from "../run/ownership/owner.ts";
import { parseJson } from "../run/parseJson.ts";

const sourceRecord = z.strictObject({
    owner,
    stack: z.string().optional(),
    run: z.string(),
    /** Directory of what it is moved to. */
    target: z.string().optional(),
    since: instant,
    /** `committed`: nobody ever starts the source again with this program. */
    state: z.enum(["fenced", "committed"]),
    /** The database's own `default_transaction_read_only` before it was fenced, null where it had none. */
    readOnly: z.string().nullable(),
});
export type SourceRecord = z.infer<typeof sourceRecord>;

/** Where the record is kept: at the database, or beside the file that is one. */
export interface RecordPlace {
    /** Only reads. @throws MigrationError SM-E0743 when it is damaged */
    read(): Promise<SourceRecord | undefined>;
    /** Reads, decides and writes; of two that claim at a time one meets what the other has written. @param change  undefined takes the record away */
    change<R extends SourceRecord | undefined>(change: (found: SourceRecord | undefined) => R): Promise<R>;
}

/** @param where  of what was read, for people. @throws MigrationError SM-E0743 */
export function parseSourceRecord(text: string, where: string): SourceRecord {
    const parsed = sourceRecord.safeParse(parseJson(text));
    if (parsed.success) return parsed.data;
    throw new MigrationError("SM-E0743", {
        where,
        found: "something else than a record",
        expected: "a record of this program",
        changed: "nothing",
    });
}

/**
 * Makes the run the one that fences the source. Of two that try, one finds the other's record.
 *
 * @param readOnly  what the database set before anybody fenced it
 * @throws MigrationError SM-E0741 when another stack has fenced the source, or any has committed it
 */
export async function claimSource(
    place: RecordPlace,
    run: RunReference,
    readOnly: string | null,
): Promise<SourceRecord> {
    const own = await ensureOwner(dirname(run.directory));
    return place.change((found) => {
        if (found !== undefined && (found.owner.id !== own.id || found.state === "committed")) throw notOurs(found);
        const { stack, target } = run;
        return {
            owner: own,
            ...(stack === undefined ? {} : { stack }),
            run: run.id,
            ...(target === undefined ? {} : { target }),
            since: found?.since ?? new Date().toISOString(),
            state: "fenced",
            readOnly: found === undefined ? readOnly : found.readOnly,
        };
    });
}

/**
 * @throws MigrationError SM-E0741 unless the record is this run's. A source that was fenced by a program that kept no records has none.
 */
export async function refuseOthersFence(place: RecordPlace, run: RunReference): Promise<void> {
    const found = await place.read();
    const own = await readOwner(dirname(run.directory));
    if (found !== undefined && (found.owner.id !== own?.id || found.run !== run.id)) throw notOurs(found);
}

/** The record that keeps a stack from fencing the source: another's, or of a source that was left for good. */
export async function fenceInTheWay(place: RecordPlace, runsDirectory: string): Promise<SourceRecord | undefined> {
    const found = await place.read();
    const own = await readOwner(runsDirectory);
    return found !== undefined && (found.owner.id !== own?.id || found.state === "committed") ? found : undefined;
}

/** Whether the fence is this run's to lift. `none`: nobody fences it, or somebody did with a program that kept no records. */
export async function whoseFence(
    place: RecordPlace,
    run: RunReference,
): Promise<{ readonly whose: "none" | "ours" | "another" | "committed"; readonly record?: SourceRecord }> {
    const record = await place.read();
    if (record === undefined) return { whose: "none" };
    const own = await readOwner(dirname(run.directory));
    if (record.owner.id !== own?.id || record.run !== run.id) return { whose: "another", record };
    return { whose: record.state === "committed" ? "committed" : "ours", record };
}

/** The source must never serve again. Safe to repeat. @throws MigrationError SM-E0741 when it is another's */
export async function markCommitted(place: RecordPlace, run: RunReference): Promise<void> {
    const own = await ensureOwner(dirname(run.directory));
    await place.change((found) => {
        if (found !== undefined && (found.owner.id !== own.id || found.run !== run.id)) throw notOurs(found);
        const first = { owner: own, run: run.id, since: new Date().toISOString(), readOnly: null };
        return { ...(found ?? first), state: "committed" as const };
    });
}

/** Takes this run's record away; what was there beside it is as it was. */
export async function releaseSource(place: RecordPlace, run: RunReference): Promise<void> {
    const own = await readOwner(dirname(run.directory));
    await place.change((found) =>
        found?.owner.id === own?.id && found?.run === run.id && found.state === "fenced" ? undefined : found,
    );
}

/** Puts a record there as a person has decided: adopted. */
export async function writeSourceRecord(place: RecordPlace, record: SourceRecord): Promise<void> {
    await place.change(() => sourceRecord.parse(record));
}

export function describeSourceRecord({ owner: of, stack, run, since, state, target }: SourceRecord): string {
    const to = target === undefined ? "" : `, to ${target}`;
    return `${state} since ${since} by run ${run} of ${describeOwner(of, stack)}${to}`;
}

function notOurs(record: SourceRecord): MigrationError {
    return new MigrationError("SM-E0741", {
        where: "the source's record of its fence",
        found: describeSourceRecord(record),
        expected: "a source that nobody has fenced, or that this very run has",
        changed: "nothing",
    });
}
