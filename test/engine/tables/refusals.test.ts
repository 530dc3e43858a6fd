import { readFile, truncate } from "node:fs/promises";
import { expect } from "chai";
import { applyPlan } from "../../../engine/tables/apply.ts";
import type { PreparedTables, TablesOptions } from "../../../engine/tables/prepare.ts";
import type { ErrorCode } from "../../../engine/run/errorCatalogue.ts";
import type { MigrationError } from "../../../engine/run/errors.ts";
import { testCluster, type TestCluster } from "../../support/cluster.ts";
import { expectError } from "../../support/expectError.ts";
import { liveDatabase, withPrepared, type LiveDatabase } from "./backups.ts";

let cluster: TestCluster;
let live: LiveDatabase;
const lost = "@lost:rehearsal.test";

/** The only reason against the plan; what it says is in both files, and it is not applied. */
async function refusal(
    code: ErrorCode,
    backup: string,
    tables: readonly string[],
    more: Partial<TablesOptions> = {},
): Promise<MigrationError> {
    const rowsOf = () => Promise.all(tables.map((table) => live.rows(table)));
    const before = await rowsOf();
    return withPrepared(live, { backup: [backup], tables, ...more }, async ({ problems, plan, markdownFile }) => {
        expect(problems.map((problem) => problem.code)).to.deep.equal([code]);
        expect(plan.refusals.map((entry) => entry.code)).to.deep.equal([code]);
        expect(await readFile(markdownFile, "utf8"))
            .to.contain("It must not be applied")
            .and.contain(code);
        await expectError("SM-E0988", () => applyPlan(plan, cluster.address(live.name)));
        expect(await rowsOf()).to.deep.equal(before);
        const [problem] = problems;
        if (problem === undefined) throw new Error("no problem");
        return problem;
    });
}

