import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { checkHomeserver } from "../../rehearsal/check.ts";
import { processesBelow } from "../../rehearsal/directory.ts";
import { MigrationError } from "../../engine/run/errors.ts";
import { readJournal } from "../../engine/run/journal.ts";
import { until } from "../../engine/run/until.ts";
import { makeTestStack, stackOutputs, type TestStack } from "../support/e2eStack.ts";
import { smallPopulation, startTestSynapse, type TestSynapse } from "../support/synapse.ts";

describe("a homeserver that is moved with Pulumi", function () {
    this.timeout(900_000);
    let synapse: TestSynapse;
    let made: TestStack;
    const below = (...path: string[]): string => join(synapse.directory, ...path);

    before(async () => {
        synapse = await startTestSynapse({ population: smallPopulation });
        made = await makeTestStack(synapse, { disposable: true });
    });
    after(async () => {
        await made.stack.destroy().catch(() => undefined);
        await synapse.stop();
    });

    it("is previewed, staged, moved through a kill, rolled back, moved again, opened, and destroyed", async () => {
        const { stack, listener, gatewayUrl, secrets } = made;
        const runId = async (): Promise<string> => (await stack.outputs(stackOutputs)).runId;
        const journal = async () => readJournal(below("work", "runs", await runId(), "journal.jsonl"));
        const leaks = (text: string): string[] =>
            secrets.filter((secret) => text.includes(secret.trim())).map((secret) => `${secret.slice(0, 4)}…`);
        await stack.preview();
        expect(readdirSync(below("target")), "a preview makes nothing").to.deep.equal([]);

        await stack.up("stage");
        const closed = await fetch(`${await gatewayUrl()}/_matrix/client/versions`);
        expect(closed.status).to.equal(503);
        expect(closed.headers.get("retry-after")).to.match(/^\d+$/);
        expect(await synapse.homeserver.answers(), "the source serves on").to.equal(true);

        // Replaced: made first, which the journal answers, then deleted, which must not end what it stands for.
        await stack.up("stage", "--replace", "**::gateway");
        expect(listener.lines.join("\n")).to.match(/gateway[^\n]*replaced/);
        expect((await fetch(`${await gatewayUrl()}/_matrix/client/versions`)).status, "the gateway stays").to.equal(
            503,
        );

        // Another run takes over what the first one has staged: made anew first, the old taken back after it.
        await stack.set("run", "second");
        await stack.up("stage");
        expect(await runId()).to.equal("second");
        expect(
            (await fetch(`${await gatewayUrl()}/_matrix/client/versions`)).status,
            "the gateway outlives its first run",
        ).to.equal(503);

        // SIGKILL of Pulumi and of the step in the middle of the copy.
        listener.onLine = (line) => {
            if (!line.includes("[copy] copying rows")) return;
            listener.onLine = () => undefined;
            for (const pid of pulumiAndStep(synapse, "copy")) kill(pid);
        };
        await stack.up("migrate").then(
            () => expect.fail("pulumi was not killed"),
            (error: unknown) => expect(error).to.be.instanceOf(MigrationError),
        );
        await stepsEnded(synapse);
        await stack.cancel();
        await stack.forgetPending();
        expect(await stack.exportState(), "what Pulumi had noted as begun").to.match(
            /"pending_operations": (null|\[\])|^(?!.*pending_operations)/s,
        );
        await stack.up("migrate");
        const copies = (await journal()).filter(({ step }) => step === "copy").map(({ kind }) => kind);
        expect(
            copies.filter((kind) => kind === "intent"),
            "the copy was begun twice",
        ).to.have.length(2);
        expect(copies.at(-1)).to.equal("done");

        // An update does nothing, and answers from the journal.
        const before = await journal();
        await stack.set("copyRateLimit", "500");
        await stack.up("migrate");
        expect(listener.lines.join("\n")).to.match(/\bcopy updated/);
        expect((await journal()).slice(before.length)).to.deep.equal([]);
        expect(await synapse.homeserver.answers(), "the source is fenced").to.equal(false);
        expect((await fetch(`${await gatewayUrl()}/_matrix/client/versions`)).status, "the gateway is closed").to.equal(
            503,
        );

        await stack.up("stage");
        expect(await synapse.homeserver.answers(), "the source serves again").to.equal(true);
        for (const step of ["fence", "copy", "swap", "start"]) {
            expect((await journal()).findLast((record) => record.step === step)?.kind, step).to.equal("undone");
        }
        const { rows } = await synapse.cluster.query(
            `SELECT room_id FROM rooms WHERE creator LIKE '@${made.canary.user}:%'
            UNION ALL SELECT media_id FROM local_media_repository WHERE user_id LIKE '@${made.canary.user}:%'
            UNION ALL SELECT device_id FROM devices WHERE user_id LIKE '@${made.canary.user}:%'
            UNION ALL SELECT name FROM users WHERE name LIKE '@synapse-migration%'`,
        );
        expect(rows, "what the test account had left on the source").to.deep.equal([]);
        await synapse.cluster.query("CREATE TABLE written_after_the_way_back (x int)");
        await synapse.cluster.query("DROP TABLE written_after_the_way_back");

        await stack.up("cutover");
        await stack.up("cutover", "--expect-no-changes");
        await stack.preview("--expect-no-changes");
        const { expectations } = synapse;
        if (expectations === undefined) throw new Error("the source was not filled");
        const results = await checkHomeserver({ baseUrl: await gatewayUrl(), expectations, progress: listener });
        expect(results.filter(({ passed }) => !passed)).to.deep.equal([]);

        const { report } = await stack.outputs(stackOutputs);
        expect(readFileSync(report.markdown, "utf8").split("\n")[0]).to.match(/: Proven the same server$/);
        expect(leaks(await stack.exportState()), "secrets in the state").to.deep.equal([]);
        for (const directory of ["work/runs", "reports", "pulumi"]) {
            for (const file of filesBelow(below(directory)))
                expect(leaks(readFileSync(file, "utf8")), file).to.deep.equal([]);
        }
        expect(leaks(listener.lines.join("\n")), "secrets in Pulumi's output").to.deep.equal([]);

        await stack.up("finish");
        await stack.preview("--expect-no-changes");
        expect((await fetch(`${await gatewayUrl()}/_matrix/client/versions`)).status, "the target serves on").to.equal(
            200,
        );

        await stack.destroy();
        for (const directory of ["target", "work", "pulumi"]) {
            expect(processesBelow(below(directory)), `processes left in ${directory}`).to.deep.equal([]);
        }
        expect(filesBelow(below("target")), "files left by the stack").to.deep.equal([]);
        expect(await synapse.homeserver.answers(), "a committed source never serves again").to.equal(false);
    });
});

