import { randomBytes } from "node:crypto";
import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import { fenceContract } from "../../../contract/index.ts";
import { markSourceCommitted } from "../../../engine/fence/stillFenced.ts";
import { refuseUnlessStillFenced } from "../../../engine/fence/stillFenced.ts";
import { prepareRunDirectory } from "../../../engine/run/runDirectory.ts";
import { secretFileDigests, sectionDigests } from "../../../engine/synapse/config/sectionDigests.ts";
import { readSourceConfig } from "../../../engine/synapse/config/sourceConfig.ts";
import { fence } from "../../../steps/migrate/fence.ts";
import { readToken, tokenFile } from "../../../engine/fence/fenceToken.ts";
import { tableFingerprints } from "../../../engine/postgres/compare/fingerprint.ts";
import { writeReplicaManifest } from "../../../engine/postgres/replication/replicaManifest.ts";
import { expectError } from "../../support/expectError.ts";
import { done, runOf, sourceOf, undone } from "../../support/migrationSpecs.ts";
import { testRun } from "../../support/stepRun.ts";
import { startTestSynapse, type TestSynapse } from "../../support/synapse.ts";
import { fencedSource, type FencedSource } from "./fencedSource.ts";

describe("the fence", function () {
    let synapse: TestSynapse;
    let source: FencedSource;
    const spec = (run: string) => source.spec(run);

    before(async () => {
        synapse = await startTestSynapse();
        source = fencedSource(synapse);
    });
    after(() => synapse.stop());
    afterEach(async () => {
        if (!(await synapse.homeserver.answers())) await synapse.homeserver.startAgain();
    });

    it("stops the source, makes it read-only, and yields a token that still holds", async () => {
        const { token } = await done(fence, spec("stops"), fenceContract.result);
        expect(await synapse.homeserver.answers()).to.equal(false);
        await source.withSession((client) =>
            client.query("INSERT INTO public.users (name) VALUES ('@late:x')").then(
                () => expect.fail("a row was written"),
                (error: unknown) => expect(String(error)).to.contain("read-only"),
            ),
        );
        const run = runOf(synapse, "stops");
        await refuseUnlessStillFenced(sourceOf(synapse), token, run);
        await undone(fence, spec("stops"));
    });

    it("starts the source again exactly as it was when it is taken back", async () => {
        const before = await source.commandLine();
        await done(fence, spec("back"), fenceContract.result);
        await undone(fence, spec("back"));
        expect(await synapse.homeserver.answers()).to.equal(true);
        expect(await source.commandLine()).to.equal(before);
        expect(await source.settings()).to.deep.equal([]);
    });

    it("does not hold any more once the source has been written to", async () => {
        const { token } = await done(fence, spec("written"), fenceContract.result);
        await source.withSession(async (client) => {
            await client.query("SET default_transaction_read_only = off");
            await client.query("SELECT nextval('public.events_stream_seq')");
        });
        const error = await expectError("SM-E0702", () =>
            refuseUnlessStillFenced(sourceOf(synapse), token, runOf(synapse, "written")),
        );
        expect(error.detail.found).to.contain("events_stream_seq");
        await undone(fence, spec("written"));
    });

    it("does not hold any more once counters were reset and a superuser's session that has ended has changed a row", async () => {
        const { token } = await done(fence, spec("reset"), fenceContract.result);
        await synapse.cluster.administer("SELECT pg_stat_reset()");
        await refuseUnlessStillFenced(sourceOf(synapse), token, runOf(synapse, "reset"));
        await synapse.cluster.administer("BEGIN READ WRITE; UPDATE schema_version SET upgraded = upgraded; COMMIT");
        const error = await expectError("SM-E0702", () =>
            refuseUnlessStillFenced(sourceOf(synapse), token, runOf(synapse, "reset")),
        );
        expect(error.detail.found).to.contain("set to zero");
        await undone(fence, spec("reset"));
    });

    it("holds after a crash has lost the counters where every row is as it was copied, and not where one is another", async () => {
        await source.withSession((client) =>
            client.query("INSERT INTO public.users (name, creation_ts) VALUES ('@copied:rehearsal.test', 0)"),
        );
        const { token } = await done(fence, spec("crashed"), fenceContract.result);
        const run = runOf(synapse, "crashed");
        const step = await stepAfterCopy(run.directory);
        const look = (): Promise<void> => refuseUnlessStillFenced(sourceOf(synapse), token, run, step);
        await synapse.cluster.administer("SELECT pg_stat_reset()");
        // As autovacuum does.
        await synapse.cluster.administer("SELECT pg_current_xact_id()");
        await look();
        await synapse.cluster.administer("BEGIN READ WRITE; UPDATE public.users SET creation_ts = 1; COMMIT");
        const { detail } = await expectError("SM-E0702", look);
        expect(detail.found).to.contain("table public.users: 1 rows were copied, now 1 rows with other content");
        await undone(fence, spec("crashed"));
    });

    /** What a step has that comes after the copy of the source as it is now. */
    async function stepAfterCopy(directory: string) {
        const tables = await tableFingerprints(synapse.cluster.synapse, { step: "test", jobs: 1 });
        const manifestFile = join(directory, "replica.json");
        const manifestDigest = await writeReplicaManifest(manifestFile, {
            ...{ run: "crashed", serverName: synapse.homeserver.serverName, verify: "strict", position: "0/0" },
            ...{ copiedAt: new Date().toISOString(), copied: [], tables, checks: [], sequences: [], definitions: [] },
        });
        const step = testRun("crashed", directory);
        const record = { step: "catch-up", phase: "migrate" };
        await step.journal.append({ ...record, kind: "intent" });
        await step.journal.append({ ...record, kind: "done", result: { manifestFile, manifestDigest } });
        return step;
    }

    it("stays when a newer run holds it", async () => {
        await done(fence, spec("older"), fenceContract.result);
        await done(fence, spec("newer"), fenceContract.result);
        await undone(fence, spec("older"));
        expect(await synapse.homeserver.answers()).to.equal(false);
        await undone(fence, spec("newer"));
    });

    it("refuses a second stack while the source still serves it, and never gives it what is another's", async () => {
        const second = {
            ...spec("second"),
            run: { id: "first", directory: join(synapse.directory, "second", "first") },
        };
        await done(fence, spec("first"), fenceContract.result);
        const error = await expectError("SM-E0741", () => done(fence, second, fenceContract.result));
        expect(error.detail.found).to.contain(join(synapse.directory, "runs"));
        await undone(fence, second);
        expect(await synapse.homeserver.answers(), "the first one's fence holds").to.equal(false);
        await undone(fence, spec("first"));
        expect(await synapse.homeserver.answers()).to.equal(true);
    });

    it("refuses a source whose configuration is another one than the target's was made from, while it still serves", async () => {
        const { directory } = runOf(synapse, "changed");
        await prepareRunDirectory(directory);
        const config = await readSourceConfig(sourceOf(synapse));
        const sourceSections = await sectionDigests(config, directory);
        const evidence = join(directory, "evidence", "configure.json");
        await writeFile(
            evidence,
            JSON.stringify({ sourceSections: { ...sourceSections, max_upload_size: "another" } }),
        );
        const error = await expectError("SM-E0718", () => done(fence, spec("changed"), fenceContract.result));
        expect(error.detail.found).to.contain("another max_upload_size than");
        expect(await synapse.homeserver.answers()).to.equal(true);
        await writeFile(evidence, JSON.stringify({ sourceSections }));
        await done(fence, spec("changed"), fenceContract.result);
        await undone(fence, spec("changed"));
    });

    it("refuses a source whose signing key was rotated since the target was configured, while it still serves (P06)", async () => {
        const { directory } = runOf(synapse, "rotated");
        await prepareRunDirectory(directory);
        const config = await readSourceConfig(sourceOf(synapse));
        const [sourceSections, sourceSecretFiles] = [
            await sectionDigests(config, directory),
            await secretFileDigests(config, directory),
        ];
        await writeFile(
            join(directory, "evidence", "configure.json"),
            JSON.stringify({ sourceSections, sourceSecretFiles }),
        );
        const keyFile = "path" in config.signingKey ? config.signingKey.path : "";
        const key = await readFile(keyFile, "utf8");
        try {
            await writeFile(keyFile, `ed25519 a_rotated ${randomBytes(32).toString("base64").replace(/=+$/, "")}\n`);
            const error = await expectError("SM-E0718", () => done(fence, spec("rotated"), fenceContract.result));
            expect(error.detail.found).to.contain("another signing key than");
            expect(await synapse.homeserver.answers()).to.equal(true);
        } finally {
            await writeFile(keyFile, key);
        }
        await done(fence, spec("rotated"), fenceContract.result);
        await undone(fence, spec("rotated"));
    });

    it("is never lifted again once the source was left for good, by whichever stack", async () => {
        const { token } = await done(fence, spec("left"), fenceContract.result);
        const run = runOf(synapse, "left");
        await markSourceCommitted(sourceOf(synapse), run, "test");
        await refuseUnlessStillFenced(sourceOf(synapse), token, run);
        await undone(fence, spec("left"));
        await expectError("SM-E0741", () => done(fence, spec("again"), fenceContract.result));
        expect(await synapse.homeserver.answers()).to.equal(false);
        await source.withSession(async (client) => {
            await client.query("SET default_transaction_read_only = off");
            await client.query(`COMMENT ON DATABASE ${client.escapeIdentifier(synapse.cluster.synapse.name)} IS NULL`);
        });
        await done(fence, spec("left"), fenceContract.result);
        await undone(fence, spec("left"));
    });

    it("is lifted out of the source's own record when the work directory was lost, and says what is left to do", async () => {
        await done(fence, spec("lost"), fenceContract.result);
        const runs = join(synapse.directory, "runs");
        await rename(join(runs, "fence-holder.json"), join(runs, "fence-holder.lost"));
        await expectError("SM-E0744", () => undone(fence, spec("lost")));
        await undone(fence, spec("lost"));
        await source.withSession((client) => client.query("CREATE TABLE it_may_be_written_to ()"));
        await source.withSession((client) => client.query("DROP TABLE it_may_be_written_to"));
    });

    it("is not mistaken for another: a token that is altered, missing or of another fence is refused", async () => {
        const { token } = await done(fence, spec("token"), fenceContract.result);
        const { directory } = runOf(synapse, "token");
        await expectError("SM-E0703", () => readToken(directory, "0".repeat(64)));
        await writeFile(
            tokenFile(directory),
            (await readFile(tokenFile(directory), "utf8")).replace(/"rowChanges": "\d+/, '"rowChanges": "1'),
        );
        await expectError("SM-E0703", () => readToken(directory, token));
        await writeFile(tokenFile(directory), "{");
        await expectError("SM-E0703", () => readToken(directory, token));
        await expectError("SM-E0703", () => readToken(join(directory, "nowhere"), token));
        await undone(fence, spec("token"));
    });
});
