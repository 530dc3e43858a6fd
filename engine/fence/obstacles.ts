/** What would keep a source from being fenced: looked for while it still serves, by the assessment and by the fence before it stops anything. */
import { z } from "zod";
import type { SelfHostedSource } from "../../contract/index.ts";
import { sharedListeners } from "../machines/heldSockets.ts";
import { sourceMachine } from "../machines/sourceMachine.ts";
import { query, queryOne, quotedName, type Client } from "../postgres/connection.ts";
import { unreadableObjects } from "../postgres/catalogue/unreadable.ts";
import { markerSchema } from "../postgres/databases/marker.ts";
import type { ErrorCode } from "../run/errorCatalogue.ts";
import { sourceService } from "../services/service.ts";
import { describe } from "../services/synapseProcess.ts";
import { describeWithHolder, lookAtSessions } from "./sessionOwners.ts";

export interface Obstacle {
    readonly code: ErrorCode;
    readonly found: string;
    readonly fix?: string;
}

const shown = 8;

/** SM-E0720 for sessions that are certainly not the homeserver's, SM-W0725 for those of which it cannot be told. */
export async function sessionObstacles(
    client: Client,
    source: SelfHostedSource,
    patience: { readonly seconds: number; readonly signal?: AbortSignal },
): Promise<Obstacle[]> {
    const { foreign, unknown, serverPorts } = await lookAtSessions(client, source, patience.seconds, patience.signal);
    const described = async (session: (typeof unknown)[number]): Promise<string> =>
        describeWithHolder(sourceMachine(source), session, serverPorts);
    const obstacles: Obstacle[] = [];
    if (foreign.length > 0) {
        const lines = foreign
            .slice(0, shown)
            .map(async ({ session, reason }) => `${await described(session)}: ${reason}`);
        obstacles.push({ code: "SM-E0720", found: (await Promise.all(lines)).join("\n") });
    }
    if (unknown.length > 0) {
        const lines = await Promise.all(unknown.slice(0, shown).map(described));
        obstacles.push({ code: "SM-W0725", found: lines.join("\n") });
    }
    return obstacles;
}

/** SM-E0721. They have no session: only their locks stay, and whoever knows their name commits them. */
export async function preparedTransactions(client: Client): Promise<Obstacle[]> {
    const prepared = await query(
        client,
        z.object({ gid: z.string(), owner: z.string(), since: z.string() }),
        `SELECT gid, owner::text, prepared::text AS since FROM pg_prepared_xacts
         WHERE database = current_database() ORDER BY prepared`,
    );
    if (prepared.length === 0) return [];
    const lines = prepared.slice(0, shown).map(({ gid, owner, since }) => `"${gid}" of ${owner}, since ${since}`);
    return [{ code: "SM-E0721", found: lines.join("\n") }];
}

/** SM-E0722. */
export async function standby(client: Client): Promise<Obstacle[]> {
    const { recovering } = await queryOne(
        client,
        z.object({ recovering: z.boolean() }),
        "SELECT pg_is_in_recovery() AS recovering",
    );
    return recovering ? [{ code: "SM-E0722", found: "pg_is_in_recovery() is true" }] : [];
}

/**
 * SM-E0723. `ALTER DATABASE … SET` and `COMMENT ON DATABASE` are the owner's; `LOCK TABLE … IN EXCLUSIVE MODE` asks for the right to change
 * rows (PostgreSQL manual, LOCK), on every table: one that somebody else made beside Synapse's is enough to stop the fence.
 */
export async function missingRights(client: Client): Promise<Obstacle[]> {
    const { role, owner, owns } = await queryOne(
        client,
        z.object({ role: z.string(), owner: z.string(), owns: z.boolean() }),
        `SELECT current_user::text AS role, pg_get_userbyid(datdba)::text AS owner, pg_has_role(datdba, 'USAGE') AS owns
         FROM pg_database WHERE datname = current_database()`,
    );
    const tables = await query(
        client,
        z.object({ schema: z.string(), name: z.string(), owner: z.string() }),
        `SELECT n.nspname::text AS schema, c.relname::text AS name, pg_get_userbyid(c.relowner)::text AS owner
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema', '${markerSchema}')
           AND n.nspname NOT LIKE 'pg\\_temp\\_%'
           AND NOT (has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'UPDATE, DELETE, TRUNCATE'))
         ORDER BY 1, 2`,
    );
    const found = [
        ...(owns
            ? []
            : [`role ${role} does not own the database, ${owner} does: ALTER DATABASE … SET and COMMENT are refused`]),
        ...tables
            .slice(0, shown)
            .map((table) => `role ${role} may not lock ${quotedName(table.schema, table.name)} of ${table.owner}`),
        ...(tables.length > shown ? [`and ${tables.length - shown} more tables`] : []),
    ];
    return found.length === 0 ? [] : [{ code: "SM-E0723", found: found.join("\n") }];
}

/** SM-E0560. */
export async function unreadable(client: Client): Promise<Obstacle[]> {
    const found = await unreadableObjects(client);
    if (found.length === 0) return [];
    const more = found.length > shown ? [`and ${found.length - shown} more`] : [];
    return [{ code: "SM-E0560", found: [...found.slice(0, shown), ...more].join("\n") }];
}

/** SM-E0724. What the role itself says wins over the database's setting, and what it says for this database over both. */
export async function exemptRoles(client: Client): Promise<Obstacle[]> {
    const exempt = await query(
        client,
        z.object({ role: z.string(), here: z.boolean() }),
        `SELECT r.rolname::text AS role, s.setdatabase <> 0 AS here
         FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole, unnest(s.setconfig) AS setting,
              pg_database d
         WHERE d.datname = current_database() AND s.setdatabase IN (0, d.oid)
           AND split_part(setting, '=', 1) = 'default_transaction_read_only'
           AND lower(split_part(setting, '=', 2)) NOT IN ('on', 'true', 'yes', '1', 't', 'y', 'tr', 'tru', 'ye')
           AND r.rolcanlogin AND has_database_privilege(r.oid, d.oid, 'CONNECT')
         ORDER BY 1, 2`,
    );
    const database = client.database === undefined ? "" : client.escapeIdentifier(client.database);
    return exempt.map(({ role, here }) => {
        const scope = `ALTER ROLE ${client.escapeIdentifier(role)}${here ? ` IN DATABASE ${database}` : ""}`;
        return {
            code: "SM-E0724" as const,
            found: `role ${role} has default_transaction_read_only off${here ? " in this database" : ""}`,
            fix: `${scope} RESET default_transaction_read_only; who needs it, and for what?`,
        };
    });
}

/** SM-E0726: a parent that has handed its listener over; socket activation, where nobody knows that a unit of systemd is stopped with it. */
export async function heldListeners(source: SelfHostedSource): Promise<Obstacle[]> {
    const [main, ...others] = (await sourceService(source).status()).processes;
    if (main === undefined) return [];
    const holders = await sharedListeners(
        sourceMachine(source),
        main.pid,
        others.map(({ pid }) => pid),
    );
    // systemd gives the listeners of socket units away, and those are stopped with the service.
    const shared = holders.filter(({ holder }) => source.service.kind !== "systemd" || holder.pid !== 1);
    if (shared.length === 0) return [];
    const lines = shared.slice(0, shown).map(({ port, holder }) => `port ${port}: ${describe(holder)}`);
    return [{ code: "SM-E0726", found: lines.join("\n") }];
}