/** What ended because the one before it was killed needs no signal any more. */
function kill(pid: number): void {
    try {
        process.kill(pid, "SIGKILL");
    } catch (error) {
        if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
    }
}

function pulumiAndStep(synapse: TestSynapse, step: string): number[] {
    const ours = processesBelow(synapse.directory).filter(
        ({ command }) => command.includes("pulumi") && command.includes("stack.yaml"),
    );
    return [...ours.map(({ pid }) => pid), ...stepProcesses(synapse, step)];
}

/** Processes of `steps/cli.ts` that this test's Pulumi has started: they have its variables. */
function stepProcesses({ directory }: TestSynapse, step = ""): number[] {
    return readdirSync("/proc")
        .filter((name) => /^\d+$/.test(name))
        .filter((name) => {
            try {
                const isStep = readFileSync(`/proc/${name}/cmdline`, "utf8").includes(`steps/cli.ts\0${step}`);
                return isStep && readFileSync(`/proc/${name}/environ`, "utf8").includes(directory);
            } catch {
                return false;
            }
        })
        .map(Number);
}

/** Steps notice within a second that who called them is gone. */
async function stepsEnded(synapse: TestSynapse): Promise<void> {
    await until(
        () => stepProcesses(synapse).length === 0 || undefined,
        { seconds: 30 },
        () => new Error("a step goes on though Pulumi is gone"),
    );
}

function filesBelow(directory: string): string[] {
    if (!existsSync(directory)) return [];
    return readdirSync(directory, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name));
}
