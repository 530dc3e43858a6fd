import { readFile, stat, writeFile } from "node:fs/promises";
import { expect } from "chai";
import { withClient } from "../../../engine/postgres/connection.ts";
import { applyPlan } from "../../../engine/tables/apply.ts";
import { readPlan } from "../../../engine/tables/plan.ts";
import { dropSideSchema } from "../../../engine/tables/sideSchema.ts";
import { testCluster, type TestCluster } from "../../support/cluster.ts";
import { expectError } from "../../support/expectError.ts";
import { liveDatabase, withPrepared, type LiveDatabase } from "./backups.ts";

let cluster: TestCluster;
let live: LiveDatabase;
const lost = "@lost:rehearsal.test";
const apply = async (planFile: string) => applyPlan(await readPlan(planFile), cluster.address(live.name));

describe("bringing rows of single tables back out of a backup", () => {
    before(async function () {
        this.timeout(180_000);
        cluster = await testCluster();
    });

    beforeEach(async function () {
        this.timeout(60_000);
        live = await liveDatabase(cluster);
    });

    async function lostUser(): Promise<string> {
        await live.query(
            `INSERT INTO users (name, password_hash, creation_ts) VALUES ('${lost}', '$2b$12$unmistakable', 1);
            INSERT INTO profiles (user_id, full_user_id, displayname) VALUES ('lost', '${lost}', E'J\\u00f6rg \\U0001f600 \\\\N\\ttab')`,
        );
        const backup = await live.dump();
        await live.query(`DELETE FROM profiles WHERE user_id = 'lost'; DELETE FROM users WHERE name = '${lost}'`);
        return backup;
    }

    for (const format of ["plain", "custom"] as const)
        it(`takes a backup of some tables in ${format} format, and only for tables that are in it`, async function () {
            this.timeout(60_000);
            await live.query(`INSERT INTO users (name) VALUES ('${lost}')`);
            const before = await live.rows("users");
            const backup = await live.dump(format, ["users", "profiles"]);
            await live.query(`DELETE FROM users WHERE name = '${lost}'`);
            await withPrepared(live, { backup: [backup], tables: ["users"] }, async ({ problems, plan, planFile }) => {
                expect(problems).to.deep.equal([]);
                expect(plan.tables[0]?.difference.onlyBackup.rows).to.equal(1);
                await apply(planFile);
                expect(await live.rows("users")).to.deep.equal(before);
            });
            const error = await expectError("SM-E0980", () =>
                withPrepared(live, { backup: [backup], tables: ["users", "devices"] }, () => Promise.resolve()),
            );
            expect(error.detail.found).to.equal("no table devices in schema public");
        });

    it("restores a user that was deleted, with the profile, and nothing else", async function () {
        this.timeout(60_000);
        const before = { users: await live.rows("users"), profiles: await live.rows("profiles") };
        const backup = await lostUser();
        await live.query(
            "UPDATE users SET consent_version = 'changed since' WHERE name = (SELECT min(name) FROM users)",
        );
        const changed = await live.rows("users");
        await withPrepared(live, { backup: [backup], tables: ["users", "profiles"] }, async (prepared) => {
            expect(prepared.problems).to.deep.equal([]);
            expect(await live.rows("users")).to.deep.equal(changed);
            const [users, profiles] = prepared.plan.tables;
            expect(users).to.deep.include({ inserts: 1, replaces: 0 });
            expect(users?.difference).to.deep.include({
                key: ["name"],
                onlyBackup: { rows: 1, samples: [`name=${lost}`] },
                onlyLive: { rows: 0, samples: [] },
                same: before.users.length - 1,
                differingColumns: { consent_version: 1 },
            });
            expect(users?.difference.different.rows).to.equal(1);
            expect(profiles?.inserts).to.equal(1);
            for (const file of [prepared.planFile, prepared.markdownFile]) {
                expect((await stat(file)).mode & 0o777).to.equal(0o600);
                expect(await readFile(file, "utf8"))
                    .to.contain(lost)
                    .and.not.contain("unmistakable");
            }
            expect(await apply(prepared.planFile)).to.deep.equal([
                { table: "users", inserted: 1, replaced: 0 },
                { table: "profiles", inserted: 1, replaced: 0 },
            ]);
            expect(await live.query(`SELECT password_hash FROM users WHERE name = '${lost}'`)).to.deep.equal([
                { password_hash: "$2b$12$unmistakable" },
            ]);
            expect(
                await live.query("SELECT displayname, avatar_url FROM profiles WHERE user_id = 'lost'"),
            ).to.deep.equal([{ displayname: "Jörg \u{1f600} \\N\ttab", avatar_url: null }]);
            expect((await live.rows("users")).filter((row) => !row.includes(lost))).to.deep.equal(changed);
            expect((await live.rows("profiles")).filter((row) => !row.includes(lost))).to.deep.equal(before.profiles);

            const { sideSchema } = prepared.plan;
            expect(await live.schemas()).to.deep.equal([sideSchema]);
            await expectError("SM-E0985", () => apply(prepared.planFile));
            await withClient(cluster.address(live.name), { step: "test" }, (client) =>
                dropSideSchema(client, sideSchema),
            );
            expect(await live.schemas()).to.deep.equal([]);
        });
    });

    it("replaces rows that differ where that is asked for, and keeps rows that only the homeserver has", async function () {
        this.timeout(60_000);
        const backup = await live.dump("custom");
        const before = await live.rows("profiles");
        await live.query(
            `UPDATE profiles SET displayname = 'defaced';
            INSERT INTO users (name) VALUES ('@new:rehearsal.test');
            INSERT INTO profiles (user_id, full_user_id) VALUES ('new', '@new:rehearsal.test')`,
        );
        await withPrepared(live, { backup: [backup], tables: ["profiles"], replace: true }, async (prepared) => {
            expect(await apply(prepared.planFile)).to.deep.equal([
                { table: "profiles", inserted: 0, replaced: before.length },
            ]);
            expect((await live.rows("profiles")).filter((row) => !row.includes("@new:"))).to.deep.equal(before);
            expect(await live.query("SELECT 1 AS one FROM profiles WHERE user_id = 'new'")).to.have.length(1);
        });
    });

    it("refuses a plan when a row of either side has changed since, and changes nothing", async function () {
        this.timeout(60_000);
        await withPrepared(live, { backup: [await lostUser()], tables: ["users", "profiles"] }, async (prepared) => {
            await live.query("UPDATE users SET consent_version = 'later' WHERE name = (SELECT min(name) FROM users)");
            const before = await live.rows("users");
            const error = await expectError("SM-E0985", () => apply(prepared.planFile));
            expect(error.detail.found).to.contain("users").and.not.contain("profiles");
            expect(await live.rows("users")).to.deep.equal(before);
            await live.query(`UPDATE ${prepared.plan.sideSchema}.profiles SET displayname = 'forged'`);
            const forged = await expectError("SM-E0985", () => apply(prepared.planFile));
            expect(forged.detail.found).to.contain("profiles");
        });
    });

    it("refuses while anybody is connected, whoever it is, and says who", async function () {
        this.timeout(60_000);
        await withPrepared(live, { backup: [await lostUser()], tables: ["users", "profiles"] }, async (prepared) => {
            for (const address of [cluster.address(live.name), cluster.superuserAddress(live.name)]) {
                const before = await live.rows("users");
                await withClient(address, { step: "of Synapse" }, async () => {
                    const error = await expectError("SM-E0986", () => apply(prepared.planFile));
                    expect(error.detail.found).to.contain(`role ${address.user}`);
                });
                expect(await live.rows("users")).to.deep.equal(before);
            }
            expect(await apply(prepared.planFile)).to.have.length(2);
        });
    });

    it("refuses a plan that was edited, something that is no plan, and a schema of somebody else", async function () {
        this.timeout(60_000);
        await withPrepared(live, { backup: [await lostUser()], tables: ["users"] }, async ({ planFile, plan }) => {
            const text = await readFile(planFile, "utf8");
            await writeFile(planFile, text.replace('"replace": false', '"replace": true'));
            await expectError("SM-E0988", () => readPlan(planFile));
            await writeFile(planFile, "{}");
            await expectError("SM-E0988", () => readPlan(planFile));
            await writeFile(planFile, "{");
            await expectError("SM-E0988", () => readPlan(planFile));
            await withClient(cluster.address(live.name), { step: "test" }, async (client) => {
                await expectError("SM-E0988", () => dropSideSchema(client, "public"));
                await client.query("CREATE SCHEMA synapse_restore_00000000");
                await expectError("SM-E0988", () => dropSideSchema(client, "synapse_restore_00000000"));
                await expectError("SM-E0985", () => dropSideSchema(client, "synapse_restore_11111111"));
                await dropSideSchema(client, plan.sideSchema);
            });
            await expectError("SM-E0985", () => applyPlan(plan, cluster.address(live.name)));
        });
    });

    it("rolls everything back when a trigger makes other rows of them", async function () {
        this.timeout(60_000);
        await withPrepared(live, { backup: [await lostUser()], tables: ["users", "profiles"] }, async (prepared) => {
            await live.query(
                `CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.displayname := ''other''; RETURN NEW; END';
                CREATE TRIGGER meddle BEFORE INSERT ON profiles FOR EACH ROW EXECUTE FUNCTION meddle()`,
            );
            const before = await live.rows("users");
            await expectError("SM-E0989", () => apply(prepared.planFile));
            expect(await live.rows("users")).to.deep.equal(before);
        });
    });
});
