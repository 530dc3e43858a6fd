import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { z } from "zod";
import { makeServiceDirectory, processesBelow } from "../../rehearsal/directory.ts";
import { checkHomeserver } from "../../rehearsal/check.ts";
import { PulumiStack } from "../../rehearsal/pulumiStack.ts";
import { registerCanary } from "../../rehearsal/source/canary.ts";
import { MigrationError } from "../../steps/run/errors.ts";
import { readJournal } from "../../steps/run/journal.ts";
import type { Progress } from "../../steps/run/progress.ts";
import { ensureToolchain } from "../../toolchain/toolchain.ts";
import { secretsOf, sourceOf } from "../support/migrationSpecs.ts";
import { smallPopulation, startTestSynapse, type TestSynapse } from "../support/synapse.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const outputs = z.object({
    runId: z.string(),
    gatewayUrl: z.url(),
    report: z.object({ json: z.string(), markdown: z.string(), html: z.string() }),
});

/** Listens to what Pulumi says, so that a test can act while a step works. */
class Listener implements Progress {
    public readonly lines: string[] = [];
    public onLine: (line: string) => void = () => undefined;

    public say(line: string): void {
        this.lines.push(line);
        this.onLine(line);
    }

    public during<T>(_title: string, work: () => Promise<T>): Promise<T> {
        return work();
    }
}

describe("a homeserver that is moved with Pulumi", function () {
    this.timeout(900_000);
    let synapse: TestSynapse;
    let stack: PulumiStack;
    const listener = new Listener();
    const secrets: string[] = [];
    const below = (...path: string[]): string => join(synapse.directory, ...path);
    const gatewayUrl = async (): Promise<string> => (await stack.outputs(outputs)).gatewayUrl.replace(/\/$/, "");
    const journal = async () =>
        readJournal(below("work", "runs", (await stack.outputs(outputs)).runId, "journal.jsonl"));

    before(async () => {
        const {
            pulumi,
            postgres,
            synapse: environment,
        } = await ensureToolchain({ pulumi: true, postgres: true, synapse: true }, () => undefined);
        if (pulumi === undefined || postgres === undefined || environment === undefined)
            throw new Error("the toolchain is incomplete");
        synapse = await startTestSynapse({ population: smallPopulation });
        const canary = await registerCanary(synapse.homeserver, "e2e");
        const given = { ...secretsOf(synapse), canaryPassword: canary.password };
        const { serverName, ...source } = sourceOf(synapse);
        secrets.push(
            ...Object.values(given),
            synapse.cluster.synapse.password,
            synapse.homeserver.files.registrationSharedSecret,
        );
        stack = await PulumiStack.create({
            name: `e2e-${process.pid}`,
            pulumi,
            projectDirectory: root,
            directory: below("pulumi"),
            config: {
                serverName,
                disposable: true,
                source,
                target: {
                    kind: "local",
                    directory: makeServiceDirectory(below("target")),
                    synapsePython: environment.python,
                    postgresPrograms: postgres.directory,
                },
                workDirectory: below("work"),
                reportDirectory: below("reports"),
                canaryUser: canary.user,
                canaryBaseUrl: synapse.homeserver.baseUrl,
            },
            secrets: given,
            progress: listener,
            signal: new AbortController().signal,
        });
    });
    after(async () => {
        await stack.destroy().catch(() => undefined);
        await synapse.stop();
    });

    it("is previewed, staged, moved through a kill, rolled back, moved again, opened, and destroyed", async () => {
        await stack.preview();
        expect(readdirSync(below("target")), "a preview makes nothing").to.deep.equal([]);

        await stack.up("stage");
        const closed = await fetch(`${await gatewayUrl()}/_matrix/client/versions`);
        expect(closed.status).to.equal(503);
        expect(closed.headers.get("retry-after")).to.match(/^\d+$/);
        expect(await synapse.homeserver.answers(), "the source serves on").to.equal(true);

        // SIGKILL of Pulumi and of the step in the middle of the restore.
        listener.onLine = (line) => {
            if (!line.includes("[restore] restoring")) return;
            listener.onLine = () => undefined;
            for (const pid of pulumiAndStep(synapse, "restore")) process.kill(pid, "SIGKILL");
        };
        await stack.up("migrate").then(
            () => expect.fail("pulumi was not killed"),
            (error: unknown) => expect(error).to.be.instanceOf(MigrationError),
        );
        await stepsEnded(synapse);
        await stack.cancel();
        await stack.up("migrate");
        const restores = (await journal()).filter(({ step }) => step === "restore").map(({ kind }) => kind);
        expect(
            restores.filter((kind) => kind === "intent"),
            "the restore was begun twice",
        ).to.have.length(2);
        expect(restores.at(-1)).to.equal("done");
        expect(await synapse.homeserver.answers(), "the source is fenced").to.equal(false);
        expect((await fetch(`${await gatewayUrl()}/_matrix/client/versions`)).status, "the gateway is closed").to.equal(
            503,
        );

        await stack.up("stage");
        expect(await synapse.homeserver.answers(), "the source serves again").to.equal(true);
        for (const step of ["fence", "dump", "restore", "swap", "start"]) {
            expect((await journal()).findLast((record) => record.step === step)?.kind, step).to.equal("undone");
        }
        await synapse.cluster.query("CREATE TABLE written_after_the_way_back (x int)");
        await synapse.cluster.query("DROP TABLE written_after_the_way_back");

        await stack.up("cutover");
        await stack.up("cutover", "--expect-no-changes");
        await stack.preview("--expect-no-changes");
        const { expectations } = synapse;
        if (expectations === undefined) throw new Error("the source was not filled");
        const results = await checkHomeserver({ baseUrl: await gatewayUrl(), expectations, progress: listener });
        expect(results.filter(({ passed }) => !passed)).to.deep.equal([]);

        const { report } = await stack.outputs(outputs);
        expect(readFileSync(report.markdown, "utf8")).to.contain("roven the same server");
        expect(leaks(await stack.exportState()), "secrets in the state").to.deep.equal([]);
        for (const directory of ["work/runs", "reports", "pulumi"]) {
            for (const file of filesBelow(below(directory)))
                expect(leaks(readFileSync(file, "utf8")), file).to.deep.equal([]);
        }
        expect(leaks(listener.lines.join("\n")), "secrets in Pulumi's output").to.deep.equal([]);

        await stack.up("finish");
        await stack.preview("--expect-no-changes");
        expect(
            existsSync(below("work", "runs", (await stack.outputs(outputs)).runId, "dump")),
            "the dump is removed",
        ).to.equal(false);
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

    const leaks = (text: string): string[] =>
        secrets.filter((secret) => text.includes(secret.trim())).map((secret) => `${secret.slice(0, 4)}…`);
});

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
    const deadline = Date.now() + 30_000;
    while (stepProcesses(synapse).length > 0) {
        if (Date.now() > deadline) expect.fail("a step goes on though Pulumi is gone");
        await delay(100);
    }
}

function filesBelow(directory: string): string[] {
    if (!existsSync(directory)) return [];
    return readdirSync(directory, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name));
}
