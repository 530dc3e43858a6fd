import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { z } from "zod";
import { databaseContract } from "../../contract/index.ts";
import { withClient, type DatabaseAddress } from "../../engine/postgres/connection.ts";
import { adminAddress } from "../../engine/postgres/databases/targetAddress.ts";
import { MigrationError } from "../../engine/run/errors.ts";
import { readJournal } from "../../engine/run/journal.ts";
import { stepState } from "../../engine/run/stepState.ts";
import { makeTestStack, stackOutputs, type TestStack } from "../support/e2eStack.ts";
import { smallPopulation, startTestSynapse, type TestSynapse } from "../support/synapse.ts";

/** What the copy would write into is there, with somebody's table, from right after the fence has looked at the target. */
describe("a move whose copy is refused while the source is fenced", function () {
    this.timeout(900_000);
    let synapse: TestSynapse;
    let made: TestStack;

    before(async () => {
        synapse = await startTestSynapse({ population: smallPopulation });
        made = await makeTestStack(synapse, { disposable: true });
    });
    after(async () => {
        await made.stack.destroy().catch(() => undefined);
        await synapse.stop();
    });

    it("has its source serve again by itself; the next `up` says what to do; and that moves it", async () => {
        const { stack, listener } = made;
        await stack.up("stage");
        const { runId } = await stack.outputs(stackOutputs);
        const journal = () => readJournal(join(synapse.directory, "work", "runs", runId, "journal.jsonl"));
        const { database } = databaseContract.result.parse(stepState(await journal(), "database").result);
        const maintenance = await adminAddress(database);
        const inTheWay = { ...maintenance, name: `${database.name}_incoming_${runId}` };
        const execute = (address: DatabaseAddress, sql: string): Promise<unknown> =>
            withClient(address, { step: "test" }, (client) => client.query(sql));

        let laid: Promise<unknown> | undefined;
        listener.onLine = (line) => {
            if (!line.includes("[fence] stopping the source homeserver")) return;
            laid ??= execute(maintenance, `CREATE DATABASE "${inTheWay.name}"`).then(() =>
                execute(inTheWay, "CREATE TABLE public.of_somebody (id int)"),
            );
        };
        const upFails = async (phase: string): Promise<string> => {
            listener.lines.length = 0;
            await stack.up(phase).then(
                () => expect.fail("the copy was not refused"),
                (error: unknown) => expect(error).to.be.instanceOf(MigrationError),
            );
            return listener.lines.join("\n");
        };
        const first = await upFails("migrate");
        await laid;
        expect(first).to.match(/SM-E0804[\s\S]*SM-E0781/);
        expect(await synapse.homeserver.answers(), "the source serves again").to.equal(true);
        const notes = readFileSync(join(synapse.directory, "work", "runs", runId, "notes.log"), "utf8");
        expect(notes).to.contain("the source was put back and serves since");

        const second = await upFails("migrate");
        expect(second).to.contain("SM-E0780").and.to.contain("pulumi config set phase stage");
        expect(await synapse.homeserver.answers(), "nothing has stopped it").to.equal(true);

        await execute(maintenance, `DROP DATABASE "${inTheWay.name}"`);
        await stack.up("stage");
        expect(await synapse.homeserver.answers()).to.equal(true);
        expect(stepState(await journal(), "give-back").state).to.equal("clean");
        await stack.up("cutover");
        expect(await synapse.homeserver.answers(), "moved: the source is left").to.equal(false);
        const { report } = await stack.outputs(stackOutputs);
        expect(readFileSync(report.markdown, "utf8").split("\n")[0]).to.match(/: Proven the same server$/);
        const { downtime } = z
            .object({ downtime: z.array(z.object({ end: z.string() })) })
            .parse(JSON.parse(readFileSync(report.json, "utf8")));
        expect(downtime.map(({ end }) => end)).to.deep.equal(["rolled-back", "opened"]);
    });
});
