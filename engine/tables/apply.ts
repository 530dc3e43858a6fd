/** Merges what a plan says into the homeserver's tables: in one transaction, and only while both sides are as they were. */
import { escapeIdentifier } from "pg";
import { describeAddress, quotedName, withClient, type Client, type DatabaseAddress } from "../postgres/connection.ts";
import { sequenceFaults } from "../postgres/sequences/synapseSequences.ts";
import { MigrationError, throwAll } from "../run/errors.ts";
import { canonicalJson } from "../synapse/canonicalJson.ts";
import { refuseOthers } from "./otherSessions.ts";
import { examine, type ExaminedTable } from "./examination.ts";
import { differenceOf } from "./difference.ts";
import { liveSchema } from "./pairedTable.ts";
import type { TablesPlan } from "./plan.ts";
import { kindColumn, sameKey, type PlannedTable } from "./plannedRows.ts";
import { requireSideSchema } from "./sideSchema.ts";
import { readForeignKeys, type ForeignKey } from "./tableShape.ts";

/** A session that has just been closed takes a moment to go. */
const goodbyeSeconds = 3;

export interface MergedTable {
    readonly table: string;
    readonly inserted: number;
    readonly replaced: number;
}

/**
 * Nothing is changed unless all of it is. The side schema stays, and the plan is stale afterwards.
 *
 * @throws MigrationError SM-E0988 for a plan with refusals, the first of which it names; SM-E0986 while anybody
 *     is connected; SM-E0985 when either side has changed; SM-E0981 to SM-E0984, SM-E0987 as when the plan was made; SM-E0989 when the
 *     outcome is not the planned one
 */
export async function applyPlan(
    plan: TablesPlan,
    address: DatabaseAddress,
    signal?: AbortSignal,
): Promise<MergedTable[]> {
    const where = describeAddress(address);
    const [refusal] = plan.refusals;
    if (refusal !== undefined)
        throw new MigrationError("SM-E0988", {
            where: plan.sideSchema,
            found: `a plan that must not be applied: ${refusal.code}, ${refusal.where}`,
            expected: "a plan without refusals",
            fix: "do what its Markdown says first, then make the plan again",
        });
    const session = { step: "tables", statementSeconds: 0, ...(signal === undefined ? {} : { signal }) };
    return withClient(address, session, async (client) => {
        await client.query("SET search_path = pg_catalog");
        await refuseOthers(client, where, goodbyeSeconds);
        await requireSideSchema(client, plan.sideSchema);
        await client.query("BEGIN ISOLATION LEVEL REPEATABLE READ");
        try {
            const merged = await merge(client, plan, where);
            await client.query("COMMIT");
            return merged;
        } catch (error) {
            await client.query("ROLLBACK").catch(() => undefined);
            throw error;
        }
    });
}

async function merge(client: Client, plan: TablesPlan, where: string): Promise<MergedTable[]> {
    const names = plan.tables.map(({ difference }) => difference.table);
    const keys = await lockTables(client, plan.sideSchema, names, where);
    // Whoever came before the locks were there is seen now; whoever comes later waits for them.
    await refuseOthers(client, where, 0);
    const { tables, problems } = await examine(client, plan.sideSchema, names, plan.replace);
    refuseStale(plan, tables);
    throwAll(problems);
    const before = new Set((await sequenceFaults(client)).map(({ sequence, state }) => `${sequence} ${state}`));
    // Synapse's triggers name tables without their schema.
    await client.query(`SET LOCAL search_path = ${escapeIdentifier(liveSchema)}, pg_catalog`);
    const merged: MergedTable[] = [];
    for (const { planned } of parentsFirst(tables, keys)) merged.push(await write(client, planned));
    await client.query("SET CONSTRAINTS ALL IMMEDIATE");
    await client.query("SET LOCAL search_path = pg_catalog");
    for (const table of tables) await verify(client, table);
    const faults = (await sequenceFaults(client)).filter(({ sequence, state }) => !before.has(`${sequence} ${state}`));
    throwAll(
        faults.map(({ sequence, evidence }) => new MigrationError("SM-E0984", { where: sequence, found: evidence })),
    );
    return merged;
}

