import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import { once } from "node:events";
import { expect } from "chai";
import { fenceContract, giveBackContract, migrateUndoContract } from "../../../contract/index.ts";
import { finishGivingBack, keepChoice, sourceAfterFailure } from "../../../engine/fence/afterFailure.ts";
import { endingOf } from "../../../engine/run/ending.ts";
import { MigrationError } from "../../../engine/run/errors.ts";
import { openJournal, readJournal } from "../../../engine/run/journal.ts";
import type { AnyStep } from "../../../engine/run/openStep.ts";
import { runDirectoryPaths } from "../../../engine/run/runDirectory.ts";
import { doStep, updateStep } from "../../../engine/run/runStep.ts";
import { defineStep } from "../../../engine/run/step.ts";
import { stepState } from "../../../engine/run/stepState.ts";
import { fence } from "../../../steps/migrate/fence.ts";
import { giveBackStep } from "../../../steps/migrate/giveBack.ts";
import { stepNamed } from "../../../steps/registry.ts";
import { expectError } from "../../support/expectError.ts";
import { done, runOf, sourceOf, undone } from "../../support/migrationSpecs.ts";
import { testRun } from "../../support/stepRun.ts";
import { startTestSynapse, type TestSynapse } from "../../support/synapse.ts";
import { fencedSource, type FencedSource } from "./fencedSource.ts";

const giveBack = giveBackStep(stepNamed);
const refused = new MigrationError("SM-E0540", { where: "the source", found: "a large object" });
const root = fileURLToPath(new URL("../../..", import.meta.url));
const killOnce = fileURLToPath(new URL("../../support/killOnce.mjs", import.meta.url));

