import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import { Client } from "pg";
import { z } from "zod";
import { assess, quickAssessment } from "../../../steps/assess/assess.ts";
import { assessContract, type Finding } from "../../../contract/index.ts";
import { claimFence } from "../../../engine/fence/fenceHolder.ts";
import { openJournal } from "../../../engine/run/journal.ts";
import { ensureToolchain } from "../../../toolchain/toolchain.ts";
import { freePort } from "../../../engine/machines/freePort.ts";
import { recordInDatabase } from "../../../engine/fence/database/recordInDatabase.ts";
import { claimSource, releaseSource } from "../../../engine/fence/sourceRecord.ts";
import { withClient } from "../../../engine/postgres/connection.ts";
import { prepareRunDirectory } from "../../../engine/run/runDirectory.ts";
import { expectError } from "../../support/expectError.ts";
import { done, runOf, secretsOf, sourceOf } from "../../support/migrationSpecs.ts";
import { smallPopulation, startTestSynapse, type TestSynapse } from "../../support/synapse.ts";

type Spec = z.infer<typeof assessContract.spec>;

const kept = z.object({ findings: z.array(z.object({ id: z.string() })), passed: z.array(z.string()) });

describe("the assessment", () => {
    let synapse: TestSynapse;
    let python = "";
    let runs = 0;
    let programs = "";

    const spec = (overrides: Partial<Spec> = {}): Spec => ({
        run: runOf(synapse, `a${++runs}`),
        source: sourceOf(synapse),
        targetDirectory: join(synapse.directory, "target"),
        targetPython: python,
        targetServer: { kind: "managed", directory: join(synapse.directory, "target-database"), port: 0, programs },
        quick: false,
        enforce: false,
        acknowledged: ["SM-W0745"],
        ...secretsOf(synapse),
        ...overrides,
    });
    const findingsOf = async (overrides: Partial<Spec> = {}): Promise<Finding[]> =>
        (await done(assess, spec(overrides), assessContract.result)).findings;
    /** Of all findings, not only of those that the result has room for. */
    const idsOf = async (overrides: Partial<Spec> = {}): Promise<string[]> => {
        const { evidenceFile } = await done(assess, spec(overrides), assessContract.result);
        return kept.parse(JSON.parse(await readFile(evidenceFile, "utf8"))).findings.map(({ id }) => id);
    };
    const superuser = async (statement: string): Promise<void> => {
        const { host, port, user, password } = synapse.cluster.administration;
        const client = new Client({ host, port, database: synapse.cluster.synapse.name, user, password });
        await client.connect();
        await client.query(statement).finally(() => client.end());
    };
    const sql = (statement: string) => synapse.cluster.query(statement);

    before(async () => {
        const [started, toolchain] = await Promise.all([
            startTestSynapse({ population: smallPopulation }),
            ensureToolchain({ postgres: true, synapse: true }, () => undefined),
        ]);
        synapse = started;
        python = toolchain.synapse?.python ?? "";
        programs = toolchain.postgres?.directory ?? "";
    });
    after(() => synapse.stop());

    it("finds nothing that blocks in a healthy homeserver, and runs every check", async () => {
        const assessment = await done(assess, spec({ enforce: true }), assessContract.result);
        expect(assessment).to.deep.include({ errors: 0, notRun: [], serverName: "rehearsal.test", committed: false });
        expect(assessment.sizes.databaseBytes).to.be.greaterThan(1e6);
        expect(assessment.versions).to.have.keys("source", "target");
        const { passed } = kept.parse(JSON.parse(await readFile(assessment.evidenceFile, "utf8")));
        expect(passed).to.include.members(["source-clock", "target-clock", "old-signing-keys"]);
    });

    it("says that nobody looks after a target that is to stay, until that is acknowledged, and of a disposable one not at all", async () => {
        const blocking = { quick: true, acknowledged: [] };
        expect((await findingsOf(blocking)).find(({ id }) => id === "SM-W0745")?.severity).to.equal("error");
        await expectError("SM-W0745", () => findingsOf({ ...blocking, enforce: true }));
        const run = { ...runOf(synapse, `a${++runs}`), disposable: true };
        expect((await findingsOf({ ...blocking, run })).map(({ id }) => id)).not.to.include("SM-W0745");
        expect((await findingsOf({ quick: true })).find(({ id }) => id === "SM-W0745")?.severity).to.equal("warning");
    });

    it("has the target's Synapse load what it will be started with, in a rehearsal too, and lists it as not run in a preview", async () => {
        const extra = join(synapse.directory, "extra.yaml");
        await writeFile(extra, "modules: [{module: not_installed.Module}]\n");
        const from = sourceOf(synapse);
        const source = { ...from, homeserverConfig: [...from.homeserverConfig, extra] };
        const run = { ...runOf(synapse, `a${++runs}`), disposable: true };
        await expectError("SM-E0525", () => findingsOf({ source, run, rehearsal: true, enforce: true }));
        const { notRun } = await done(assess, spec({ source, quick: true }), assessContract.result);
        expect(notRun).to.include("target-configuration");
    });

    it("says that another stack has fenced the source, and that it was left for good", async () => {
        const { host, port, name, user, password } = synapse.cluster.synapse;
        const elsewhere = { id: "r9", directory: join(synapse.directory, "elsewhere", "r9"), stack: "the-other" };
        await prepareRunDirectory(elsewhere.directory);
        await withClient({ host, port, name, user, password }, { step: "test" }, async (client) => {
            await claimSource(recordInDatabase(client), elsewhere, null);
            const found = (await findingsOf({ quick: true })).find(({ id }) => id === "SM-E0741");
            expect(found?.evidence).to.contain("the-other");
            expect((await findingsOf({ quick: true, rehearsal: true })).map(({ id }) => id)).not.to.include("SM-E0741");
            await releaseSource(recordInDatabase(client), elsewhere);
        });
    });

    it("refuses to port a file where the rows are in a server (SM-E0979)", async () => {
        await expectError("SM-E0979", () => findingsOf({ quick: true, copy: { mode: "port" } }));
    });

    it("needs a role that may only read, and says that the fence needs another one", async () => {
        await superuser("CREATE ROLE reader LOGIN PASSWORD 'reader-password' IN ROLE pg_read_all_data");
        const passwordFile = join(synapse.directory, "reader.password");
        await writeFile(passwordFile, "reader-password", { mode: 0o600 });
        const source = { ...sourceOf(synapse), database: { user: "reader", passwordFile } };
        const { notRun, findings } = await done(assess, spec({ source }), assessContract.result);
        expect(notRun).to.deep.equal([]);
        const blocking = findings.filter(({ severity }) => severity === "error");
        expect(blocking.map(({ id }) => id)).to.deep.equal(["SM-E0723"]);
        expect(blocking[0]?.evidence).to.contain("reader does not own the database");
        const rehearsed = await done(assess, spec({ source, rehearsal: true }), assessContract.result);
        expect(rehearsed).to.deep.include({ errors: 0, notRun: [] });
    });

    it("lists thorough checks as not run in a preview, and keeps the same run id from one to the next", async () => {
        const directory = join(synapse.directory, "preview-runs");
        const quick = spec({ run: { directory }, quick: true });
        const first = await quickAssessment(quick);
        expect(first.notRun).to.include.members([
            "users-of-this-server",
            "sequences",
            "unique-indexes",
            "rows-and-constraints",
            "signing-key-signed-events",
        ]);
        expect((await quickAssessment(quick)).runId).to.equal(first.runId);
    });

    it("shows a target server that does not answer in a preview and in phase assess, and refuses it where it is to be enforced", async () => {
        const targetServer = {
            ...{ kind: "existing" as const, host: "127.0.0.1", port: await freePort(), admin: "postgres", programs },
            ...{ adminPasswordFile: "/no/such/password", directory: join(synapse.directory, "target-database") },
        };
        const directory = join(synapse.directory, "unreachable-runs");
        const preview = await quickAssessment(spec({ run: { directory }, quick: true, targetServer }));
        expect(preview.findings.map(({ id }) => id)).to.include("SM-E0522");
        expect(preview.notRun).not.to.include.members(["target-database-server"]);
        expect(await idsOf({ targetServer })).to.include("SM-E0522");
        await expectError("SM-E0522", () => findingsOf({ targetServer, enforce: true }));
    });

    it("asks nothing about the target's server once a run has fenced the source", async () => {
        const directory = join(synapse.directory, "fenced-runs");
        await prepareRunDirectory(join(directory, "r8"));
        const journal = openJournal(join(directory, "r8", "journal.jsonl"));
        await journal.append({ step: "fence", phase: "migrate", kind: "intent" });
        const held = { service: { kind: "process" as const }, readOnly: null };
        await claimFence({ id: "r8", directory: join(directory, "r8") }, () => Promise.resolve(held));
        const { runId, notRun } = await quickAssessment(spec({ run: { directory }, quick: true }));
        expect(runId).to.equal("r8");
        expect(notRun).to.include.members(["target-database-server", "target-database-programs"]);
    });

    it("finds indexes and rows that would break the restore, in a thorough run", async () => {
        await superuser(`
            CREATE TABLE extra_rooms (id bigint PRIMARY KEY);
            CREATE TABLE extra_members (id bigint PRIMARY KEY, room bigint REFERENCES extra_rooms (id));
            ALTER TABLE extra_rooms OWNER TO synapse; ALTER TABLE extra_members OWNER TO synapse;
            SET session_replication_role = replica; INSERT INTO extra_members VALUES (1, 7); RESET session_replication_role;
            UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'extra_members_pkey'::regclass`);
        try {
            expect(await idsOf()).to.include.members(["SM-E0517", "SM-E0520"]);
        } finally {
            await superuser("DROP TABLE extra_members, extra_rooms");
        }
    });

    it("goes on with the run that is committed, without asking the source", async () => {
        const directory = join(synapse.directory, "committed-runs");
        await prepareRunDirectory(join(directory, "r7"));
        const journal = openJournal(join(directory, "r7", "journal.jsonl"));
        for (const kind of ["intent", "done"] as const)
            await journal.append({ step: "commit", phase: "cutover", kind });
        const gone = { ...sourceOf(synapse), homeserverConfig: ["/no/such/homeserver.yaml"] };
        const { runId, committed } = await quickAssessment(spec({ run: { directory }, quick: true, source: gone }));
        expect({ runId, committed }).to.deep.equal({ runId: "r7", committed: true });
    });

    it("refuses a server name that is not the source's (B02)", async () => {
        const error = await expectError("SM-E0801", () =>
            findingsOf({ source: { ...sourceOf(synapse), serverName: "other.test" } }),
        );
        expect(error.block).to.contain("other.test").and.to.contain("rehearsal.test");
    });

    it("finds secrets that are not the source's, a pepper that is missing (B11), and a source that its pid file does not name", async () => {
        const otherKey = "ed25519 a_Test AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        const stopped = { ...sourceOf(synapse), service: { kind: "process" as const, pidFile: "/no/such.pid" } };
        const wrong = {
            pepper: "another-pepper-of-this-test",
            macaroonSecretKey: "another-macaroon-of-this-test",
            signingKey: otherKey,
            source: stopped,
        };
        expect(await idsOf(wrong)).to.include.members(["SM-E0818", "SM-E0820", "SM-E0830", "SM-E0558"]);
        expect(await idsOf({ pepper: undefined })).to.include("SM-E0820");
    });

    it("says that the source does not run, where it does not", async () => {
        await synapse.homeserver.stop();
        try {
            expect(await idsOf())
                .to.include("SM-W0710")
                .and.not.to.include("SM-E0558");
        } finally {
            await synapse.homeserver.startAgain();
        }
    });

    it("refuses with every blocking finding at once where it is to be enforced", async () => {
        const wrong = spec({
            enforce: true,
            pepper: "another-pepper-of-this-test",
            macaroonSecretKey: "another-macaroon-of-this-test",
        });
        for (const code of ["SM-E0820", "SM-E0830"] as const) {
            await expectError(code, () =>
                done(assess, { ...wrong, run: runOf(synapse, `e${++runs}`) }, assessContract.result),
            );
        }
    });

    it("finds users of another server though they are not the first (B04), sequences behind (B26), hidden duplicates (B27), foreign signatures (B09), pending updates (B23) and a schema that is too new (B22)", async () => {
        await superuser(`
            INSERT INTO users (name) VALUES ('@zz:other.test'), ('@yy:other.test');
            UPDATE schema_compat_version SET compat_version = 9999;
            INSERT INTO background_updates (update_name, progress_json) VALUES ('test_update', '{}');
            UPDATE stream_positions SET stream_id = stream_id + 100000 WHERE stream_name = 'receipts';
            UPDATE pg_index SET indisunique = false, indisready = false WHERE indexrelid = 'profiles_user_id_key'::regclass;
            INSERT INTO profiles (user_id, full_user_id) SELECT user_id, full_user_id || 'x' FROM profiles WHERE user_id IS NOT NULL ORDER BY user_id LIMIT 1;
            UPDATE pg_index SET indisunique = true, indisready = true WHERE indexrelid = 'profiles_user_id_key'::regclass;
            CREATE TABLE kept_json AS SELECT * FROM event_json;
            UPDATE event_json SET json = regexp_replace(json, '("ed25519:[^"]+":\\s*")....', '\\1AAAA')`);
        try {
            const codes = ["SM-E0802", "SM-E0506", "SM-W0507", "SM-E0512", "SM-E0513", "SM-E0817"];
            expect(await idsOf()).to.include.members(codes);
        } finally {
            await superuser(`
                DELETE FROM users WHERE name LIKE '%:other.test';
                UPDATE schema_compat_version SET compat_version = 84;
                DELETE FROM background_updates WHERE update_name = 'test_update';
                UPDATE stream_positions SET stream_id = stream_id - 100000 WHERE stream_name = 'receipts';
                DELETE FROM profiles WHERE full_user_id LIKE '%x';
                UPDATE event_json j SET json = k.json FROM kept_json k WHERE k.event_id = j.event_id;
                DROP TABLE kept_json`);
        }
    });

    it("finds a half-made restore without a schema version, and a database that is not Synapse's (B24)", async () => {
        await sql("DELETE FROM schema_version");
        try {
            expect(await idsOf()).to.include("SM-E0506");
        } finally {
            await sql("INSERT INTO schema_version (version, upgraded) VALUES (94, false)");
        }
        await sql("ALTER TABLE state_groups RENAME TO state_groups_away");
        try {
            expect(await idsOf()).to.include("SM-E0508");
        } finally {
            await sql("ALTER TABLE state_groups_away RENAME TO state_groups");
        }
    });

    it("names the check that a lost table keeps from being made (SM-E0842), and makes the others", async () => {
        await sql("ALTER TABLE rooms RENAME TO rooms_away");
        try {
            const found = await findingsOf({ pepper: "another-pepper-of-this-test" });
            expect(found.find(({ id }) => id === "SM-E0842")?.evidence).to.match(
                /check signing-key-signed-events: .*public\.rooms/,
            );
            expect(found.map(({ id }) => id)).to.include("SM-E0820");
        } finally {
            await sql("ALTER TABLE rooms_away RENAME TO rooms");
        }
    });

    it("tells the homeserver's own sessions from those of somebody else (SM-W0720)", async () => {
        expect(await idsOf()).not.to.include.members(["SM-W0720", "SM-W0725"]);
        const { host, port, name, user, password } = synapse.cluster.synapse;
        const exporter = new Client({ host, port, database: name, user, password, application_name: "exporter" });
        await exporter.connect();
        try {
            const found = (await findingsOf()).filter(({ id }) => ["SM-W0720", "SM-W0725"].includes(id));
            expect(found.map(({ id }) => id)).to.deep.equal(["SM-W0720"]);
            expect(found[0]?.evidence).to.contain('application "exporter"').and.to.contain(`process ${process.pid}`);
        } finally {
            await exporter.end();
        }
    });

    it("keeps all that it found in its evidence", async () => {
        const healthy = spec({ pepper: "another-pepper-of-this-test" });
        const { evidenceFile } = await done(assess, healthy, assessContract.result);
        const evidence = await readFile(evidenceFile, "utf8");
        expect(evidence).to.contain("SM-E0820").and.not.to.contain("another-pepper-of-this-test");
    });
});
