import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { z } from "zod";
import { runReference, type RunReference } from "../../../contract/index.ts";
import { holderOf, readTargetRecord } from "../../../engine/run/ownership/targetRecord.ts";
import { doStep, undoStep } from "../../../engine/run/runStep.ts";
import { defineStep } from "../../../engine/run/step.ts";
import type { StepCall } from "../../../engine/run/openStep.ts";
import { keepCopy } from "../../../engine/run/ownership/keptCopy.ts";
import { adoptTarget } from "../../../steps/commands/adopt.ts";
import { expectError } from "../../support/expectError.ts";
import { untilTrue } from "../../support/waiting.ts";
import { withWorkDirectory } from "../../support/workDirectory.ts";

const workerProgram = fileURLToPath(new URL("workerProcess.ts", import.meta.url));

interface Worker {
    readonly process: ChildProcess;
    /** All that it has said. */
    readonly said: () => string;
}

/** Another process that is in the middle of the step `restore`, and stopped there: it is alive, and does nothing. */
async function stoppedWorker(run: RunReference): Promise<Worker> {
    const child = spawn(process.execPath, ["--import", "tsx", workerProgram, JSON.stringify(run)], {
        stdio: ["ignore", "pipe", "inherit"],
    });
    let said = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (said += text));
    await untilTrue(() => Promise.resolve(said.includes("acting")));
    child.kill("SIGSTOP");
    return { process: child, said: () => said };
}

async function killed({ process: child }: Worker): Promise<void> {
    child.kill("SIGKILL");
    if (child.signalCode === null && child.exitCode === null) await once(child, "exit");
}

const [spec, result] = [z.strictObject({ run: runReference }), z.strictObject({})];
let acted = 0;
/** The same step, or another one, done by this process. */
const call = (run: RunReference, name = "restore"): StepCall => ({
    step: defineStep(
        { name, phase: "migrate", version: 1, spec, result },
        () => {
            acted += 1;
            return Promise.resolve({});
        },
        () => {
            acted += 1;
            return Promise.resolve();
        },
    ),
    spec: { run },
    write: () => undefined,
    signal: new AbortController().signal,
});

describe("a worker that was stopped and not killed (P31, F06)", function () {
    this.timeout(120_000);
    let worker: Worker | undefined;
    beforeEach(() => (acted = 0));
    afterEach(async () => {
        if (worker !== undefined) await killed(worker);
        worker = undefined;
    });

    const withRun = (work: (run: RunReference & { target: string }, directory: string) => Promise<void>) =>
        withWorkDirectory(async (directory) => {
            const run = {
                id: "r1",
                directory: join(directory, "work", "runs", "r1"),
                target: join(directory, "target"),
            };
            await work(run, directory);
        });
    const refused = async (stale: Worker, act: () => Promise<unknown>): Promise<void> => {
        const error = await expectError("SM-E0706", act);
        expect(error.detail.found).to.contain(`process ${stale.process.pid ?? 0}, step restore`);
        expect(acted, "nothing was done").to.equal(0);
    };

    it("keeps its step to itself while it lives, goes on alone, and what it did stands", () =>
        withRun(async (run) => {
            worker = await stoppedWorker(run);
            await refused(worker, () => doStep(call(run)));
            worker.process.kill("SIGCONT");
            await writeFile(join(run.target, "go"), "");
            await untilTrue(() => Promise.resolve(worker?.said().includes("done") ?? false));
            expect(await doStep(call(run)), "the journal answers").to.equal("{}");
            expect(acted).to.equal(0);
            expect(await readFile(join(run.target, "written"), "utf8")).to.equal(`${worker.process.pid ?? 0}\n`);
        }));

    it("is followed by whoever comes once it is killed", () =>
        withRun(async (run) => {
            worker = await stoppedWorker(run);
            await killed(worker);
            await doStep(call(run));
            expect(acted).to.equal(1);
        }));

    it("is not taken over by another work directory while it lives, though its own is gone", () =>
        withRun(async (run, directory) => {
            worker = await stoppedWorker(run);
            await keepCopy(run.directory, run.target, "restore");
            await rm(join(directory, "work"), { recursive: true });
            const other = join(directory, "other", "runs");
            await refused(worker, () => adoptTarget(run.target, other, "r1"));
            expect(await holderOf(await readTargetRecord(run.target), other)).to.equal("another");
            await killed(worker);
            await adoptTarget(run.target, other, "r1");
            await doStep(call({ ...run, directory: join(other, "r1") }));
            expect(acted).to.equal(1);
        }));

    it("is not overtaken in a work directory that was removed and made again at its place", () =>
        withRun(async (run, directory) => {
            const disposable = { ...run, disposable: true };
            worker = await stoppedWorker(disposable);
            await rm(join(directory, "work"), { recursive: true });
            for (const step of ["restore", "stage"]) await refused(worker, () => doStep(call(disposable, step)));
            await refused(worker, () => undoStep(call(disposable)));
            await killed(worker);
            await doStep(call(disposable));
            expect(acted).to.equal(1);
        }));

    it("is met beside the target where only the locks of its work directory are gone", () =>
        withRun(async (run) => {
            worker = await stoppedWorker(run);
            await rm(join(run.directory, "locks"), { recursive: true });
            await refused(worker, () => doStep(call(run)));
            await refused(worker, () => undoStep(call(run)));
        }));
});