describe("a source whose move fails after the fence", function () {
    let synapse: TestSynapse;
    let source: FencedSource;
    const signal = new AbortController().signal;
    const said: string[] = [];

    before(async () => {
        synapse = await startTestSynapse();
        source = fencedSource(synapse);
    });
    after(() => synapse.stop());

    /** A step after the fence that fails as it is told, run as the command line runs it. */
    const failing = (run: string, error: Error, { by = giveBack, given = signal } = {}): Promise<string> => {
        const { id, directory } = runOf(synapse, run);
        const contract = { ...migrateUndoContract, name: "moving" };
        const step: AnyStep = defineStep(contract, () => Promise.reject(error));
        return doStep({
            ...{ step, spec: { run: { id, directory }, serverName: "x" }, write: (line) => said.push(line) },
            signal: given,
            afterFailure: (failure, failed, of) => sourceAfterFailure(failure, failed, of, by),
        });
    };
    const ended = (run: string, error: Error, options = {}): Promise<unknown> =>
        failing(run, error, options).then(
            () => expect.fail("it did not fail"),
            (thrown: unknown) => thrown,
        );
    const journal = (run: string) => readJournal(runDirectoryPaths(runOf(synapse, run).directory).journal);
    const backToStage = async (run: string): Promise<void> => {
        const undo = await stepNamed(migrateUndoContract.name);
        if (undo === undefined) throw new Error("the phase has no undo");
        const spec = { run: runOf(synapse, run), serverName: "x" };
        await done(undo, spec, migrateUndoContract.result);
        await undone(fence, source.spec(run));
        await undone(undo, spec);
    };

    it("serves again by itself as it ran, says so after the step's own error, and takes no step of that copy any more (SM-E0781, SM-E0780)", async () => {
        const before = await source.commandLine();
        await done(fence, source.spec("back"), fenceContract.result);
        const thrown = await ended("back", refused);
        expect(await synapse.homeserver.answers(), "the source serves again").to.equal(true);
        expect(await source.commandLine()).to.equal(before);
        expect(await source.settings()).to.deep.equal([]);

        const { lines, exitCode } = endingOf(thrown, signal);
        const printed = lines.join("\n");
        expect(exitCode).to.equal(refused.exitCode);
        expect(printed.indexOf("SM-E0540")).to.equal(0);
        expect(printed.indexOf("SM-E0781")).to.be.greaterThan(printed.indexOf("SM-E0540"));
        expect(printed).to.match(/it serves again since 20\S+Z, after it had been stopped since 20\S+Z/);
        expect(printed).to.contain("the fence was lifted").and.to.contain("pulumi config set phase stage");

        const stale = await expectError("SM-E0780", () => failing("back", refused));
        expect(stale.block).to.contain("after moving had failed with SM-E0540").and.to.contain("phase migrate");
        await expectError("SM-E0780", () => done(fence, source.spec("back"), fenceContract.result));
        const updated = { step: fence, spec: source.spec("back"), write: () => undefined, signal };
        await expectError("SM-E0780", () => updateStep(updated));

        await backToStage("back");
        expect(stepState(await journal("back"), giveBackContract.name).state).to.equal("clean");
        await done(fence, source.spec("back"), fenceContract.result);
        expect(await synapse.homeserver.answers(), "fenced anew").to.equal(false);
        await undone(fence, source.spec("back"));
    });

    it("stays stopped for what running again resumes: a lost connection, a full disk, an interruption", async () => {
        await done(fence, source.spec("resumes"), fenceContract.result);
        const interrupted = AbortSignal.abort(new Error("SIGTERM"));
        const lost = new MigrationError("SM-E1102", { where: "db", found: "Connection terminated" });
        const full = Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
        for (const [error, given] of [
            [lost, signal],
            [full, signal],
            [refused, interrupted],
        ] as const) {
            expect(await ended("resumes", error, { given })).to.equal(error);
            expect(await synapse.homeserver.answers()).to.equal(false);
        }
        expect(said.join("\n")).to.contain("the source stays stopped: what the step met passes");
        expect(stepState(await journal("resumes"), fenceContract.name).state).to.equal("done");
        await undone(fence, source.spec("resumes"));
    });

    it("stays stopped where `sourceAfterFailure` is `keep`, until it is `restore` again", async () => {
        const runs = join(synapse.directory, "runs");
        await done(fence, source.spec("kept"), fenceContract.result);
        await keepChoice(runs, "keep");
        expect(await ended("kept", refused)).to.equal(refused);
        expect(await synapse.homeserver.answers()).to.equal(false);
        await keepChoice(runs, "restore");
        await expectError("SM-E0781", () => failing("kept", refused));
        expect(await synapse.homeserver.answers()).to.equal(true);
    });

    it("stays stopped once a target of any run may have been started, and where an earlier run has fenced it", async () => {
        await done(fence, source.spec("started"), fenceContract.result);
        const journaled = openJournal(runDirectoryPaths(runOf(synapse, "started").directory).journal);
        const started = (kind: "intent" | "undone") => journaled.append({ step: "start", phase: "migrate", kind });
        await started("intent");
        expect(await ended("started", refused)).to.equal(refused);
        // Another run of the same work directory has taken the fence over, and its own target was never started.
        await done(fence, source.spec("later"), fenceContract.result);
        expect(await ended("later", refused)).to.equal(refused);
        await started("undone");
        expect(await ended("later", refused)).to.equal(refused);
        expect(said.join("\n")).to.contain("an earlier run has fenced it");
        expect(await synapse.homeserver.answers()).to.equal(false);
        const racing = { run: runOf(synapse, "later"), failed: "copy", code: "SM-E0540" };
        await started("intent");
        await expectError("SM-E0782", () => done(giveBack, racing, giveBackContract.result));
        expect(await synapse.homeserver.answers()).to.equal(false);
        await started("undone");
        await undone(fence, source.spec("later"));
    });

    it("is not started where another stack holds it by now, and nobody says that it serves", async () => {
        await done(fence, source.spec("ours"), fenceContract.result);
        const record = { owner: { id: "f".repeat(32), host: "h", user: "u", directory: "/d" }, run: "theirs" };
        const line = JSON.stringify({ ...record, since: new Date().toISOString(), state: "fenced", readOnly: null });
        const name = synapse.cluster.synapse.name;
        const comment = (text: string): Promise<unknown> =>
            synapse.cluster.administer(`BEGIN READ WRITE; COMMENT ON DATABASE ${name} IS ${text}; COMMIT`);
        await comment(`'synapse-migration: ${line}'`);
        expect(await ended("ours", refused)).to.equal(refused);
        expect(await synapse.homeserver.answers()).to.equal(false);
        await comment("NULL");
        await fence.undo?.(source.spec("ours"), testRun("ours", runOf(synapse, "ours").directory));
        expect(await synapse.homeserver.answers()).to.equal(true);
    });

    it("is said to be down when it cannot be started, and the next call puts it back before it is refused (SM-E0782)", async () => {
        await done(fence, source.spec("down"), fenceContract.result);
        const broken = giveBackStep((name) =>
            name === fenceContract.name
                ? Promise.resolve({ ...fence, undo: () => Promise.reject(new Error("no such file")) })
                : stepNamed(name),
        );
        const error = await expectError("SM-E0782", () => failing("down", refused, { by: broken }));
        expect(error.detail.found).to.contain("no such file");
        expect(await synapse.homeserver.answers()).to.equal(false);
        await expectError("SM-E0780", () => failing("down", refused));
        await finishGivingBack(runOf(synapse, "down").directory, giveBack, { write: () => undefined, signal });
        expect(await synapse.homeserver.answers()).to.equal(true);
        await backToStage("down");
    });

    it("is put back by the command line however often that is killed, and then refuses the step by SM-E0780", async () => {
        await done(fence, source.spec("killed"), fenceContract.result);
        const spec = {
            ...{ run: runOf(synapse, "killed"), source: sourceOf(synapse), fenceToken: "0".repeat(64) },
            ...{ jobs: 1, clientDirectory: join(synapse.directory, "no-programs") },
        };
        const kills = join(synapse.directory, "kills");
        mkdirSync(kills);
        const env = { ...process.env, SYNAPSE_MIGRATION_TEST_KILLS: kills, NODE_OPTIONS: `--import ${killOnce}` };
        const attempt = async (): Promise<{ signal: unknown; stderr: string }> => {
            const child = spawn(process.execPath, ["--import", "tsx", "steps/cli.ts", "dump", "--do"], {
                cwd: root,
                env,
                stdio: ["pipe", "ignore", "pipe"],
            });
            child.stdin.end(JSON.stringify(spec));
            const exit = once(child, "exit");
            const stderr = await text(child.stderr);
            const [, signal] = (await exit) as [number | null, string | null];
            return { signal, stderr };
        };
        let attempts = 0;
        let last = await attempt();
        for (; last.signal === "SIGKILL" && attempts < 30; attempts += 1) last = await attempt();
        expect(attempts, "records that were killed at").to.be.greaterThan(5);
        expect(last.stderr).to.contain("SM-E0780");
        expect(await synapse.homeserver.answers()).to.equal(true);
        expect(await source.settings()).to.deep.equal([]);
        await backToStage("killed");
    });
});