/** @returns foreign keys among the tables and to them */
async function lockTables(
    client: Client,
    sideSchema: string,
    names: readonly string[],
    where: string,
): Promise<ForeignKey[]> {
    const locked = [liveSchema, sideSchema].flatMap((schema) => names.map((name) => quotedName(schema, name)));
    try {
        await client.query(`LOCK TABLE ${locked.join(", ")} IN SHARE ROW EXCLUSIVE MODE NOWAIT`);
    } catch (error) {
        const code = error instanceof Error && "code" in error ? error.code : undefined;
        if (code === "55P03")
            throw new MigrationError("SM-E0986", { where, found: "a transaction that has locked one of the tables" });
        if (code === "42P01")
            throw new MigrationError("SM-E0985", { where, found: "a table of the plan is gone", cause: error });
        throw error;
    }
    return readForeignKeys(client, liveSchema, names);
}

function refuseStale(plan: TablesPlan, tables: readonly ExaminedTable[]): void {
    const changed = tables.flatMap(({ difference, planned: { inserts, replaces } }, index) => {
        const then = plan.tables[index];
        const now = { difference, inserts, replaces };
        return then !== undefined && canonicalJson(then).equals(canonicalJson(now)) ? [] : [difference.table];
    });
    if (changed.length === 0) return;
    throw new MigrationError("SM-E0985", {
        where: plan.sideSchema,
        found: `other rows than at ${plan.madeAt}, or other columns, in ${changed.join(", ")}`,
    });
}

/** Tables before those that refer to them; in the plan's order where they refer to one another. */
function parentsFirst(tables: readonly ExaminedTable[], keys: readonly ForeignKey[]): ExaminedTable[] {
    const waiting = [...tables];
    const sorted: ExaminedTable[] = [];
    while (waiting.length > 0) {
        const isFree = ({ planned }: ExaminedTable): boolean =>
            !keys.some(
                ({ table, referred }) =>
                    table === planned.name &&
                    referred !== table &&
                    waiting.some((other) => other.planned.name === referred),
            );
        const next = waiting.findIndex(isFree);
        sorted.push(...waiting.splice(Math.max(0, next), 1));
    }
    return sorted;
}

async function write(client: Client, table: PlannedTable): Promise<MergedTable> {
    const columns = table.common.map((name) => escapeIdentifier(name)).join(", ");
    const inserted = await client.query(
        `INSERT INTO ${table.live} (${columns}) OVERRIDING SYSTEM VALUE
        SELECT ${columns} FROM ${table.planned} WHERE ${kindColumn} = 'insert'`,
    );
    const others = table.common.filter((name) => !table.key.includes(name));
    const set = others.map((name) => `${escapeIdentifier(name)} = p.${escapeIdentifier(name)}`).join(", ");
    const replaced =
        table.replaces === 0
            ? 0
            : (
                  await client.query(
                      `UPDATE ${table.live} l SET ${set} FROM ${table.planned} p WHERE p.${kindColumn} = 'replace' AND ${sameKey(table, "p", "l")}`,
                  )
              ).rowCount;
    return { table: table.name, inserted: inserted.rowCount ?? 0, replaced: replaced ?? 0 };
}

/** All rows of the backup are there now, and no other row has come or gone. */
async function verify(client: Client, { difference, planned }: ExaminedTable): Promise<void> {
    const after = await differenceOf(client, planned);
    const expected = {
        onlyBackup: 0,
        onlyLive: difference.onlyLive.rows,
        different: difference.different.rows - planned.replaces,
        same: difference.same + planned.inserts + planned.replaces,
    };
    const found = {
        onlyBackup: after.onlyBackup.rows,
        onlyLive: after.onlyLive.rows,
        different: after.different.rows,
        same: after.same,
    };
    if (canonicalJson(expected).equals(canonicalJson(found))) return;
    throw new MigrationError("SM-E0989", {
        where: `table ${planned.name}`,
        found: JSON.stringify(found),
        expected: JSON.stringify(expected),
    });
}
