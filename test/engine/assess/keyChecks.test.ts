import { expect } from "chai";
import type { Finding } from "../../../contract/index.ts";
import { keyChecks } from "../../../engine/assess/keyChecks.ts";
import { ensureToolchain } from "../../../toolchain/toolchain.ts";
import { testCluster, type TestCluster } from "../../support/cluster.ts";
import { findingsOf, runCheck } from "./runCheck.ts";

describe("keys that Synapse's schema has, in the assessment", function () {
    this.timeout(180_000);
    let cluster: TestCluster;
    let name = "";
    let targetPython = "";
    const found = (): Promise<Finding[]> =>
        findingsOf(keyChecks, "schema-keys", cluster.address(name), { targetPython });
    const sql = (statement: string): Promise<unknown> => cluster.query(name, statement);

    before(async () => {
        cluster = await testCluster();
        targetPython = (await ensureToolchain({ synapse: true }, () => undefined)).synapse?.python ?? "";
    });
    beforeEach(async () => {
        name = await cluster.createDatabase("synapse");
    });

    it("are all there in a homeserver's database, and in one with more of them", async () => {
        expect(await found()).to.deep.equal([]);
        await sql("CREATE UNIQUE INDEX more ON public.users (creation_ts, name)");
        expect(await found()).to.deep.equal([]);
    });

    it("are warned of where a restore has lost them, each with the statement that mends it", async () => {
        await sql(`ALTER TABLE public.access_tokens DROP CONSTRAINT access_tokens_pkey;
            ALTER TABLE public.room_memberships DROP CONSTRAINT room_memberships_event_id_key;
            DROP INDEX public.event_push_summary_unique_index2; DROP INDEX public.events_stream_ordering CASCADE;
            DROP INDEX public.worker_read_write_locks_write`);
        const findings = await found();
        expect(findings.map(({ id, severity }) => `${id} ${severity}`)).to.deep.equal(
            Array(5).fill("SM-W0862 warning"),
        );
        const fixes = findings.map(({ fix }) => fix);
        expect(fixes).to.include.members([
            'ALTER TABLE "public"."access_tokens" ADD PRIMARY KEY ("id")',
            'CREATE UNIQUE INDEX "room_memberships_event_id_key" ON "public"."room_memberships" ("event_id")',
            'CREATE UNIQUE INDEX "events_stream_ordering" ON "public"."events" ("stream_ordering")',
        ]);
        expect(findings[0]?.evidence).to.match(
            /primary key of public\.access_tokens \(id\), which Synapse's schema \d+ has/,
        );
        for (const fix of fixes) await sql(fix);
        expect(await found()).to.deep.equal([]);
    });

    it("are not taken for there where an index is over other columns, or keeps nothing apart", async () => {
        await sql(`ALTER TABLE public.access_tokens DROP CONSTRAINT access_tokens_pkey;
            CREATE INDEX of_all ON public.access_tokens (id); CREATE UNIQUE INDEX of_more ON public.access_tokens (id, token);
            CREATE UNIQUE INDEX of_more_still ON public.access_tokens (id, user_id); CREATE UNIQUE INDEX of_some ON public.access_tokens (id) WHERE id > 5`);
        expect((await found()).map(({ fix }) => fix)).to.deep.equal([
            'ALTER TABLE "public"."access_tokens" ADD PRIMARY KEY ("id")',
        ]);
        await sql("CREATE UNIQUE INDEX of_each ON public.access_tokens (id)");
        expect(await found()).to.deep.equal([]);
    });

    it("are counted where they are there more than once meanwhile", async () => {
        await sql(`ALTER TABLE public.access_tokens DROP CONSTRAINT access_tokens_pkey;
            INSERT INTO public.access_tokens (id, user_id, token) SELECT 990 + n / 2, '@a:x', 'token-of-tests-' || n FROM generate_series(0, 3) n`);
        expect((await found()).map(({ fix }) => fix)).to.deep.equal([
            'first mend 2 keys that are there more than once; then ALTER TABLE "public"."access_tokens" ADD PRIMARY KEY ("id")',
        ]);
    });

    it("are those of the version that the source has, and unknown for one that the target's Synapse cannot build", async () => {
        const look = () => runCheck(keyChecks, "schema-keys", cluster.address(name), { targetPython });
        // That table came with a later version.
        await sql(
            "ALTER TABLE public.sliding_sync_membership_snapshots DROP CONSTRAINT sliding_sync_membership_snapshots_pkey CASCADE",
        );
        expect(await found()).to.have.length(1);
        await sql("UPDATE public.schema_version SET version = 80");
        expect(await found()).to.deep.equal([]);
        for (const version of [71, 9999]) {
            await sql(`UPDATE public.schema_version SET version = ${version}`);
            expect(await look()).to.equal("not-run");
        }
        name = await cluster.createDatabase("empty");
        expect(await look()).to.equal("not-run");
    });
});
