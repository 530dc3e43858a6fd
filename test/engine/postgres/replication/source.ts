/** A small database with every kind of table that Synapse has, a writer that never rests, and clusters that can replicate. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { withClient } from "../../../../engine/postgres/connection.ts";
import { createMarker } from "../../../../engine/postgres/databases/marker.ts";
import type { Replication } from "../../../../engine/postgres/replication/sides.ts";
import { startCluster, testServerName, type TestCluster } from "../../../support/cluster.ts";
import { testRun, type TestRun } from "../../../support/stepRun.ts";

/** What a source needs to be followed. */
const logical = { wal_level: "logical", max_wal_senders: "12", max_replication_slots: "12" } as const;

/** A cluster whose role of the homeserver may replicate. */
export async function startSource(): Promise<TestCluster> {
    const cluster = await startCluster({ settings: logical });
    await cluster.query("postgres", "ALTER ROLE synapse REPLICATION");
    return cluster;
}

const schema = `
    CREATE TABLE schema_version (lock char(1) NOT NULL DEFAULT 'X' UNIQUE, version int NOT NULL);
    CREATE TABLE applied_schema_deltas (version int NOT NULL, file text NOT NULL, UNIQUE (version, file));
    CREATE SEQUENCE events_stream_seq;
    CREATE SEQUENCE never_used_seq START WITH 2;
    CREATE TABLE events (event_id text NOT NULL, stream_ordering bigint NOT NULL, json jsonb, blob bytea, search tsvector, aliases text[]);
    CREATE UNIQUE INDEX events_event_id ON events (event_id);
    CREATE UNIQUE INDEX events_stream_ordering ON events (stream_ordering);
    CREATE TABLE rooms (room_id text PRIMARY KEY, public boolean);
    CREATE TABLE room_memberships (event_id text NOT NULL REFERENCES events (event_id) DEFERRABLE, room_id text NOT NULL, UNIQUE (event_id));
    CREATE TABLE state_groups_state (state_group bigint NOT NULL, room_id text NOT NULL, type text NOT NULL, state_key text NOT NULL,
        event_id text NOT NULL);
    CREATE INDEX state_groups_state_type_idx ON state_groups_state (state_group, type, state_key);
    CREATE TABLE event_push_actions (room_id text NOT NULL, event_id text NOT NULL, user_id text NOT NULL, profile_tag text, actions text,
        UNIQUE (room_id, event_id, user_id, profile_tag));
    CREATE TABLE users (name text UNIQUE, password_hash text);
    CREATE TABLE device_inbox (user_id text, stream_id bigint, message text);
    CREATE TABLE sliding_sync (connection_key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text);
    CREATE UNLOGGED TABLE locks (name text PRIMARY KEY, mode text);
    CREATE UNLOGGED TABLE locks_mode (name text PRIMARY KEY, mode text);
    ALTER TABLE locks ADD FOREIGN KEY (name) REFERENCES locks_mode (name) DEFERRABLE INITIALLY DEFERRED;
    ALTER TABLE locks_mode ADD FOREIGN KEY (name) REFERENCES locks (name) DEFERRABLE INITIALLY DEFERRED;
    CREATE FUNCTION check_event() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF NOT EXISTS (SELECT FROM events WHERE event_id = NEW.event_id) THEN RAISE EXCEPTION 'no such event'; END IF; RETURN NEW; END $$;
    CREATE TRIGGER check_event BEFORE INSERT OR UPDATE ON room_memberships FOR EACH ROW EXECUTE FUNCTION check_event();
    INSERT INTO schema_version (version) VALUES (94);
    INSERT INTO applied_schema_deltas VALUES (94, '01.sql');
    INSERT INTO events SELECT '$e' || n, nextval('events_stream_seq'), jsonb_build_object('body', 'Grüße ' || n || ' 😀'),
        decode(md5(n::text), 'hex'), to_tsvector('simple', 'w' || n), ARRAY['a', NULL, 'ü' || n] FROM generate_series(1, 3000) n;
    INSERT INTO rooms SELECT '!r' || n, n % 2 = 0 FROM generate_series(1, 50) n;
    INSERT INTO room_memberships SELECT '$e' || n, '!r' || n % 50 FROM generate_series(1, 1000) n;
    INSERT INTO state_groups_state SELECT n / 10, '!r' || n % 50, 'm.type', '@u' || n, '$e' || n % 3000 FROM generate_series(1, 20000) n;
    INSERT INTO event_push_actions SELECT '!r' || n % 50, '$e' || n / 4, '@u' || n % 4, NULL, 'notify' FROM generate_series(1, 12000) n;
    INSERT INTO users SELECT '@u' || n, md5(n::text) FROM generate_series(1, 500) n;
    INSERT INTO device_inbox SELECT '@u' || n % 5, n % 7, 'same' FROM generate_series(1, 500) n;
    INSERT INTO sliding_sync (name) SELECT 's' || n FROM generate_series(1, 20) n;
    BEGIN; INSERT INTO locks VALUES ('l', 'read'); INSERT INTO locks_mode VALUES ('l', 'read'); COMMIT;`;

