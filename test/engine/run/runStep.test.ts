import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import { z } from "zod";
import { runReference, type StepContract } from "../../../contract/index.ts";
import { secret } from "../../../contract/secret.ts";
import { MigrationError } from "../../../engine/run/errors.ts";
import { lockFile } from "../../../engine/run/fileLock.ts";
import { noteReached } from "../../../engine/run/machinesReached.ts";
import { readJournal } from "../../../engine/run/journal.ts";
import { doStep, undoStep } from "../../../engine/run/runStep.ts";
import type { AnyStep, StepCall } from "../../../engine/run/openStep.ts";
import { defineStep, type StepRun } from "../../../engine/run/step.ts";
import { expectError } from "../../support/expectError.ts";
import { undoSteps } from "../../../engine/run/undoFromJournal.ts";
import { withWorkDirectory } from "../../support/workDirectory.ts";

const spec = z.strictObject({ run: runReference, value: z.number(), pepper: secret.optional() });
const result = z.strictObject({ doubled: z.number(), note: z.string().optional() });
type Spec = z.infer<typeof spec>;
type Result = z.infer<typeof result>;

const contract: StepContract<Spec, Result> = { name: "double", phase: "migrate", version: 1, spec, result };

/** As a parser may that quotes what it was given. */
const said = ({ input }: { readonly input?: unknown }): string => `not valid: ${JSON.stringify(input)}`;

interface Fixture {
    readonly directory: string;
    readonly lines: string[];
    readonly call: (step: AnyStep, given: unknown) => StepCall;
    readonly specOf: (value: number, extra?: object) => object;
    readonly kinds: () => Promise<string[]>;
}

async function withRun(work: (fixture: Fixture) => Promise<void>): Promise<void> {
    await withWorkDirectory(async (directory) => {
        const lines: string[] = [];
        await work({
            directory,
            lines,
            call: (step, given) => ({
                step,
                spec: given,
                write: (line) => lines.push(line),
                signal: new AbortController().signal,
            }),
            specOf: (value, extra = {}) => ({ run: { id: "r1", directory }, value, ...extra }),
            kinds: async () => (await readJournal(join(directory, "journal.jsonl"))).map(({ kind }) => kind),
        });
    });
}

const double = (
    act: (given: Spec, run: StepRun) => Promise<Result> = ({ value }) => Promise.resolve({ doubled: value * 2 }),
): AnyStep => defineStep(contract, act);