describe("what forbids bringing rows back", () => {
    before(async function () {
        this.timeout(180_000);
        cluster = await testCluster();
    });

    beforeEach(async function () {
        this.timeout(60_000);
        live = await liveDatabase(cluster);
    });

    /** Makes rows, takes a backup, and changes them. */
    async function backedUp(before: string, after: string): Promise<string> {
        await live.query(before);
        const file = await live.dump();
        await live.query(after);
        return file;
    }

    it("is a foreign key that would break: constraint and rows are named, tokens are not", async () => {
        const backup = await backedUp(
            `INSERT INTO users (name) VALUES ('${lost}');
            INSERT INTO devices (user_id, device_id) VALUES ('${lost}', 'PHONE');
            INSERT INTO refresh_tokens (id, user_id, device_id, token) VALUES (90001, '${lost}', 'PHONE', 'syr_unmistakable');
            INSERT INTO access_tokens (id, user_id, device_id, token, refresh_token_id) VALUES (90002, '${lost}', 'PHONE', 'syt_unmistakable', 90001)`,
            `DELETE FROM access_tokens WHERE id = 90002; DELETE FROM refresh_tokens WHERE id = 90001`,
        );
        const error = await refusal("SM-E0981", backup, ["access_tokens"]);
        expect(error.detail.where).to.contain("access_tokens_refresh_token_id_fkey");
        expect(error.detail.found).to.contain("id=90002").and.contain("refresh_token_id=sha256:");
        await withPrepared(
            live,
            { backup: [backup], tables: ["access_tokens", "refresh_tokens"] },
            async (prepared) => {
                expect(await readFile(prepared.planFile, "utf8")).to.not.contain("unmistakable");
                const merged = await applyPlan(prepared.plan, cluster.address(live.name));
                expect(merged.map(({ table }) => table)).to.deep.equal(["refresh_tokens", "access_tokens"]);
            },
        );
    });

    it("is a live row that would refer to a row which is replaced", async () => {
        const backup = await backedUp(
            `CREATE TABLE parent (id int PRIMARY KEY, code text UNIQUE); ALTER TABLE parent OWNER TO synapse;
            CREATE TABLE child (code text REFERENCES parent (code)); ALTER TABLE child OWNER TO synapse;
            INSERT INTO parent VALUES (1, 'old')`,
            `UPDATE parent SET code = 'new'; INSERT INTO child VALUES ('new')`,
        );
        const error = await refusal("SM-E0981", backup, ["parent"], { replace: true });
        expect(error.detail.where).to.contain("child_code_fkey");
        expect(error.detail.found).to.contain("1 live rows").and.contain("code=new");
    });

    it("is a table that makes no sense alone: a profile of nobody, events without what they say", async () => {
        const profile = await backedUp(
            `INSERT INTO users (name) VALUES ('${lost}'); INSERT INTO profiles (user_id, full_user_id) VALUES ('lost', '${lost}')`,
            `DELETE FROM profiles WHERE user_id = 'lost'; DELETE FROM users WHERE name = '${lost}'`,
        );
        const alone = await refusal("SM-E0983", profile, ["profiles"]);
        expect(alone.detail.found).to.contain(lost);
        expect(alone.detail.fix).to.contain("add users");
        const [event] = await live.query("SELECT max(event_id) AS event_id FROM events");
        const chosen = String(event?.event_id);
        const events = await backedUp(
            "SELECT 1",
            `SET session_replication_role = replica; DELETE FROM events WHERE event_id = '${chosen}'; DELETE FROM event_json WHERE event_id = '${chosen}'`,
        );
        const error = await refusal("SM-E0983", events, ["events"]);
        expect(error.detail.found).to.contain("event_json").and.contain(chosen);
    });

    it("is a unique index that would have a value twice", async () => {
        const pusher = (id: number): string =>
            `INSERT INTO pushers (id, user_name, profile_tag, kind, app_id, app_display_name, device_display_name, pushkey, ts, enabled)
            VALUES (${id}, '${lost}', '', 'http', 'app', 'App', 'Phone', 'unmistakable', 1, true)`;
        const backup = await backedUp(
            `INSERT INTO users (name) VALUES ('${lost}'); ${pusher(50002)}; SELECT setval('pushers_sequence', 60000)`,
            `DELETE FROM pushers WHERE id = 50002; ${pusher(50003)}`,
        );
        const error = await refusal("SM-E0982", backup, ["pushers"]);
        expect(error.detail.where).to.contain("app_id");
        expect(error.detail.found).to.contain("id=50002").and.contain("sha256:").and.not.contain("unmistakable");
    });

    it("is a unique index over expressions, for the rows that it is about alone", async () => {
        const backup = await backedUp(
            `CREATE TABLE folded (id int PRIMARY KEY, a text, counts boolean); ALTER TABLE folded OWNER TO synapse;
            CREATE UNIQUE INDEX folded_lower ON folded (lower(a)) WHERE counts;
            INSERT INTO folded VALUES (1, 'X', true), (2, 'x', false), (3, 'Y', true), (4, NULL, true), (5, NULL, true)`,
            `DELETE FROM folded; INSERT INTO folded VALUES (6, 'x', true), (7, 'y', false)`,
        );
        const error = await refusal("SM-E0982", backup, ["folded"]);
        expect(error.detail.where).to.contain("folded_lower").and.contain("lower(a)");
        expect(error.detail.found).to.match(/^1 planned rows .*\n {2}id=1$/);
    });

    it("is a number that a stream, or a column's own sequence, has not handed out yet", async () => {
        const backup = await backedUp(
            `INSERT INTO users (name) VALUES ('${lost}');
            INSERT INTO account_data (user_id, account_data_type, stream_id, content) VALUES ('${lost}', 'm.x', 900000, '{}');
            CREATE TABLE numbered (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body text); ALTER TABLE numbered OWNER TO synapse;
            INSERT INTO numbered (body) VALUES ('a'), ('b')`,
            `DELETE FROM account_data WHERE user_id = '${lost}'; DELETE FROM numbered WHERE id = 2`,
        );
        const error = await refusal("SM-E0984", backup, ["account_data"]);
        expect(error.detail.found).to.contain("900000").and.contain("account_data_sequence");
        await withPrepared(live, { backup: [backup], tables: ["numbered"] }, async ({ plan, problems }) => {
            expect(problems).to.deep.equal([]);
            expect(await applyPlan(plan, cluster.address(live.name))).to.deep.equal([
                { table: "numbered", inserted: 1, replaced: 0 },
            ]);
        });
        await live.query("DELETE FROM numbered; SELECT setval('numbered_id_seq', 1, true)");
        expect((await refusal("SM-E0984", backup, ["numbered"])).detail.found).to.contain("numbered_id_seq is at 1");
    });

    it("are columns that do not fit, and values that are missing", async () => {
        const backup = await backedUp(
            `CREATE TABLE shape (id int PRIMARY KEY, was text, note text); ALTER TABLE shape OWNER TO synapse; INSERT INTO shape VALUES (1, 'x', NULL)`,
            "ALTER TABLE shape ALTER id TYPE bigint; ALTER TABLE shape DROP COLUMN was; DELETE FROM shape",
        );
        const columns = async (): Promise<PreparedTables> =>
            withPrepared(live, { backup: [backup], tables: ["shape"] }, (prepared) => Promise.resolve(prepared));
        const { plan } = await columns();
        expect(plan.tables[0]?.difference).to.deep.include({ columnsOnlyBackup: ["was"], columnsOnlyLive: [] });
        await live.query("ALTER TABLE shape ADD COLUMN since text DEFAULT 'now' NOT NULL");
        expect((await columns()).plan.tables[0]?.difference.columnsOnlyLive).to.deep.equal(["since"]);
        await live.query("ALTER TABLE shape ALTER note SET NOT NULL");
        expect((await refusal("SM-E0987", backup, ["shape"])).detail.where).to.contain("note");
        await live.query("ALTER TABLE shape ALTER since DROP DEFAULT");
        expect((await expectError("SM-E0987", columns)).detail.found).to.contain("since");
        await live.query("ALTER TABLE shape DROP COLUMN since; ALTER TABLE shape ALTER note TYPE jsonb USING NULL");
        expect((await expectError("SM-E0987", columns)).detail.found).to.contain(
            "note is text in the backup and jsonb now",
        );
    });

    it("is a backup that is cut off, lacks the table, or has a key twice; nothing is left of it", async () => {
        const backup = await backedUp(
            `CREATE TABLE twice (id int); ALTER TABLE twice OWNER TO synapse; INSERT INTO twice VALUES (1), (1);
            CREATE TYPE mood AS ENUM ('good'); CREATE TABLE typed (id int, how mood); ALTER TABLE typed OWNER TO synapse`,
            "TRUNCATE twice; ALTER TABLE twice ADD PRIMARY KEY (id); CREATE TABLE newer (id int); ALTER TABLE newer OWNER TO synapse",
        );
        const attempt = (tables: readonly string[]) => () =>
            withPrepared(live, { backup: [backup], tables }, () => Promise.resolve());
        await expectError("SM-E0982", attempt(["twice"]));
        await expectError("SM-E0980", attempt(["newer"]));
        await expectError("SM-E0980", attempt(["no_such"]));
        await expectError("SM-E0980", attempt([]));
        expect((await expectError("SM-E0987", attempt(["typed"]))).detail.found).to.contain("mood");
        await truncate(backup, 200_000);
        await expectError("SM-E0901", attempt(["users"]));
        expect(await live.schemas()).to.deep.equal([]);
    });
});