/** Makes the database as Synapse's role. Returns its name. */
export async function makeSource(cluster: TestCluster): Promise<string> {
    const name = await cluster.createDatabase("empty", cluster.newName("source"));
    await cluster.query(name, schema, "synapse");
    return name;
}

/** Changes of all kinds, also to rows of tables without any key. */
const writes = [
    (n: number) =>
        `WITH e AS (INSERT INTO events VALUES ('$w${n}', nextval('events_stream_seq'), '{"n": ${n}}', '\\x00ff', 'a:1', '{}') RETURNING event_id)
         INSERT INTO rooms SELECT '!w${n}', true FROM e`,
    (n: number) => `INSERT INTO room_memberships VALUES ('$w${n - 1}', '!r1') ON CONFLICT DO NOTHING`,
    (n: number) => `INSERT INTO state_groups_state VALUES (${100_000 + n}, '!r', 'm.type', '', '$w')`,
    (n: number) => `DELETE FROM state_groups_state WHERE state_group = ${n % 1000} AND state_key LIKE '%1'`,
    (n: number) => `DELETE FROM event_push_actions WHERE event_id = '$e${n % 3000}' AND user_id = '@u1'`,
    (n: number) => `UPDATE users SET password_hash = '${n}' WHERE name = '@u${(n % 500) + 1}'`,
    (n: number) => `INSERT INTO device_inbox VALUES ('@u${n % 5}', ${n % 7}, 'same')`,
    (n: number) =>
        `DELETE FROM device_inbox WHERE ctid = (SELECT ctid FROM device_inbox WHERE stream_id = ${n % 7} LIMIT 1)`,
    (n: number) => `UPDATE device_inbox SET message = '${n}' WHERE ctid = (SELECT ctid FROM device_inbox LIMIT 1)`,
    (n: number) => `INSERT INTO sliding_sync (name) VALUES ('w${n}')`,
    (n: number) => `UPDATE events SET json = '{"u": ${n}}' WHERE stream_ordering = ${(n % 3000) + 1}`,
    () => `UPDATE locks SET mode = CASE mode WHEN 'read' THEN 'write' ELSE 'read' END`,
];

export interface Writer {
    /** Statements that the server refused: a homeserver would have failed there. */
    readonly errors: string[];
    /** Resolves with the number of statements once the writer has stopped. */
    readonly stop: () => Promise<number>;
}

/** Writes until it is stopped, as the homeserver's role, and goes on after an error. */
export function startWriter(cluster: TestCluster, name: string): Writer {
    const errors: string[] = [];
    let stopping = false;
    let count = 0;
    const work = async (): Promise<void> => {
        await withClient(cluster.address(name), { step: "writer" }, async (client) => {
            await client.query("SET search_path = public");
            for (; !stopping; count += 1) {
                const write = writes[count % writes.length];
                await client.query(write?.(count) ?? "").catch((error: unknown) => errors.push(String(error)));
                await delay(4);
            }
        });
    };
    const ended = work().catch((error: unknown) => void errors.push(String(error)));
    return {
        errors,
        async stop() {
            stopping = true;
            await ended;
            return count;
        },
    };
}

export interface Pair {
    readonly source: TestCluster;
    readonly sourceName: string;
    readonly target: TestCluster;
    readonly incoming: string;
    readonly replication: Replication;
    readonly run: TestRun;
}

/** A source database, and an empty incoming one on the target with the marker of a new run. */
export async function makePair(
    source: TestCluster,
    target: TestCluster,
    { admin = "postgres", sourceName }: { readonly admin?: string; readonly sourceName?: string } = {},
): Promise<Pair> {
    const from = sourceName ?? (await makeSource(source));
    const incoming = await target.createDatabase("empty", target.newName("incoming"));
    const run = await newReplicationRun(source);
    const owner = target.address(incoming);
    await withClient(owner, { step: "test" }, (client) => createMarker(client, run.id, testServerName, "restoring"));
    const replication = {
        ...{ run, step: "follow", source: source.address(from), target: target.address(incoming, admin), owner },
    };
    return { source, sourceName: from, target, incoming, replication, run };
}

async function newReplicationRun(cluster: TestCluster): Promise<TestRun> {
    const id = cluster.newName("r").replaceAll("_", "");
    // Its neighbours are the other runs of the same stack: none.
    const directory = join(cluster.directory, `runs-${id}`, id);
    await mkdir(directory, { mode: 0o700, recursive: true });
    return testRun(id, directory);
}

/** What of a replication is on the source: slots, publications, and tables that have another replica identity than the default. */
export async function tracesOn({ source, sourceName }: Pick<Pair, "source" | "sourceName">): Promise<string[]> {
    const rows = await source.query(
        sourceName,
        `SELECT 'slot ' || slot_name AS trace FROM pg_replication_slots WHERE database = current_database()
        UNION ALL SELECT 'publication ' || pubname FROM pg_publication
        UNION ALL SELECT 'identity ' || relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relreplident <> 'd'`,
    );
    return rows.map(({ trace }) => String(trace));
}
