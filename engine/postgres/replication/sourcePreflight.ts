/** Whether a source can be followed: all that is missing, at once, and before anything is changed. */
import { z } from "zod";
import type { Finding } from "../../../contract/shared.ts";
import { MigrationError, throwAll } from "../../run/errors.ts";
import { describeAddress, query, queryOne, type Client, type DatabaseAddress } from "../connection.ts";
import { readDatabaseFacts, refuseOldServer, refuseStandby } from "../server/serverFacts.ts";
import { publishedTables } from "./replicaIdentity.ts";
import { onSource, type Replication } from "./sides.ts";
import { identifySystem } from "./slot.ts";
import { unloggedTables } from "./unloggedTables.ts";

/** Unlogged tables are copied while the homeserver is down: Synapse's hold a few locks. */
const largestUnloggedBytes = 64 * 1024 * 1024;
const mebibyte = 1024 * 1024;

/**
 * @returns what should be known and does not keep anybody from following
 * @throws MigrationError or MigrationErrors SM-E1301, SM-E1302, SM-E1303, SM-E0502, SM-E0806
 */
export async function preflightSource(replication: Replication): Promise<Finding[]> {
    return onSource(replication, async (client) => {
        const { problems, findings } = await sourceReadiness(client, replication.source);
        throwAll(problems);
        return findings;
    });
}

/**
 * What {@link preflightSource} would say. Only reads, besides a replication connection that asks the server who it is.
 *
 * @param client  in the source's database
 * @throws MigrationError SM-E0502, SM-E0806
 */
export async function sourceReadiness(
    client: Client,
    source: DatabaseAddress,
): Promise<{ readonly problems: MigrationError[]; readonly findings: Finding[] }> {
    const where = describeAddress(source);
    const facts = await readDatabaseFacts(client);
    refuseOldServer(facts, where);
    refuseStandby(facts, where);
    return {
        problems: [
            ...(await serverProblems(client, where)),
            ...(await roleProblems(source, client, where, facts.systemIdentifier)),
            ...(await contentProblems(client, where)),
        ],
        findings: await slotLimit(client, facts.sizeBytes),
    };
}

const settingsShape = z.object({
    walLevel: z.string(),
    slots: z.number(),
    usedSlots: z.number(),
    senders: z.number(),
    usedSenders: z.number(),
});

async function serverProblems(client: Client, where: string): Promise<MigrationError[]> {
    const { walLevel, slots, usedSlots, senders, usedSenders } = await queryOne(
        client,
        settingsShape,
        `SELECT current_setting('wal_level') AS "walLevel", current_setting('max_replication_slots')::int AS slots,
            (SELECT count(*)::int FROM pg_replication_slots) AS "usedSlots", current_setting('max_wal_senders')::int AS senders,
            (SELECT count(*)::int FROM pg_stat_replication) AS "usedSenders"`,
    );
    const problem = (found: string, expected: string, fix: string): MigrationError =>
        new MigrationError("SM-E1301", { where, found, expected, fix });
    const restart = "and restart the server: plan that as a short stop of its own";
    return [
        ...(walLevel === "logical"
            ? []
            : [
                  problem(
                      `wal_level = ${walLevel}`,
                      "wal_level = logical",
                      `ALTER SYSTEM SET wal_level = logical, ${restart}`,
                  ),
              ]),
        ...(usedSlots < slots
            ? []
            : [
                  problem(
                      `all ${slots} replication slots are in use`,
                      "one that is free",
                      `is one of them forgotten? \`synapse-migrate slots\` lists those of this program. Else raise max_replication_slots, ${restart}`,
                  ),
              ]),
        ...(usedSenders < senders
            ? []
            : [
                  problem(
                      `all ${senders} WAL senders are in use`,
                      "one that is free",
                      `raise max_wal_senders, ${restart}`,
                  ),
              ]),
    ];
}