describe("a step that is run", () => {
    it("journals its intent and its result, and answers with one line of JSON", () =>
        withRun(async ({ call, specOf, kinds }) => {
            expect(await doStep(call(double(), specOf(21)))).to.equal('{"doubled":42}');
            expect(await kinds()).to.deep.equal(["intent", "done"]);
        }));

    it("journals which other machines it has asked for something, also where it fails, and is taken back", () =>
        withRun(async ({ call, specOf, directory }) => {
            noteReached("root@before");
            const asks = double(({ value }) => {
                noteReached("root@old");
                noteReached("root@old");
                return value === 21 ? Promise.resolve({ doubled: 42 }) : Promise.reject(new Error("no"));
            });
            const undo = (): Promise<void> => {
                noteReached("root@new");
                return Promise.resolve();
            };
            const undoable: AnyStep = { ...asks, undo };
            await doStep(call(undoable, specOf(1))).catch(() => undefined);
            await doStep(call(undoable, specOf(21)));
            await undoStep(call(undoable, specOf(21)));
            const records = await readJournal(join(directory, "journal.jsonl"));
            expect(records.map(({ kind, machines }) => [kind, machines])).to.deep.equal([
                ["intent", undefined],
                ["failed", ["root@old"]],
                ["intent", undefined],
                ["done", ["root@old"]],
                ["undo", undefined],
                ["undone", ["root@new"]],
            ]);
        }));

    it("answers from the journal when it is asked for the same thing again", () =>
        withRun(async ({ call, specOf, kinds }) => {
            await doStep(call(double(), specOf(21)));
            const never = double(() => Promise.reject(new Error("acted twice")));
            expect(await doStep(call(never, specOf(21)))).to.equal('{"doubled":42}');
            expect(await kinds()).to.deep.equal(["intent", "done"]);
        }));

    it("refuses another specification once it is done", () =>
        withRun(async ({ call, specOf }) => {
            await doStep(call(double(), specOf(21)));
            await expectError("SM-E0705", () => doStep(call(double(), specOf(22))));
        }));

    it("takes another specification after it was taken back", () =>
        withRun(async ({ call, specOf }) => {
            await doStep(call(double(), specOf(21)));
            await undoStep(call(double(), specOf(21)));
            expect(await doStep(call(double(), specOf(22)))).to.equal('{"doubled":44}');
        }));

    it("looks again each time when it only looks", () =>
        withRun(async ({ call, specOf }) => {
            const looking: AnyStep = defineStep({ ...contract, repeatable: "always" }, ({ value }) =>
                Promise.resolve({ doubled: value * 2 }),
            );
            await doStep(call(looking, specOf(1)));
            expect(await doStep(call(looking, specOf(2)))).to.equal('{"doubled":4}');
        }));

    it("journals a failure and acts again the next time, without repeating the parts that were done", () =>
        withRun(async ({ call, specOf, kinds }) => {
            let parts = 0;
            let attempts = 0;
            const step = double(async ({ value }, run) => {
                const doubled = await run.recorded("part", () => Promise.resolve(value * 2 + parts++));
                attempts += 1;
                if (attempts === 1) throw new MigrationError("SM-E1101", { where: "here", found: "a failure" });
                return { doubled };
            });
            await expectError("SM-E1101", () => doStep(call(step, specOf(21))));
            expect(await doStep(call(step, specOf(21)))).to.equal('{"doubled":42}');
            expect(parts).to.equal(1);
            expect(await kinds()).to.deep.equal(["intent", "action", "failed", "intent", "done"]);
        }));

    it("names every field of a specification that is not valid, and leaves no trace", () =>
        withRun(async ({ call, directory }) => {
            const error = await expectError("SM-E0200", () =>
                doStep(call(double(), { run: { id: "R!", directory }, value: "x" })),
            );
            expect(error.detail.found).to.contain("run.id").and.to.contain("value");
            expect(await stat(directory).catch(() => undefined)).to.equal(undefined);
        }));

    it("refuses a result that its contract does not know, and one of more than 4 KiB", () =>
        withRun(async ({ call, specOf }) => {
            const wrong = double(() => Promise.resolve({ doubled: 1, extra: true } as Result));
            await doStep(call(wrong, specOf(1))).then(
                () => expect.fail("the result was accepted"),
                (error: unknown) => expect(error).to.be.instanceOf(z.ZodError),
            );
            const long = double(() => Promise.resolve({ doubled: 1, note: "x".repeat(5000) }));
            await doStep(call(long, specOf(2))).then(
                () => expect.fail("the result was accepted"),
                (error: unknown) => expect(String(error)).to.contain("4096"),
            );
        }));

    it("keeps secrets of its specification out of journal, progress, evidence, errors and kept specifications", () =>
        withRun(async ({ call, specOf, directory, lines }) => {
            const pepper = 'canary pepper, with "quotes"\nand a line';
            const step = double(async (given, run) => {
                run.progress.say(`the pepper is ${given.pepper ?? ""}`);
                await run.evidence({ pepper: given.pepper });
                throw new Error(`failed with ${given.pepper ?? ""}`);
            });
            await doStep(call(step, specOf(1, { pepper }))).catch(() => undefined);
            const kept = await Promise.all(
                ["journal.jsonl", "evidence/double.json", "specs/double.json"].map((file) =>
                    readFile(join(directory, file), "utf8"),
                ),
            );
            const everything = [...kept, ...lines].join("\n");
            expect(everything).to.contain("[secret]");
            for (const part of ["canary pepper", "and a line", "quotes"]) expect(everything).not.to.contain(part);
        }));

    it("keeps the value of a secret out of the message that its specification is not valid", () =>
        withRun(async ({ call, specOf }) => {
            const strict: AnyStep = defineStep(
                { ...contract, spec: spec.refine(({ pepper }) => pepper === undefined, { error: said }) },
                () => Promise.resolve({ doubled: 1 }),
            );
            const error = await expectError("SM-E0200", () =>
                doStep(call(strict, specOf(1, { pepper: "quoted-by-the-parser" }))),
            );
            expect(error.detail.found).to.include("[secret]").and.not.to.include("quoted-by-the-parser");
        }));

    it("passes a result on as it is, though a short secret is a word in it", () =>
        withRun(async ({ call, specOf }) => {
            const step = double(() => Promise.resolve({ doubled: 2, note: "/srv/pepperworth/media" }));
            const line = await doStep(call(step, specOf(1, { pepper: "pepperworth" })));
            expect(line).to.contain("/srv/pepperworth/media");
        }));

    it("refuses a result that a secret has got into", () =>
        withRun(async ({ call, specOf, kinds }) => {
            const pepper = "a-long-pepper-of-this-test";
            const step = double(() => Promise.resolve({ doubled: 2, note: `made with ${pepper}` }));
            const refused = await doStep(call(step, specOf(1, { pepper }))).then(
                () => expect.fail("the result was passed on"),
                (error: unknown) => String(error),
            );
            expect(refused).to.contain("a secret").and.not.to.contain(pepper);
            expect(await kinds()).to.deep.equal(["intent", "failed"]);
        }));

    it("keeps its files to itself", () =>
        withRun(async ({ call, specOf, directory }) => {
            await doStep(call(double(), specOf(1)));
            expect((await stat(directory)).mode & 0o777).to.equal(0o700);
            for (const file of ["journal.jsonl", "specs/double.json", "digest.key"]) {
                expect((await stat(join(directory, file))).mode & 0o777, file).to.equal(0o600);
            }
        }));

    it("refuses while another process does the same step, and names it", () =>
        withRun(async ({ call, specOf, directory }) => {
            await doStep(call(double(), specOf(1)));
            const lock = await lockFile(join(directory, "locks", "double"), "process 1234, a test", 1);
            try {
                const held = lockFile(join(directory, "locks", "double"), "another", 0);
                const error = await expectError("SM-E0706", () => held);
                expect(error.detail.found).to.contain("process 1234, a test");
            } finally {
                await lock.release();
            }
        }));

    it("stops everything when the journal is damaged", () =>
        withRun(async ({ call, specOf, directory }) => {
            await doStep(call(double(), specOf(1)));
            await writeFile(join(directory, "journal.jsonl"), "{}\n");
            await expectError("SM-E0701", () => doStep(call(double(), specOf(1))));
        }));
});

