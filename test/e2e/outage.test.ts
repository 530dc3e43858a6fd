import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { MigrationError } from "../../engine/run/errors.ts";
import { readJournal } from "../../engine/run/journal.ts";
import { makeTestStack, stackOutputs, type TestStack, type TestStackOptions } from "../support/e2eStack.ts";
import { powerCut } from "../support/powerCut.ts";
import { isTheServer } from "../support/remains.ts";
import { smallPopulation, startTestSynapse, type TestSynapse } from "../support/synapse.ts";
import { synapseMigrate } from "../support/synapseMigrate.ts";

const clockAhead = fileURLToPath(new URL("../support/clockAhead.mjs", import.meta.url));
const day = 24 * 60 * 60 * 1000;

describe("a move whose machine fails between its phases", function () {
    this.timeout(1_200_000);
    let synapse: TestSynapse;
    let made: TestStack;
    const below = (...path: string[]): string => join(synapse.directory, ...path);
    const sourceServes = (): Promise<boolean> => synapse.homeserver.answers();
    const makeStack = async (options: Pick<TestStackOptions, "canary"> = {}): Promise<TestStack> =>
        makeTestStack(
            synapse,
            { acknowledge: "SM-W0745" },
            {
                ...options,
                environment: { NODE_OPTIONS: `--import=${clockAhead}`, SYNAPSE_MIGRATION_TEST_CLOCK: below("clock") },
            },
        );

    before(async () => {
        synapse = await startTestSynapse({ population: smallPopulation });
        made = await makeStack();
    });
    after(async () => {
        await synapse.stop();
    });

    /** All of the machine; at boot the source's PostgreSQL comes back, and its homeserver where that was not stopped for good. */
    async function outage(homeserverComesBack = false): Promise<void> {
        await powerCut(synapse.directory);
        await synapse.cluster.startAgain();
        if (homeserverComesBack) await synapse.homeserver.startAgain();
    }

    async function loseWorkAndState(): Promise<string> {
        const { runId } = await made.stack.outputs(stackOutputs);
        for (const directory of ["work", "pulumi"]) rmSync(below(directory), { recursive: true });
        made = await makeStack({ canary: made.canary });
        return runId;
    }

    async function adopt(runId: string): Promise<void> {
        await synapseMigrate(["adopt", below("target"), "--work-directory", below("work"), "--confirm", runId]);
    }

    async function refusedWith(code: string, phase: string): Promise<void> {
        const error = await made.stack.up(phase).catch((caught: unknown) => caught);
        expect(error, "it was done").to.be.instanceOf(MigrationError);
        expect(made.listener.lines.join("\n")).to.include(code);
    }

    it("goes on after `stage`, and from `migrate` it goes back", async () => {
        await made.stack.up("stage");
        await outage(true);
        await made.stack.up("migrate");
        expect(await sourceServes()).to.equal(false);
        await outage();
        await made.stack.up("stage");
        expect(await sourceServes()).to.equal(true);
    });

    it("is not begun with a clock that is a day ahead of the databases'", async () => {
        writeFileSync(below("clock"), String(day));
        await refusedWith("SM-E1204", "migrate");
        rmSync(below("clock"));
        expect(await sourceServes()).to.equal(true);
    });

    it("goes back when its work directory and its state are lost before the commit", async () => {
        await made.stack.up("migrate");
        const runId = await loseWorkAndState();
        await refusedWith("SM-E0742", "migrate");
        await adopt(runId);
        // Its new state knows of no fence, and nobody would lift it.
        await refusedWith("SM-E0719", "stage");
        await made.stack.up("migrate");
        await made.stack.up("stage");
        const journal = await readJournal(below("work", "runs", runId, "journal.jsonl"));
        expect(journal.findLast(({ step }) => step === "fence")?.kind).to.equal("undone");
        expect(await sourceServes()).to.equal(true);
    });

    it("goes forward from `migrate` and from `cutover`, and is the same server", async () => {
        await made.stack.up("migrate");
        await outage();
        // Once it is fenced, going on is safer than standing still.
        writeFileSync(below("clock"), String(day));
        await made.stack.up("cutover");
        rmSync(below("clock"));
        await outage();
        await made.stack.up("finish");
        await outage();
        await made.stack.up("finish", "--expect-no-changes");
        await isTheServer(synapse, made);
    });

    it("is adopted when its work directory and its state are lost after the commit", async () => {
        const runId = await loseWorkAndState();
        await refusedWith("SM-E0742", "finish");
        await adopt(runId);
        await made.stack.up("finish");
        await made.stack.up("finish", "--expect-no-changes");
        await isTheServer(synapse, made);
    });
});
