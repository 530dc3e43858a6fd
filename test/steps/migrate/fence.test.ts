import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import { Client } from "pg";
import { fenceContract } from "../../../contract/index.ts";
import { refuseUnlessStillFenced } from "../../../engine/fence/stillFenced.ts";
import { fence } from "../../../steps/migrate/fence.ts";
import { readToken, tokenFile } from "../../../engine/fence/fenceToken.ts";
import { expectError } from "../../support/expectError.ts";
import { done, runOf, sourceOf, undone } from "../../support/migrationSpecs.ts";
import { startTestSynapse, type TestSynapse } from "../../support/synapse.ts";

describe("the fence", function () {
    let synapse: TestSynapse;
    const spec = (run: string) => ({ run: runOf(synapse, run), source: sourceOf(synapse) });

    /** A session of the source's own role, as a forgotten worker would have it. */
    async function withSession<T>(work: (client: Client) => Promise<T>): Promise<T> {
        const { host, port, name, user, password } = synapse.cluster.synapse;
        const client = new Client({ host, port, database: name, user, password, application_name: "forgotten worker" });
        await client.connect();
        try {
            return await work(client);
        } finally {
            await client.end();
        }
    }

    before(async () => {
        synapse = await startTestSynapse();
    });
    after(() => synapse.stop());
    afterEach(async () => {
        if (!(await synapse.homeserver.answers())) await synapse.homeserver.startAgain();
    });

    it("stops the source, makes it read-only, and yields a token that still holds", async () => {
        const { token } = await done(fence, spec("stops"), fenceContract.result);
        expect(await synapse.homeserver.answers()).to.equal(false);
        await withSession((client) =>
            client.query("INSERT INTO public.users (name) VALUES ('@late:x')").then(
                () => expect.fail("a row was written"),
                (error: unknown) => expect(String(error)).to.contain("read-only"),
            ),
        );
        await refuseUnlessStillFenced(sourceOf(synapse), await readToken(runOf(synapse, "stops").directory, token));
        await undone(fence, spec("stops"));
    });

    it("starts the source again exactly as it was when it is taken back", async () => {
        const before = await commandLine(synapse);
        await done(fence, spec("back"), fenceContract.result);
        await undone(fence, spec("back"));
        expect(await synapse.homeserver.answers()).to.equal(true);
        expect(await commandLine(synapse)).to.equal(before);
        const settings = await synapse.cluster.query(
            "SELECT * FROM pg_db_role_setting WHERE setconfig::text LIKE '%read_only%'",
        );
        expect(settings.rows).to.deep.equal([]);
    });

    it("refuses while a session is left, names it, and starts the source again when it is taken back", async () => {
        await withSession(async () => {
            const error = await expectError("SM-E0702", () => done(fence, spec("session"), fenceContract.result));
            expect(error.detail.found).to.contain("forgotten worker");
        });
        await undone(fence, spec("session"));
        expect(await synapse.homeserver.answers()).to.equal(true);
    });

    it("does not hold any more once the source has been written to", async () => {
        const { token } = await done(fence, spec("written"), fenceContract.result);
        const read = await readToken(runOf(synapse, "written").directory, token);
        await withSession(async (client) => {
            await client.query("SET default_transaction_read_only = off");
            await client.query("SELECT nextval('public.events_stream_seq')");
        });
        const error = await expectError("SM-E0702", () => refuseUnlessStillFenced(sourceOf(synapse), read));
        expect(error.detail.found).to.contain("events_stream_seq");
        await undone(fence, spec("written"));
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

async function commandLine({ homeserver }: TestSynapse): Promise<string> {
    const pid = (await readFile(homeserver.files.pidFile, "utf8")).trim();
    return (await readFile(`/proc/${pid}/cmdline`, "utf8")).replaceAll("\0", " ");
}
