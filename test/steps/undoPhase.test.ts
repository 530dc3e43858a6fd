import { rm } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import { z } from "zod";
import { migrateUndoContract, runReference } from "../../contract/index.ts";
import { undoPhaseStep } from "../../steps/undoPhase.ts";
import { doStep, undoStep } from "../../engine/run/runStep.ts";
import type { AnyStep } from "../../engine/run/openStep.ts";
import { undoWithFailedSteps } from "../../engine/run/undoFromJournal.ts";
import { defineStep } from "../../engine/run/step.ts";
import { withWorkDirectory } from "../support/workDirectory.ts";

const undone: string[] = [];

const step = (name: string, phase: "stage" | "migrate", fails = false): AnyStep =>
    defineStep(
        { name, phase, version: 1, spec: z.strictObject({ run: runReference }), result: z.strictObject({}) },
        () => (fails ? Promise.reject(new Error(`${name} fails`)) : Promise.resolve({})),
        () => {
            undone.push(name);
            return Promise.resolve();
        },
    );

const steps = [step("secrets", "stage"), step("fence", "migrate"), step("dump", "migrate", true)];
const guard: AnyStep = undoPhaseStep(migrateUndoContract, (name) =>
    Promise.resolve(steps.find(({ contract }) => contract.name === name)),
);

async function guarded(work: (call: (step: AnyStep) => Parameters<typeof doStep>[0]) => Promise<void>): Promise<void> {
    await withWorkDirectory(async (directory) => {
        undone.length = 0;
        await work((called) => ({
            step: called,
            spec:
                called === guard
                    ? { run: { id: "r1", directory }, serverName: "a.test" }
                    : { run: { id: "r1", directory } },
            write: () => undefined,
            signal: new AbortController().signal,
        }));
    });
}

describe("the guard of a phase", () => {
    it("takes back what failed and what was left, the last begun first, and nothing of another phase", () =>
        guarded(async (call) => {
            await doStep(call(guard));
            for (const each of steps) await doStep(call(each)).catch(() => undefined);
            await undoStep(call(guard));
            expect(undone).to.deep.equal(["dump", "fence"]);
        }));

    it("has nothing to do when every step was taken back before it", () =>
        guarded(async (call) => {
            await doStep(call(guard));
            for (const each of steps) await doStep(call(each)).catch(() => undefined);
            for (const each of steps.slice(1).reverse()) await undoStep(call(each));
            undone.length = 0;
            await undoStep(call(guard));
            expect(undone).to.deep.equal([]);
        }));

    it("says so and goes on where a kept specification is gone, as after the phase finish", () =>
        guarded(async (call) => {
            await doStep(call(guard));
            for (const each of steps) await doStep(call(each)).catch(() => undefined);
            const { spec } = call(guard);
            const { directory } = z.object({ run: z.object({ directory: z.string() }) }).parse(spec).run;
            await rm(join(directory, "specs", "dump.json"));
            await undoStep(call(guard));
            expect(undone).to.deep.equal(["fence"]);
        }));
});

describe("a step that is taken back while a later one has failed", () => {
    it("has what the failed one left taken back first: no source starts while a target runs", () =>
        guarded(async (call) => {
            for (const each of steps) await doStep(call(each)).catch(() => undefined);
            const fence = steps.find(({ contract }) => contract.name === "fence") ?? guard;
            const named = (name: string) => Promise.resolve(steps.find(({ contract }) => contract.name === name));
            await undoWithFailedSteps(call(fence), named);
            expect(undone).to.deep.equal(["dump", "fence"]);
        }));

    it("leaves to Pulumi what it knows: steps that are done", () =>
        guarded(async (call) => {
            const done = [step("fence", "migrate"), step("dump", "migrate")];
            for (const each of done) await doStep(call(each));
            await undoWithFailedSteps(call(done[0] ?? guard), (name) =>
                Promise.resolve(done.find(({ contract }) => contract.name === name)),
            );
            expect(undone).to.deep.equal(["fence"]);
        }));
});
