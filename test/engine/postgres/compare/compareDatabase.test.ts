import { expect } from "chai";
import type { Check } from "../../../../contract/index.ts";
import { compareDatabase, verifyDatabase } from "../../../../engine/postgres/compare/compareDatabase.ts";
import { splitTables, tableFingerprints } from "../../../../engine/postgres/compare/fingerprint.ts";
import { withClient } from "../../../../engine/postgres/connection.ts";
import { sequenceFaults, sequenceFindings } from "../../../../engine/postgres/sequences/synapseSequences.ts";
import { restore } from "../../../../steps/migrate/restore.ts";
import { testCluster, type TestCluster } from "../../../support/cluster.ts";
import { copyDump, makeDump, restoreSpec, type MigrationDump } from "../../../support/migrationDump.ts";

describe("the comparison of a restored database with its manifest", function () {
    this.timeout(60_000);
    let cluster: TestCluster;
    let made: MigrationDump;
    let incoming: string;

    before(async function () {
        this.timeout(180_000);
        cluster = await testCluster();
        made = await makeDump(cluster, async (source) => {
            await cluster.query(
                source,
                `ALTER TABLE events ALTER COLUMN room_id SET (n_distinct = -0.2);
                UPDATE users SET upgrade_ts = NULL, consent_version = NULL;
                SELECT setval('device_inbox_sequence', 90);
                INSERT INTO stream_positions VALUES ('to_device', 'gone', 88)`,
            );
        });
        const copy = await copyDump(cluster, made);
        const result = await restore.act(restoreSpec(cluster, copy, cluster.newName("target")), copy.run);
        incoming = result.incoming;
        made = { ...made, manifest: { ...made.manifest, run: copy.run.id } };
    });

    const verify = (name: string, oneTimeKeys: "kept" | "emptied" = "kept"): Promise<Check[]> =>
        verifyDatabase(cluster.address(name), made.manifest, { oneTimeKeys, owner: "synapse" });

    /** The checks that fail after a change of a copy of the restored database. */
    async function failuresAfter(
        change: string,
        oneTimeKeys: "kept" | "emptied" = "kept",
    ): Promise<Record<string, string>> {
        const name = cluster.newName("changed");
        await cluster.query("postgres", `CREATE DATABASE ${name} OWNER synapse TEMPLATE ${incoming}`);
        try {
            await cluster.query(name, change);
            const checks = await verify(name, oneTimeKeys);
            return Object.fromEntries(
                checks.filter(({ state }) => state === "failed").map(({ id, evidence }) => [id, evidence]),
            );
        } finally {
            await cluster.query("postgres", `DROP DATABASE ${name} WITH (FORCE)`);
        }
    }

    it("passes for what was restored, and says what it has compared", async () => {
        const { checks, tables } = await compareDatabase(cluster.address(incoming), made.manifest, {
            oneTimeKeys: "kept",
            owner: "synapse",
        });
        expect(checks.filter(({ state }) => state !== "passed")).to.deep.equal([]);
        expect(checks.map(({ id }) => id)).to.deep.equal([
            ...["database-marker", "database-encoding", "database-rows", "database-sequences"],
            ...["database-sequence-positions", "database-definitions", "database-owners", "database-privileges"],
            "database-settings",
        ]);
        expect(tables).to.have.length(made.manifest.tables.length);
        expect(tables.every(({ equal }) => equal)).to.equal(true);
    });

    it("passes on a source that was changed in nothing but a cluster-local column option", async () => {
        expect(
            await failuresAfter(
                `UPDATE pg_attribute SET attoptions = attoptions || '{pg_attver=2}'::text[] WHERE attrelid = 'events'::regclass AND attname = 'room_id'`,
            ),
        ).to.deep.equal({});
    });

    const cases: readonly (readonly [title: string, change: string, check: string, evidence: RegExp])[] = [
        [
            "one altered value",
            "UPDATE users SET creation_ts = creation_ts + 1 WHERE name = (SELECT min(name) FROM users)",
            "database-rows",
            /^public\.users: \d+ rows, but not the same ones$/,
        ],
        [
            "NULL turned into an empty text",
            "UPDATE users SET consent_version = '' WHERE name = (SELECT min(name) FROM users)",
            "database-rows",
            /^public\.users: /,
        ],
        [
            "two values that were swapped",
            "UPDATE event_json SET json = (SELECT json FROM event_json e WHERE e.event_id <> event_json.event_id AND e.json <> event_json.json LIMIT 1) WHERE event_id = (SELECT min(event_id) FROM event_json)",
            "database-rows",
            /^public\.event_json: /,
        ],
        [
            "a duplicated row",
            "INSERT INTO event_auth SELECT * FROM event_auth LIMIT 1",
            "database-rows",
            /^public\.event_auth: \d+ rows in the dump, \d+ in the database$/,
        ],
        [
            "a row that is there twice instead of another",
            "DELETE FROM event_auth WHERE ctid = (SELECT min(ctid) FROM event_auth); INSERT INTO event_auth SELECT * FROM event_auth ORDER BY ctid LIMIT 1",
            "database-rows",
            /^public\.event_auth: \d+ rows, but/,
        ],
        ["a missing table", "DROP TABLE room_tags", "database-rows", /^public\.room_tags is missing$/],
        [
            "a table too many",
            "CREATE TABLE surplus (a int); GRANT SELECT ON surplus TO synapse",
            "database-rows",
            /^public\.surplus is not in the dump$/,
        ],
        [
            "a sequence that is behind",
            "SELECT setval('events_stream_seq', 2)",
            "database-sequences",
            /^public\.events_stream_seq: \d+, called -> 2, called$/,
        ],
        [
            "a sequence whose next value is the last one",
            "SELECT setval('state_group_id_seq', (SELECT last_value FROM state_group_id_seq), false)",
            "database-sequences",
            /not called$/,
        ],
        [
            "a sequence behind a stream position that no row reaches",
            "SELECT setval('device_inbox_sequence', 80)",
            "database-sequence-positions",
            /public\.device_inbox_sequence stands at 80; .*stream_positions to_device\/gone 88/,
        ],
        ["a missing sequence", "DROP SEQUENCE user_id_seq", "database-sequences", /user_id_seq: .* -> absent/],
        [
            "a lost index",
            "DROP INDEX events_order_room",
            "database-definitions",
            /^missing index public\.events_order_room$/,
        ],
        [
            "an index that is not valid",
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'events_order_room'::regclass",
            "database-definitions",
            /^missing index/,
        ],
        [
            "a foreign key that is not validated",
            "UPDATE pg_constraint SET convalidated = false WHERE conname = 'access_tokens_refresh_token_id_fkey'",
            "database-definitions",
            /^changed constraint .*validated -> .*not validated$/,
        ],
        [
            "a lost constraint",
            "ALTER TABLE access_tokens DROP CONSTRAINT access_tokens_refresh_token_id_fkey",
            "database-definitions",
            /^missing constraint/,
        ],
        [
            "a lost n_distinct",
            "ALTER TABLE events ALTER COLUMN room_id RESET (n_distinct)",
            "database-definitions",
            /^changed column public\.events\.room_id: .*n_distinct=-0\.2/,
        ],
        [
            "a lost trigger",
            "DROP TRIGGER check_partial_state_events ON partial_state_events",
            "database-definitions",
            /^missing trigger/,
        ],
        [
            "another function body",
            "CREATE OR REPLACE FUNCTION check_partial_state_events() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
            "database-definitions",
            /^changed function/,
        ],
        [
            "a column that may be NULL",
            "ALTER TABLE events ALTER COLUMN type DROP NOT NULL",
            "database-definitions",
            /^changed column public\.events\.type/,
        ],
        [
            "a lost default",
            "ALTER TABLE users ALTER COLUMN admin DROP DEFAULT",
            "database-definitions",
            /^changed column public\.users\.admin/,
        ],
        [
            "an unlogged table",
            "ALTER TABLE room_tags SET UNLOGGED",
            "database-definitions",
            /^changed table public\.room_tags/,
        ],
        [
            "a lost comment",
            "DO $$ DECLARE t text; BEGIN SELECT objoid::regclass INTO t FROM pg_description WHERE objoid >= 16384 AND classoid = 'pg_class'::regclass AND objsubid = 0 LIMIT 1; EXECUTE 'COMMENT ON TABLE ' || t || ' IS NULL'; END $$",
            "database-definitions",
            /^missing comment table/,
        ],
        [
            "another owner of a table",
            "ALTER TABLE users OWNER TO migrator; GRANT SELECT ON users TO synapse",
            "database-owners",
            /^table public\.users is owned by migrator$/,
        ],
        [
            "another owner of a function",
            "ALTER FUNCTION check_partial_state_events() OWNER TO postgres",
            "database-owners",
            /is owned by postgres/,
        ],
        [
            "row security that is forced upon the owner",
            "ALTER TABLE users FORCE ROW LEVEL SECURITY",
            "database-definitions",
            /^changed table public\.users: .* -> .*forced row security/,
        ],
        [
            "an index that is not ready",
            "UPDATE pg_index SET indisready = false WHERE indexrelid = 'events_ts'::regclass",
            "database-definitions",
            /^missing index public\.events_ts/,
        ],
        [
            "a right that the owner has lost",
            "REVOKE UPDATE ON access_tokens FROM synapse",
            "database-privileges",
            /^its owner synapse lacks UPDATE on table public\.access_tokens$/,
        ],
        [
            "rights of somebody else, of everybody, and on a single column",
            "GRANT SELECT, DELETE ON users TO migrator; GRANT EXECUTE ON FUNCTION check_partial_state_events() TO PUBLIC;" +
                "GRANT SELECT (token) ON access_tokens TO PUBLIC; GRANT USAGE ON SEQUENCE events_stream_seq TO PUBLIC",
            "database-privileges",
            /^PUBLIC has USAGE on sequence public\.events_stream_seq; PUBLIC has SELECT on table public\.access_tokens, column token; migrator has DELETE, SELECT on table public\.users$/,
        ],
        [
            "a schema in which everybody may make what Synapse then takes for its own",
            "GRANT CREATE ON SCHEMA public TO PUBLIC",
            "database-privileges",
            /^PUBLIC has CREATE on schema public$/,
        ],
        [
            "settings of the database and of the role in it that change what Synapse does, beside harmless ones",
            `DO $$ DECLARE base text := quote_ident(current_database()); BEGIN
                EXECUTE 'ALTER DATABASE ' || base || ' SET search_path = nowhere';
                EXECUTE 'ALTER DATABASE ' || base || ' SET work_mem = 8192';
                EXECUTE 'ALTER ROLE synapse IN DATABASE ' || base || ' SET synchronous_commit = off';
                EXECUTE 'ALTER ROLE synapse IN DATABASE ' || base || ' SET row_security = on';
                EXECUTE 'ALTER ROLE migrator IN DATABASE ' || base || ' SET session_replication_role = replica';
            END $$`,
            "database-settings",
            /^all roles in database \S+: search_path = nowhere; role synapse in database \S+: synchronous_commit = off$/,
        ],
        [
            "the marker of another run",
            "UPDATE synapse_migration.marker SET run = 'other'",
            "database-marker",
            /run other/,
        ],
    ];
    for (const [title, change, check, evidence] of cases) {
        it(`fails on ${title}`, async () => {
            const failures = await failuresAfter(change);
            expect(failures).to.have.property(check);
            expect(failures[check]).to.match(evidence);
        });
    }

    it("demands an empty table of one-time keys where they were emptied", async () => {
        expect(await failuresAfter("TRUNCATE e2e_one_time_keys_json", "emptied")).to.deep.equal({});
        expect(await failuresAfter("SELECT 1", "emptied")).to.have.property("database-rows");
        expect(await failuresAfter("TRUNCATE e2e_one_time_keys_json")).to.have.property("database-rows");
    });

    it("hashes a large table in pieces to the same sum", async () => {
        const name = await cluster.createDatabase();
        await cluster.query(
            name,
            "CREATE TABLE large (id bigint, filler text); INSERT INTO large SELECT n, repeat('x', 700) || n FROM generate_series(1, 100000) n",
        );
        const hash = async (jobs: number) => tableFingerprints(cluster.superuserAddress(name), { step: "test", jobs });
        const [whole] = await hash(1);
        const [pieces] = await hash(3);
        expect(whole?.rows).to.equal(100_000);
        expect(pieces).to.deep.equal(whole);
        const table = { schema: "public", name: "large", bytes: 1, pages: 20_000, columns: [] };
        expect(splitTables([table], 2).map(({ fromPage, toPage }) => [fromPage, toPage])).to.deep.equal([
            [undefined, 8192],
            [8192, 16384],
            [16384, undefined],
        ]);
        expect(splitTables([table], 1)).to.deep.equal([{ table }]);
    });

    it("finds nothing wrong with the sequences of a real homeserver, and says which it does not know", async () => {
        const name = await cluster.createDatabase("synapse");
        const faults = () => withClient(cluster.address(name), { step: "test" }, sequenceFaults);
        expect(await faults()).to.deep.equal([]);
        await cluster.query(
            name,
            "CREATE SEQUENCE of_nobody; GRANT SELECT ON of_nobody TO synapse; SELECT setval('pushers_sequence', 30, false); INSERT INTO deleted_pushers VALUES (29, 'a', 'b', 'c'); SELECT setval('state_groups_pending_deletion_sequence_number_seq', 1)",
        );
        const found = await withClient(cluster.address(name), { step: "test" }, sequenceFindings);
        expect(
            found.map(({ id, severity, evidence }) => `${id} ${severity} ${evidence.split(" ")[0] ?? ""}`),
        ).to.deep.equal(["SM-W0518 warning public.of_nobody", "SM-W0512 warning public.pushers_sequence"]);
        expect(found[1]?.fix).to.equal(
            `while Synapse is stopped: SELECT setval('"public"."pushers_sequence"', 29, true);`,
        );
        await cluster.query(name, "SELECT setval('events_stream_seq', 1)");
        const [behind] = (await faults()).filter(({ state }) => state === "behind");
        expect(behind?.breaks).to.equal(true);
        await cluster.query(name, behind?.statement ?? "");
        expect((await faults()).filter(({ state }) => state === "behind")).to.deep.equal([]);
    });
});
