import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { expect } from "chai";
import { z } from "zod";
import { runReference, type Phase, type RunReference, type StepContract } from "../../../../contract/index.ts";
import type { AnyStep, StepCall } from "../../../../engine/run/openStep.ts";
import { recordDirectory } from "../../../../engine/run/ownership/targetHold.ts";
import {
    markTargetCommitted,
    readTargetRecord,
    removeTargetRecord,
    writeTargetRecord,
    type TargetRecord,
} from "../../../../engine/run/ownership/targetRecord.ts";
import { doStep, undoStep } from "../../../../engine/run/runStep.ts";
import { defineStep } from "../../../../engine/run/step.ts";
import { expectError } from "../../../support/expectError.ts";
import { withWorkDirectory } from "../../../support/workDirectory.ts";

const shape = { spec: z.strictObject({ run: runReference }), result: z.strictObject({ times: z.number() }) };

/** One stack's half of a machine: its work directory, and the steps that it has done and undone. */
class Stack {
    public readonly acts: string[] = [];
    public readonly said: string[] = [];
    readonly #place: string;
    readonly #target: string;

    public constructor(place: string, target: string) {
        this.#place = place;
        this.#target = target;
    }

    public run(id = "r1", more: Partial<RunReference> = {}): RunReference {
        return { id, directory: join(this.#place, "runs", id), target: this.#target, ...more };
    }

    public do(step: string, run = this.run(), contract: Partial<StepContract<never, never>> = {}): Promise<string> {
        return doStep(this.#call(step, run, contract));
    }

    public undo(step: string, run = this.run(), contract: Partial<StepContract<never, never>> = {}): Promise<void> {
        return undoStep(this.#call(step, run, contract));
    }

    #call(name: string, run: RunReference, contract: Partial<StepContract<never, never>>): StepCall {
        const phase: Phase = ({ commit: "cutover", open: "cutover" } as const)[name] ?? "stage";
        const step: AnyStep = defineStep(
            { name, phase, version: 1, ...shape, ...contract },
            () => {
                this.acts.push(`do ${name}`);
                return Promise.resolve({ times: this.acts.length });
            },
            () => {
                this.acts.push(`undo ${name}`);
                return Promise.resolve();
            },
        );
        const write = (line: string): void => void this.said.push(line);
        return { step, spec: { run }, write, signal: new AbortController().signal };
    }
}

async function withStacks(
    work: (stacks: { a: Stack; b: Stack; target: string; directory: string }) => Promise<void>,
): Promise<void> {
    await withWorkDirectory(async (directory) => {
        const target = join(directory, "target");
        await work({
            a: new Stack(join(directory, "a"), target),
            b: new Stack(join(directory, "b"), target),
            target,
            directory,
        });
    });
}

async function commit(stack: Stack, run = stack.run()): Promise<void> {
    await stack.do("secrets", run);
    await markTargetCommitted(run, "example.org");
}

const changed = async (target: string, change: Partial<TargetRecord>): Promise<void> => {
    const record = await readTargetRecord(target);
    if (record !== undefined) await writeTargetRecord(target, { ...record, ...change });
};

describe("whose a target is", () => {
    it("is written beside it by the first step that acts, and by none that only looks", () =>
        withStacks(async ({ a, target }) => {
            await a.do("assess", a.run(), { phase: "assess" });
            expect(existsSync(target)).to.equal(false);
            await a.do("secrets", a.run("r1", { stack: "production" }));
            const record = await readTargetRecord(target);
            expect(record).to.include({ run: "r1", stack: "production", state: "held", disposable: false });
            expect(record?.owner.directory).to.equal(dirname(a.run().directory));
        }));

    it("keeps another stack from acting, and tells it who holds the target", () =>
        withStacks(async ({ a, b }) => {
            await a.do("secrets");
            const error = await expectError("SM-E0740", () => b.do("secrets"));
            expect(error.detail.found).to.include(dirname(a.run().directory)).and.to.include("held since");
            expect(b.acts).to.deep.equal([]);
        }));

    it("is one stack's, when two begin at the same time", () =>
        withStacks(async ({ a, b }) => {
            const outcomes = await Promise.allSettled([a.do("secrets"), b.do("secrets")]);
            expect(outcomes.map(({ status }) => status)).to.have.members(["fulfilled", "rejected"]);
            for (const outcome of outcomes)
                if (outcome.status === "rejected") expect(outcome.reason).to.have.property("code", "SM-E0740");
            expect([...a.acts, ...b.acts]).to.deep.equal(["do secrets"]);
        }));

    it("is a record that is read at once by all that begin with it, and has one name on the disk", () =>
        withStacks(async ({ a, target }) => {
            await Promise.all(["secrets", "database", "gateway"].map((step) => a.do(step)));
            expect((await stat(join(recordDirectory(target), "record.json"))).nlink).to.equal(1);
        }));

    it("keeps another stack's undo from touching it, without standing in its way", () =>
        withStacks(async ({ a, b, target }) => {
            await b.do("secrets", b.run("r1", { target: `${target}-other` }));
            await a.do("secrets");
            await b.undo("secrets");
            expect(b.acts).to.deep.equal(["do secrets"]);
            expect(b.said.join("\n")).to.include("the target is another's");
        }));

    it("passes to a newer run of the same stack until it is committed", () =>
        withStacks(async ({ a, target }) => {
            await a.do("secrets");
            await a.do("secrets", a.run("r2"));
            expect(await readTargetRecord(target)).to.include({ run: "r2" });
            await markTargetCommitted(a.run("r2"), "example.org");
            await expectError("SM-E1502", () => a.do("secrets", a.run("r3")));
            await expectError("SM-E1502", () => a.do("secrets"));
            expect(a.acts).to.deep.equal(["do secrets", "do secrets"]);
        }));

    it("is refused when its work directory was lost, for acts and for undoing", () =>
        withStacks(async ({ a, directory }) => {
            await a.do("secrets");
            await rm(join(directory, "a"), { recursive: true });
            await expectError("SM-E0742", () => a.do("secrets"));
            await expectError("SM-E0742", () => a.undo("secrets"));
            expect(a.acts).to.deep.equal(["do secrets"]);
        }));

    it("is taken again, and undone, by a stack that may be thrown away and has lost its work directory", () =>
        withStacks(async ({ a, target, directory }) => {
            const run = a.run("r1", { disposable: true });
            await a.do("secrets", run);
            await rm(join(directory, "a"), { recursive: true });
            await a.undo("secrets", run);
            expect(a.acts).to.deep.equal(["do secrets", "undo secrets"]);
            expect(await removeTargetRecord(run)).to.include({ madeDirectory: true });
            expect(await readdir(target)).to.deep.equal([]);
        }));

    it("is refused when the record is damaged, a link, or something else", () =>
        withStacks(async ({ a, target }) => {
            await a.do("secrets");
            const file = join(recordDirectory(target), "record.json");
            const good = await readFile(file, "utf8");
            for (const bad of ["", "{}", good.replace('"held"', '"mine"')]) {
                await writeFile(file, bad);
                await expectError("SM-E0743", () => a.do("secrets"));
                await expectError("SM-E0743", () => a.undo("secrets"));
            }
            await writeFile(`${file}.elsewhere`, good);
            await rm(file);
            await symlink(`${file}.elsewhere`, file);
            await expectError("SM-E0743", () => a.do("secrets"));
        }));

    it("goes with the last undo of the run that it names", () =>
        withStacks(async ({ a, target }) => {
            await mkdir(target, { recursive: true });
            await a.do("secrets");
            await a.undo("secrets");
            expect(await removeTargetRecord(a.run("r2"))).to.equal(undefined);
            expect(existsSync(recordDirectory(target)), "another run's").to.equal(true);
            expect(await removeTargetRecord(a.run())).to.include({ run: "r1", madeDirectory: false });
            expect(await readdir(target)).to.deep.equal([]);
        }));
});

describe("what a committed target's stack may do", () => {
    it("is to answer, not to act: a step that the journal has lost is refused", () =>
        withStacks(async ({ a }) => {
            await commit(a);
            expect(await a.do("secrets")).to.equal('{"times":1}');
            await rm(join(a.run().directory, "journal.jsonl"));
            const error = await expectError("SM-E1503", () => a.do("secrets"));
            expect(error.detail.found).to.include("committed");
            expect(a.acts).to.deep.equal(["do secrets"]);
        }));

    it("is to go on with what comes after the commit", () =>
        withStacks(async ({ a }) => {
            await commit(a);
            await a.do("open");
            expect(a.acts).to.deep.equal(["do secrets", "do open"]);
        }));

    it("is not to look at the source any more, which may be gone", () =>
        withStacks(async ({ a }) => {
            const looks = { repeatable: "before-commit", phase: "assess" } as const;
            await a.do("assess", a.run(), looks);
            await a.do("assess", a.run(), looks);
            await commit(a);
            await a.do("assess", a.run(), looks);
            await a.do("report", a.run(), { repeatable: "always", phase: "assess" });
            expect(a.acts).to.deep.equal(["do assess", "do assess", "do secrets", "do report"]);
        }));

    it("is to undo nothing, by the record, even when the journal does not know of the commit", () =>
        withStacks(async ({ a }) => {
            await commit(a);
            await a.undo("secrets");
            await rm(join(a.run().directory, "journal.jsonl"));
            await a.undo("secrets");
            expect(a.acts).to.deep.equal(["do secrets"]);
            expect(a.said.join("\n")).to.include("the only server there is now");
        }));

    it("is not changed by a configuration that calls it disposable afterwards", () =>
        withStacks(async ({ a, target }) => {
            await commit(a);
            const run = a.run("r1", { disposable: true });
            await a.do("open", run);
            await a.undo("secrets", run);
            expect(a.acts).to.deep.equal(["do secrets", "do open"]);
            expect(await readTargetRecord(target)).to.include({ disposable: false });
        }));

    it("is to undo all but what is irrevocable, where it was disposable when it was committed", () =>
        withStacks(async ({ a }) => {
            const run = a.run("r1", { disposable: true });
            await a.do("fence", run, { phase: "migrate", irrevocable: true });
            await commit(a, run);
            await a.undo("secrets", run);
            await a.undo("fence", run, { phase: "migrate", irrevocable: true });
            expect(a.acts).to.deep.equal(["do fence", "do secrets", "undo secrets"]);
        }));

    it("stays what it was once it is released: nothing is undone", () =>
        withStacks(async ({ a, target }) => {
            await commit(a);
            await changed(target, { state: "released" });
            await a.undo("secrets");
            expect(a.acts).to.deep.equal(["do secrets"]);
        }));

    it("is known by the journal alone, where a program made it that kept no records", () =>
        withStacks(async ({ a, target }) => {
            await a.do("secrets", a.run("r1", { target: undefined }));
            await a.do("commit", a.run("r1", { target: undefined }));
            await a.do("open");
            expect(await readTargetRecord(target)).to.include({ state: "committed", run: "r1" });
        }));
});

describe("the copy of what a run knows, beside its target", () => {
    it("has every step that is done, though a kill came before it was brought up to date", () =>
        withStacks(async ({ a, target }) => {
            await a.do("secrets");
            const copy = join(recordDirectory(target), "run");
            await rm(copy, { recursive: true });
            await a.do("secrets");
            expect(await readdir(join(copy, "specs"))).to.deep.equal(["secrets.json"]);
            expect(await readFile(join(copy, "journal.jsonl"), "utf8")).to.equal(
                await readFile(join(a.run().directory, "journal.jsonl"), "utf8"),
            );
        }));
});

describe("the copy of a fence", () => {
    it("goes when the fence is lifted, so that who adopts the target does not go by how the source ran once", () =>
        withStacks(async ({ a, target }) => {
            const holder = join(dirname(a.run().directory), "fence-holder.json");
            const copied = join(recordDirectory(target), "run", "fence-holder.json");
            await a.do("secrets");
            await writeFile(holder, "{}");
            await a.do("fence");
            expect(existsSync(copied)).to.equal(true);
            await rm(holder);
            await a.undo("fence");
            expect(existsSync(copied)).to.equal(false);
        }));
});

describe("what the journal does not know, and the stack has", () => {
    it("is undone where the record says that the target is this stack's and not committed", () =>
        withStacks(async ({ a }) => {
            await a.do("secrets");
            await rm(join(a.run().directory, "journal.jsonl"));
            await a.undo("secrets");
            expect(a.acts).to.deep.equal(["do secrets", "undo secrets"]);
        }));

    it("is refused where nobody knows, unless it may be thrown away", () =>
        withStacks(async ({ a }) => {
            await expectError("SM-E0715", () => a.undo("secrets"));
            await a.undo("secrets", a.run("r1", { disposable: true }));
            expect(a.acts).to.deep.equal([]);
        }));
});
