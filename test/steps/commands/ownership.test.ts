import { existsSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import type { RunReference } from "../../../contract/index.ts";
import { openJournal, readJournal } from "../../../engine/run/journal.ts";
import { keepCopy } from "../../../engine/run/ownership/keptCopy.ts";
import {
    holderOf,
    claimTarget,
    markTargetCommitted,
    readTargetRecord,
} from "../../../engine/run/ownership/targetRecord.ts";
import { prepareRunDirectory, runDirectoryPaths } from "../../../engine/run/runDirectory.ts";
import { adoptTarget } from "../../../steps/commands/adopt.ts";
import { releaseTarget } from "../../../steps/commands/release.ts";
import { serveTarget } from "../../../steps/commands/serve.ts";
import { expectError } from "../../support/expectError.ts";
import { withWorkDirectory } from "../../support/workDirectory.ts";

/** A target that a run has made, as its records say; nothing of it runs. */
async function withTarget(work: (target: string, run: RunReference, runs: string) => Promise<void>): Promise<void> {
    await withWorkDirectory(async (directory) => {
        const [target, runs] = [join(directory, "target"), join(directory, "work", "runs")];
        const run = { id: "r1", directory: join(runs, "r1"), target };
        await prepareRunDirectory(run.directory);
        await claimTarget(run, false);
        const journal = openJournal(runDirectoryPaths(run.directory).journal);
        await journal.append({ step: "secrets", phase: "stage", kind: "intent" });
        await journal.append({ step: "secrets", phase: "stage", kind: "done" });
        await writeFile(join(runDirectoryPaths(run.directory).evidence, "secrets.json"), "{}");
        await keepCopy(run.directory, target, "secrets");
        await work(target, run, runs);
    });
}

describe("synapse-migrate release", () => {
    it("shows what there is, and gives it free only by the homeserver's name", () =>
        withTarget(async (target, run) => {
            await markTargetCommitted(run, "example.org");
            expect((await releaseTarget(target, undefined)).join("\n")).to.include("--confirm example.org");
            await expectError("SM-E1505", () => releaseTarget(target, "example.com"));
            expect(await readTargetRecord(target)).to.include({ state: "committed" });
            await releaseTarget(target, "example.org");
            expect(await readTargetRecord(target)).to.include({ state: "released" });
        }));

    it("refuses what is not committed, or no target", () =>
        withTarget(async (target) => {
            await expectError("SM-E1505", () => releaseTarget(target, "r1"));
            await expectError("SM-E1505", () => releaseTarget(`${target}-other`, "r1"));
        }));
});

describe("synapse-migrate adopt", () => {
    it("shows what a lost work directory has left, and makes another one its owner, journal and all", () =>
        withTarget(async (target, run, runs) => {
            const journal = await readJournal(runDirectoryPaths(run.directory).journal);
            await rm(join(runs, ".."), { recursive: true });
            const other = join(target, "..", "other", "runs");
            const shown = (await adoptTarget(target, other, undefined)).join("\n");
            expect(shown).to.include("held since").and.to.include("secrets  done").and.to.include("--confirm r1");
            expect(existsSync(other)).to.equal(false);
            await expectError("SM-E1505", () => adoptTarget(target, other, "r2"));
            await adoptTarget(target, other, "r1");
            expect(await holderOf(await readTargetRecord(target), other)).to.equal("ours");
            expect(await readJournal(runDirectoryPaths(join(other, "r1")).journal)).to.deep.equal(journal);
            expect(existsSync(join(other, "r1", "evidence", "secrets.json"))).to.equal(true);
        }));

    it("does without a source that was left for good and is gone, and not without one that is only fenced", () =>
        withTarget(async (target, run, runs) => {
            const source = {
                ...{ kind: "selfHosted", serverName: "example.org", machine: { kind: "local" } },
                ...{ homeserverConfig: [join(runs, "gone.yaml")], service: { kind: "process", pidFile: "/gone.pid" } },
            };
            await writeFile(
                join(runDirectoryPaths(run.directory).specs, "fence.json"),
                JSON.stringify({ run, source }),
            );
            await keepCopy(run.directory, target, "fence");
            const other = join(target, "..", "other", "runs");
            await expectError("SM-E0203", () => adoptTarget(target, other, "r1"));
            await markTargetCommitted(run, "example.org");
            expect((await adoptTarget(target, other, undefined)).join("\n")).to.include("its source cannot be asked");
            await adoptTarget(target, other, "r1");
            expect(await holderOf(await readTargetRecord(target), other)).to.equal("ours");
        }));

    it("takes nothing from a work directory that is there", () =>
        withTarget(async (target, _run, runs) => {
            await expectError("SM-E1506", () => adoptTarget(target, runs, "r1"));
            await mkdir(`${target}-other`);
            await expectError("SM-E1505", () => adoptTarget(`${target}-other`, runs, "r1"));
        }));
});

describe("synapse-migrate serve", () => {
    it("refuses a directory that is no target of ours", () =>
        withTarget(async (target) => {
            const surroundings = {
                stepNamed: () => Promise.resolve(undefined),
                write: () => undefined,
                signal: new AbortController().signal,
            };
            await expectError("SM-E1504", () => serveTarget(`${target}-other`, "finish", surroundings));
            await serveTarget(target, "finish", surroundings);
        }));
});
