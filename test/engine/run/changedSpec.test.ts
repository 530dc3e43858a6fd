import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import { z } from "zod";
import { runReference, type StepContract } from "../../../contract/index.ts";
import { secret } from "../../../contract/secret.ts";
import type { StepCall } from "../../../engine/run/openStep.ts";
import { openJournal } from "../../../engine/run/journal.ts";
import { markTargetCommitted } from "../../../engine/run/ownership/targetRecord.ts";
import { doStep, updateStep } from "../../../engine/run/runStep.ts";
import { specChanges } from "../../../engine/run/specChanges.ts";
import { defineStep } from "../../../engine/run/step.ts";
import { expectError } from "../../support/expectError.ts";
import { withWorkDirectory } from "../../support/workDirectory.ts";

const spec = z.strictObject({
    run: runReference,
    source: z.strictObject({ host: z.string(), port: z.number().optional() }),
    listener: z.strictObject({ port: z.number() }),
    jobs: z.number().optional(),
    publicName: z.string().optional(),
    pepper: secret.optional(),
});
const result = z.strictObject({ port: z.number() });
type Spec = z.infer<typeof spec>;
const contract: StepContract<Spec, z.infer<typeof result>> = {
    ...{ name: "listen", phase: "migrate", version: 1, spec, result },
    ...{ immaterial: ["publicName"], applied: ["listener"] },
};

describe("what differs between two specifications", () => {
    it("is named by its path, however deep, and told apart from what only one of them has", () => {
        const before = { run: { id: "a" }, source: { host: "old", paths: ["/a", "/b"] }, gone: true };
        const after = { run: { id: "b" }, source: { host: "new", paths: ["/a", "/c"] }, added: {} };
        expect(specChanges(before, after)).to.deep.equal({
            other: ["source.host", "source.paths.1"],
            oneSided: ["added", "gone"],
        });
        expect(specChanges(before, { ...before, undefinedIsAbsent: undefined })).to.deep.equal({
            other: [],
            oneSided: [],
        });
    });
});

describe("the update of a step that is done", () => {
    let acts: number[];
    const base = { source: { host: "old.test" }, listener: { port: 80 }, jobs: 2, pepper: "pepper-9d1f" };

    async function withDone(
        work: (update: (changes: object) => Promise<string>, directory: string, target: string) => Promise<void>,
    ): Promise<void> {
        await withWorkDirectory(async (directory) => {
            acts = [];
            const step = defineStep(contract, ({ listener: { port } }) => {
                acts.push(port);
                return Promise.resolve({ port });
            });
            const [run, target] = [join(directory, "runs", "r1"), join(directory, "target")];
            const call = (changes: object): StepCall => ({
                step,
                spec: { run: { id: "r1", directory: run, target }, ...base, ...changes },
                write: () => undefined,
                signal: new AbortController().signal,
            });
            await doStep(call({}));
            await work((changes) => updateStep(call(changes)), run, target);
        });
    }

    it("answers what is the same, and what says only how fast, or is checked elsewhere", () =>
        withDone(async (update) => {
            for (const changes of [{}, { jobs: 7 }, { jobs: undefined }, { publicName: "new.test" }])
                expect(await update(changes)).to.equal('{"port":80}');
            expect(acts).to.deep.equal([80]);
        }));

    it("is refused for anything else, with its name and the way to have it", () =>
        withDone(async (update) => {
            const error = await expectError("SM-E0717", () => update({ source: { host: "new.test" } }));
            expect(error.detail.found).to.equal("another value of source.host");
            expect(error.detail.fix).to.contain("phase `stage`");
            await expectError("SM-E0717", () => update({ source: { host: "old.test", port: 5432 } }));
            expect(acts).to.deep.equal([80]);
        }));

    it("is refused for another secret, which it does not name", () =>
        withDone(async (update) => {
            const error = await expectError("SM-E0717", () => update({ pepper: "pepper-77aa" }));
            expect(error.detail.found).to.equal("another value of its secrets");
            await expectError("SM-E0717", () => update({ pepper: undefined }));
        }));

    it("makes true what can be: then the answer is the new one, and stays it", () =>
        withDone(async (update) => {
            expect(await update({ listener: { port: 81 } })).to.equal('{"port":81}');
            expect(await update({ listener: { port: 81 } })).to.equal('{"port":81}');
            expect(acts).to.deep.equal([80, 81]);
            await expectError("SM-E0717", () => update({ listener: { port: 82 }, source: { host: "new.test" } }));
        }));

    it("lets secrets go once the target is committed, and says that nothing is done again", () =>
        withDone(async (update, directory, target) => {
            await markTargetCommitted({ id: "r1", directory, target }, "example.org");
            expect(await update({ pepper: undefined })).to.equal('{"port":80}');
            const error = await expectError("SM-E0717", () => update({ source: { host: "new.test" } }));
            expect(error.detail.fix).to.contain("since the commit the step is not done again");
            await rm(join(directory, "specs"), { recursive: true });
            await expectError("SM-E0717", () => update({ source: { host: "new.test" } }));
        }));

    it("takes what only another version of the program says for no change, and another value for one", () =>
        withDone(async (update, directory) => {
            const kept = join(directory, "specs", "listen.json");
            const before = z.looseObject({}).parse(JSON.parse(await readFile(kept, "utf8")));
            await writeFile(kept, JSON.stringify({ ...before, said: "by an earlier version" }));
            await expectError("SM-E0717", () => update({}));
            const journal = openJournal(join(directory, "journal.jsonl"));
            const intent = (await journal.read()).find(({ kind }) => kind === "intent");
            const { specDigest, secretsDigest } = intent ?? {};
            const digests = { ...(specDigest && { specDigest }), ...(secretsDigest && { secretsDigest }) };
            const earlier = { step: "listen", phase: "migrate", program: "0.0.9", ...digests };
            await journal.append({ ...earlier, kind: "intent" });
            await journal.append({ step: "listen", phase: "migrate", kind: "done", result: { port: 80 } });
            expect(await update({})).to.equal('{"port":80}');
            await expectError("SM-E0717", () => update({ source: { host: "new.test" } }));
        }));
});