async function roleProblems(
    source: DatabaseAddress,
    client: Client,
    where: string,
    systemIdentifier: string | null,
): Promise<MigrationError[]> {
    const problems: MigrationError[] = [];
    const role = client.escapeIdentifier(source.user);
    const lacks = (found: string, fix: string): void =>
        void problems.push(
            new MigrationError("SM-E1302", {
                where,
                found: `role "${source.user}" ${found}`,
                fix: `as a superuser: ${fix}`,
            }),
        );
    // Asked in vain where the attribute is missing, whatever a hosting provider calls it.
    const identified = await identifySystem(source).catch((error: unknown) => error);
    if (identified instanceof MigrationError && /REPLICATION|replication role/i.test(identified.detail.found))
        lacks(
            "may not replicate",
            `ALTER ROLE ${role} REPLICATION (where there is a role rds_replication: GRANT rds_replication TO ${role})`,
        );
    else if (identified instanceof MigrationError) problems.push(identified);
    else if (systemIdentifier !== null && identified !== systemIdentifier)
        problems.push(
            new MigrationError("SM-E1301", {
                where,
                found: `a replication connection leads to server ${String(identified)}, others to ${systemIdentifier}`,
                expected: "one server behind the address: is it a pooler?",
            }),
        );
    const { may } = await queryOne(
        client,
        z.object({ may: z.boolean() }),
        "SELECT has_database_privilege(current_database(), 'CREATE') AS may",
    );
    if (!may)
        lacks(
            "may not make a publication",
            `GRANT CREATE ON DATABASE ${client.escapeIdentifier(source.name)} TO ${role}`,
        );
    const foreign = await query(
        client,
        z.object({ name: z.string(), owner: z.string() }),
        `SELECT c.oid::regclass::text AS name, pg_get_userbyid(c.relowner) AS owner FROM ${publishedTables}
            AND NOT pg_has_role(c.relowner, 'USAGE') ORDER BY 1`,
    );
    const [first] = foreign;
    if (first !== undefined)
        lacks(
            `does not own ${foreign.length} tables, ${first.name} among them`,
            `GRANT ${client.escapeIdentifier(first.owner)} TO ${role}`,
        );
    return problems;
}

async function contentProblems(client: Client, where: string): Promise<MigrationError[]> {
    const objects = await query(
        client,
        z.object({ object: z.string() }),
        `SELECT 'materialized view ' || c.oid::regclass::text AS object FROM pg_class c WHERE c.relkind = 'm'
        UNION ALL SELECT 'foreign table ' || c.oid::regclass::text FROM pg_class c WHERE c.relkind = 'f'
        UNION ALL SELECT 'large object ' || min(oid)::text || ', ' || count(*) || ' in all' FROM pg_largeobject_metadata HAVING count(*) > 0
        UNION ALL SELECT 'table ' || c.oid::regclass::text || ', which has no replica identity (NOTHING)' FROM ${publishedTables}
            AND (c.relreplident = 'n' OR c.relreplident = 'i'
                AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisreplident AND i.indisvalid))`,
    );
    const unlogged = await unloggedTables(client);
    const bytes = unlogged.reduce((sum, table) => sum + table.bytes, 0);
    const found = [
        ...objects.map(({ object }) => object),
        ...(bytes > largestUnloggedBytes
            ? [
                  `${unlogged.length} unlogged tables of ${Math.round(bytes / mebibyte)} MiB, ${unlogged[0]?.name ?? ""} among them`,
              ]
            : []),
        ...(await pendingUpdates(client)),
    ];
    if (found.length === 0) return [];
    return [
        new MigrationError("SM-E1303", {
            where,
            found: found.slice(0, 8).join("\n"),
            expected: "rows of logged tables, and sequences",
        }),
    ];
}

/** They make and drop indexes and columns when they end, and definitions must not change any more. */
async function pendingUpdates(client: Client): Promise<string[]> {
    const { present } = await queryOne(
        client,
        z.object({ present: z.boolean() }),
        "SELECT to_regclass('public.background_updates') IS NOT NULL AS present",
    );
    if (!present) return [];
    const updates = await query(
        client,
        z.object({ name: z.string() }),
        "SELECT update_name AS name FROM public.background_updates ORDER BY update_name",
    );
    const [first] = updates;
    return first === undefined
        ? []
        : [
              `${updates.length} background updates of the homeserver that are not finished, ${first.name} among them: wait for them`,
          ];
}

async function slotLimit(client: Client, databaseBytes: number): Promise<Finding[]> {
    const { limit } = await queryOne(
        client,
        z.object({ limit: z.coerce.number() }),
        "SELECT setting AS limit FROM pg_settings WHERE name = 'max_slot_wal_keep_size'",
    );
    const advice = Math.max(1024, Math.ceil((2 * databaseBytes) / mebibyte));
    if (limit < 0)
        return [
            {
                id: "SM-W1301",
                severity: "warning",
                evidence:
                    "max_slot_wal_keep_size = -1: while the target does not read, the slot keeps write-ahead log until the disk is full",
                fix: `with at least ${advice} MB of free disk: ALTER SYSTEM SET max_slot_wal_keep_size = '${advice}MB'; SELECT pg_reload_conf()`,
            },
        ];
    if (limit * mebibyte >= databaseBytes) return [];
    return [
        {
            id: "SM-W1301",
            severity: "warning",
            evidence: `max_slot_wal_keep_size = ${limit} MB, less than the database of ${Math.ceil(databaseBytes / mebibyte)} MB: a homeserver that writes more than that during the copy makes it worthless`,
            fix: `with as much free disk: ALTER SYSTEM SET max_slot_wal_keep_size = '${advice}MB'; SELECT pg_reload_conf()`,
        },
    ];
}