describe("a step that is taken back", () => {
    const undoable = (undone: string[], irrevocable?: true): AnyStep =>
        defineStep(
            irrevocable === undefined ? contract : { ...contract, irrevocable },
            ({ value }) => Promise.resolve({ doubled: value * 2 }),
            ({ value }) => {
                undone.push(`undone ${value}`);
                return Promise.resolve();
            },
        );
    const commit: AnyStep = defineStep({ ...contract, name: "commit", phase: "cutover" as const }, () =>
        Promise.resolve({ doubled: 0 }),
    );

    it("is refused when the journal has never known it: nobody can tell what was done", () =>
        withRun(async ({ call, specOf, kinds }) => {
            const undone: string[] = [];
            const error = await expectError("SM-E0715", () => undoStep(call(undoable(undone), specOf(1))));
            expect(error.detail.found).to.contain("no journal");
            expect(undone).to.deep.equal([]);
            expect(await kinds()).to.deep.equal([]);
        }));

    it("is taken back when it failed half-way, and only once", () =>
        withRun(async ({ call, specOf }) => {
            const undone: string[] = [];
            const failing = double(() => Promise.reject(new Error("half-way")));
            await doStep(call(failing, specOf(1))).catch(() => undefined);
            await undoStep(call(undoable(undone), specOf(1)));
            await undoStep(call(undoable(undone), specOf(1)));
            expect(undone).to.deep.equal(["undone 1"]);
        }));

    it("is given, of a specification that was kept, `removed` for a secret, and may say that word", () =>
        withRun(async ({ call, specOf, directory, lines }) => {
            const step: AnyStep = defineStep(
                contract,
                ({ value }) => Promise.resolve({ doubled: value * 2 }),
                ({ pepper }, run) => {
                    run.progress.say(`2 objects were removed; now it is ${pepper ?? ""}`);
                    return Promise.resolve();
                },
            );
            await doStep(call(step, specOf(1, { pepper: "a pepper that goes" })));
            const surroundings = { write: (line: string) => lines.push(line), signal: new AbortController().signal };
            await undoSteps(["double"], directory, () => Promise.resolve(step), surroundings);
            expect(lines.join("\n")).to.include("2 objects were removed; now it is removed");
        }));

    it("stays when the target is committed, unless the run is disposable", () =>
        withRun(async ({ call, specOf, directory }) => {
            const undone: string[] = [];
            await doStep(call(undoable(undone), specOf(1)));
            await doStep(call(commit, specOf(0)));
            await undoStep(call(undoable(undone), specOf(1)));
            expect(undone).to.deep.equal([]);
            const disposable = { run: { id: "r1", directory, disposable: true }, value: 1 };
            await undoStep(call(undoable(undone), disposable));
            expect(undone).to.deep.equal(["undone 1"]);
        }));

    it("stays for good when it is irrevocable, as the fence of a committed target", () =>
        withRun(async ({ call, specOf, directory }) => {
            const undone: string[] = [];
            await doStep(call(undoable(undone, true), specOf(1)));
            await doStep(call(commit, specOf(0)));
            await undoStep(call(undoable(undone, true), { run: { id: "r1", directory, disposable: true }, value: 1 }));
            expect(undone).to.deep.equal([]);
        }));
});
