import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import { fenceContract } from "../../../contract/index.ts";
import { refuseUnlessStillFenced } from "../../../engine/fence/stillFenced.ts";
import { fence } from "../../../steps/migrate/fence.ts";
import { readToken, tokenFile } from "../../../engine/fence/fenceToken.ts";
import { expectError } from "../../support/expectError.ts";
import { done, runOf, sourceOf, undone } from "../../support/migrationSpecs.ts";
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
            client.query("INSERT INTO users (name) VALUES ('@late:x')").then(
                () => expect.fail("a row was written"),
                (error: unknown) => expect(String(error)).to.contain("read-only"),
            ),
        );
        await refuseUnlessStillFenced(sourceOf(synapse), await readToken(runOf(synapse, "stops").directory, token));
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
        const read = await readToken(runOf(synapse, "written").directory, token);
        await source.withSession(async (client) => {
            await client.query("SET default_transaction_read_only = off");
            await client.query("SELECT nextval('events_stream_seq')");
        });
        const error = await expectError("SM-E0702", () => refuseUnlessStillFenced(sourceOf(synapse), read));
        expect(error.detail.found).to.contain("events_stream_seq");
        await undone(fence, spec("written"));
    });

    it("does not hold any more once counters were reset and a superuser's session that has ended has changed a row", async () => {
        const { token } = await done(fence, spec("reset"), fenceContract.result);
        const read = await readToken(runOf(synapse, "reset").directory, token);
        await synapse.cluster.administer("SELECT pg_stat_reset()");
        await refuseUnlessStillFenced(sourceOf(synapse), read);
        await synapse.cluster.administer("BEGIN READ WRITE; UPDATE schema_version SET upgraded = upgraded; COMMIT");
        const error = await expectError("SM-E0702", () => refuseUnlessStillFenced(sourceOf(synapse), read));
        expect(error.detail.found).to.contain("set to zero");
        await undone(fence, spec("reset"));
    });

    it("stays when a newer run holds it", async () => {
        await done(fence, spec("older"), fenceContract.result);
        await done(fence, spec("newer"), fenceContract.result);
        await undone(fence, spec("older"));
        expect(await synapse.homeserver.answers()).to.equal(false);
        await undone(fence, spec("newer"));
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
