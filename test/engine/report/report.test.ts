import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import { collectRun } from "../../../engine/report/collect.ts";
import { htmlReport } from "../../../engine/report/html.ts";
import { markdownReport } from "../../../engine/report/markdown.ts";
import { runRecord, type RunRecord } from "../../../engine/report/reportRecord.ts";
import { writeReport } from "../../../engine/report/write.ts";
import { report } from "../../../steps/finish/report.ts";
import { errorCatalogue } from "../../../engine/run/errorCatalogue.ts";
import { registerSecret } from "../../../engine/run/redaction.ts";
import type { StepRun } from "../../../engine/run/step.ts";
import {
    assessment,
    done,
    environment,
    evidence,
    failed,
    fenced,
    instantAfter,
    migrated,
    runDirectory,
    staged,
    undone,
    type Line,
    type RunFixture,
} from "./fixtures.ts";

/** Everything but the journal and the evidence. */
const request = (directory: string) => ({ run: { id: "a1b2c3", directory }, phase: "cutover", environment });

describe("report", () => {
    const made: RunFixture[] = [];
    const directoryOf = async (
        lines: readonly Line[],
        files: Readonly<Record<string, unknown>> = evidence,
    ): Promise<string> => {
        const fixture = await runDirectory(lines, files);
        made.push(fixture);
        return fixture.directory;
    };
    const recordOf = async (
        lines: readonly Line[],
        files: Readonly<Record<string, unknown>> = evidence,
    ): Promise<RunRecord> => collectRun(request(await directoryOf(lines, files)));

    afterEach(async () => {
        await Promise.all(made.splice(0).map(({ remove }) => remove()));
    });

    describe("of a successful run", () => {
        it("says that the server is proven the same, and names what was not run", async () => {
            const { outcome } = await recordOf(migrated);
            expect(outcome).to.include({ state: "proven", headline: "Proven the same server" });
            expect(outcome.notProven).to.deep.equal([]);
            expect(outcome.sentences[0]).to.equal(
                "example.org on the target is proven the same server: 12 checks passed, none failed, 1 warning, 3 not run (listed below).",
            );
            expect(outcome.notRun).to.deep.equal([
                "assess: rows-break-index",
                "verify: remote-media",
                "probe: guest-token-macaroon",
            ]);
            expect(outcome.sentences).to.include(
                "The target is committed: the source is fenced and must never serve again.",
            );
        });

        it("measures the downtime from the fence to the open gateway", async () => {
            const { downtime } = await recordOf(migrated);
            expect(downtime).to.deep.equal([
                { from: instantAfter(3601.4), until: instantAfter(3652.1), end: "opened", seconds: 50.7 },
            ]);
        });

        it("names the machines that each step has worked on, where its attempts have told", async () => {
            const old = "admin@old.example.org (sudo)";
            const lines = [
                { step: "assess", kind: "intent" as const, after: 0 },
                { step: "assess", kind: "done" as const, after: 1, result: assessment, machines: [old] },
                { step: "fence", kind: "intent" as const, after: 2 },
                {
                    step: "fence",
                    kind: "failed" as const,
                    after: 3,
                    error: { code: "SM-E0702", message: "x" },
                    machines: [],
                },
                { step: "fence", kind: "intent" as const, after: 4 },
                { step: "fence", kind: "done" as const, after: 5, machines: [old] },
                { step: "swap", kind: "intent" as const, after: 6 },
                { step: "swap", kind: "done" as const, after: 7, machines: [] },
                { step: "start", kind: "intent" as const, after: 8 },
            ];
            const record = await recordOf(lines, {});
            expect(record.steps.map(({ name, machines }) => [name, machines])).to.deep.equal([
                ["assess", [old, "this machine"]],
                ["fence", [old, "this machine"]],
                ["swap", ["this machine"]],
                ["start", undefined],
            ]);
            const rows = markdownReport(record).split("\n");
            const cell = (step: string): string =>
                rows
                    .find((row) => row.startsWith(`| ${step} |`))
                    ?.split(" | ")
                    .at(-1) ?? "";
            expect(cell("fence")).to.equal("admin@old.example.org \\(sudo\\), this machine |");
            expect(cell("start")).to.equal("not known |");
            const html = htmlReport(record);
            expect(html).to.contain(`data-label="Machines">${old}, this machine</td>`);
            expect(html).to.contain(`data-label="Machines">this machine</td>`);
        });

        it("takes the downtime that the opening step measured", async () => {
            const open = done("open", 3660, 1, { openedAt: instantAfter(3661), downtimeSeconds: 61, checks: [] });
            const { downtime } = await recordOf([...fenced, ...open]);
            expect(downtime).to.deep.equal([
                { from: instantAfter(3600), until: instantAfter(3661), end: "opened", seconds: 61 },
            ]);
        });

        it("keeps the failed and the killed attempt beside those that did it", async () => {
            const { steps, errors } = await recordOf(migrated);
            const states = (name: string) =>
                steps.find((step) => step.name === name)?.attempts.map(({ state }) => state);
            expect(states("restore")).to.deep.equal(["failed", "done"]);
            expect(states("probe")).to.deep.equal(["interrupted", "done"]);
            expect(errors).to.have.length(1);
            expect(errors[0]).to.include({
                step: "restore",
                code: "SM-E1101",
                resolved: true,
                fix: errorCatalogue["SM-E1101"].fix,
            });
        });

        it("shows every table with both counts and both hashes", async () => {
            const run = await recordOf(migrated);
            expect(run.tables.map(({ name, state }) => [name, state])).to.deep.equal([
                ["devices", "equal"],
                ["event_json", "equal"],
                ["events", "equal"],
                ["users", "equal"],
            ]);
            expect(markdownReport(run)).to.contain(
                "| events | 101\u00a0200 | 101\u00a0200 | -8843200912345678901234 | -8843200912345678901234 | ✓ equal |",
            );
        });

        it("shows prominently that offline plugins were in use", async () => {
            const run = await recordOf(migrated);
            expect(markdownReport(run)).to.contain("**Offline plugins in use.**");
            expect(htmlReport(run)).to.contain("Offline plugins in use");
            expect(htmlReport({ ...run, plugins: "official" })).not.to.contain("Offline plugins in use");
        });
    });

    describe("of a run that is not a proof", () => {
        it("never says proven while a check failed, whatever the steps say", async () => {
            const verify = { checks: [{ id: "sequences", state: "failed", evidence: "events_stream_seq is behind" }] };
            const { outcome } = await recordOf(migrated, { ...evidence, verify });
            expect(outcome).to.include({ state: "unproven", headline: "Not proven the same server" });
            expect(outcome.sentences[0]).to.equal("1 check failed: verify sequences.");
        });

        it("never says proven while a table differs", async () => {
            const verify = {
                tables: [{ name: "events", sourceRows: 2, targetRows: 2, sourceHash: "1", targetHash: "2" }],
            };
            const { outcome } = await recordOf(migrated, { ...evidence, verify });
            expect(outcome.state).to.equal("unproven");
        });

        it("never says proven while evidence cannot be read", async () => {
            const { outcome, unread } = await recordOf(migrated, { ...evidence, verify: '{"checks": [' });
            expect(outcome.state).to.equal("unproven");
            expect(unread.map(({ file }) => file)).to.deep.equal(["evidence/verify.json"]);
        });

        it("never says proven without the probe", async () => {
            const { outcome } = await recordOf(migrated.filter(({ step }) => step !== "probe"));
            expect(outcome).to.include({ state: "under-way" });
            expect(outcome.sentences[0]).to.contain("probe not done yet");
        });

        it("counts a table without a hash on one side as not compared", async () => {
            const verify = { tables: [{ name: "events", sourceRows: 2, targetRows: 2, sourceHash: "1" }] };
            const { outcome, tables } = await recordOf(migrated, { ...evidence, verify });
            expect(tables[0]?.state).to.equal("not-compared");
            expect(outcome.notRun).to.include("table events: not compared");
        });

        it("reads the comparison as `verify` writes it, and what only the dump has counted", async () => {
            const counted = { sourceRows: 3, targetRows: 0, sourceHash: "1", targetHash: "0" };
            const files = {
                dump: {
                    tables: [
                        { schema: "public", name: "a", rows: 4, hash: "7" },
                        { schema: "public", name: "keys", rows: 3, hash: "1" },
                        { rows: 1 },
                    ],
                },
                verify: {
                    tables: [
                        { table: "public.keys", ...counted, equal: true, emptied: true },
                        {
                            table: "public.lost",
                            ...counted,
                            targetRows: 3,
                            targetHash: "1",
                            equal: false,
                            emptied: false,
                        },
                    ],
                },
            };
            const { tables, outcome, unread } = await recordOf(migrated, files);
            expect(tables.map(({ name, state }) => `${name} ${state}`)).to.deep.equal([
                "public.a not-compared",
                "public.keys emptied",
                "public.lost different",
            ]);
            expect(outcome.state).to.equal("unproven");
            expect(unread).to.have.length(1);
        });

        it("takes the ids that the assessment lists as passed and as not run", async () => {
            const { checks } = await recordOf(staged, { assess: { passed: ["encoding"], notRun: ["sequences"] } });
            expect(checks.map(({ id, state }) => `${id} ${state}`)).to.deep.equal([
                "encoding passed",
                "sequences not-run",
                "rows-break-index not-run",
            ]);
        });

        it("says that entries of another shape were left out", async () => {
            const verify = {
                checks: [
                    { id: "rows", state: "passed", evidence: "ok", more: 1 },
                    { id: "x", state: "fine" },
                ],
            };
            const { checks, unread } = await recordOf(migrated, { ...evidence, verify });
            expect(checks.filter(({ step }) => step === "verify").map(({ id }) => id)).to.deep.equal(["rows"]);
            expect(unread[0]?.reason).to.equal('1 of 2 entries in "checks" have another shape');
        });
    });

    describe("of a failed run", () => {
        const lines = [
            ...staged,
            ...fenced,
            ...failed("dump", 3605, 4, "SM-E1101", "SM-E1101 a program that a step needs failed: pg_dump is gone"),
        ];

        it("says where it failed, with which code, and that the source is stopped", async () => {
            const { outcome, downtime } = await recordOf(lines);
            expect(outcome).to.include({ state: "failed", headline: "Failed in dump" });
            expect(outcome.sentences[0]).to.equal(
                "The step dump failed with SM-E1101: a program that a step needs failed.",
            );
            expect(outcome.sentences[1]).to.contain("The source is stopped and fenced");
            expect(downtime).to.deep.equal([{ from: instantAfter(3601.4), end: "ongoing" }]);
        });

        it("shows the error with why and fix, before everything else but the summary", async () => {
            const page = htmlReport(await recordOf(lines));
            expect(page).to.contain("pg_dump is gone").and.to.contain(errorCatalogue["SM-E1101"].why);
            expect(page.indexOf('id="errors"')).to.be.lessThan(page.indexOf('id="timeline"'));
        });

        it("is uncertain of the source when the fence itself failed", async () => {
            const { outcome } = await recordOf([...staged, ...failed("fence", 3600, 9, "SM-E9999", "unheard of")]);
            expect(outcome.sentences[0]).to.equal("The step fence failed with SM-E9999.");
            expect(outcome.sentences[1]).to.contain("look whether the source runs");
        });

        it("tells a step without an end from one that failed", async () => {
            const { outcome, steps } = await recordOf([...staged, { step: "fence", kind: "intent", after: 3600 }]);
            expect(outcome.state).to.equal("interrupted");
            expect(steps.at(-1)?.attempts).to.deep.equal([
                {
                    kind: "do",
                    number: 1,
                    state: "unfinished",
                    startedAt: instantAfter(3600),
                    endedAt: instantAfter(3600),
                    seconds: 0,
                },
            ]);
        });

        it("says when a rollback did not finish", async () => {
            const { outcome } = await recordOf([...lines, { step: "fence", kind: "undo", after: 3700 }]);
            expect(outcome).to.include({ state: "failed", headline: "Rollback stopped in fence" });
        });
    });

    describe("of a run that was rolled back", () => {
        const lines = [
            ...staged,
            ...fenced,
            ...done("verify", 3610, 2),
            ...failed("swap", 3620, 1, "SM-E1101", "no"),
            ...undone("swap", 3640, 0.5),
            ...undone("verify", 3640.6, 0.1),
            ...undone("fence", 3641, 3),
        ];

        it("says so, and since when the source serves again", async () => {
            const { outcome, downtime } = await recordOf(lines);
            expect(outcome.state).to.equal("rolled-back");
            expect(outcome.sentences.join(" ")).to.contain(
                "The fence was taken back at 2026-11-21\u00a011:00:44\u00a0UTC: the source serves again",
            );
            expect(downtime).to.deep.equal([
                { from: instantAfter(3601.4), until: instantAfter(3644), end: "rolled-back", seconds: 42.6 },
            ]);
        });

        it("keeps what was seen, marked as no longer standing", async () => {
            const run = await recordOf(lines);
            expect(run.checks.filter(({ step }) => step === "verify").every(({ stands }) => !stands)).to.equal(true);
            expect(run.outcome.notRun).not.to.include("verify: remote-media");
            expect(markdownReport(run)).to.contain("This does not stand: the step was taken back");
        });

        it("counts a second migration of the same run as a second window of downtime", async () => {
            const again = done("fence", 7200, 1, {
                token: "",
                fencedAt: instantAfter(7201),
                stillSeconds: 2,
                sessionsEnded: 0,
            });
            const { downtime } = await recordOf([...lines, ...again]);
            expect(downtime.map(({ end }) => end)).to.deep.equal(["rolled-back", "ongoing"]);
        });
    });

    describe("at an early phase", () => {
        it("works before the first step, without a run directory", async () => {
            const run = await collectRun(request("/nonexistent/run"));
            expect(run.outcome.state).to.equal("assessed");
            expect(htmlReport(run)).to.contain("before the first step").and.not.to.contain("<svg class");
            expect(markdownReport(run)).to.contain("Unnamed homeserver");
        });

        it("says that findings block", async () => {
            const blocking = { findings: [{ id: "SM-E0801", severity: "error", evidence: "e", fix: "f" }] };
            const { outcome } = await recordOf(done("assess", 0, 1), { assess: blocking });
            expect(outcome).to.include({ state: "blocked" });
            expect(outcome.sentences[0]).to.equal("1 finding must be settled before The homeserver can be moved.");
        });

        it("says that the target is prepared, with the sizes and the predicted downtime of the assessment", async () => {
            const run = await recordOf(staged, {});
            expect(run.outcome.state).to.equal("staged");
            expect(markdownReport(run))
                .to.contain("Downtime: **none** (48.0\u00a0s predicted)")
                .and.to.contain("728.0\u00a0MiB");
        });
    });

    describe("after the assessment was repeated", () => {
        it("keeps what the new one saw, though the one it replaced was taken back after it", async () => {
            const run = await recordOf([...staged, ...done("assess", 60, 2, assessment), ...undone("assess", 63, 0)]);
            expect(run).to.include({ serverName: "example.org" });
            expect(run.outcome.state).to.equal("staged");
            expect(run.steps.find(({ name }) => name === "assess")?.attempts).to.have.length(2);
        });
    });

    describe("with hostile or secret text", () => {
        const hostile = `<script>alert("1")</script> & 'x' | \`y\` [z](javascript:0) **b** \u202Eevil\u0007 ${"long ".repeat(2000)}`;
        const lines = [...staged, ...failed("fence", 3600, 1, "SM-E1101", hostile)];
        const files = {
            verify: {
                checks: [{ id: hostile, state: "failed", evidence: hostile }],
                tables: [{ name: hostile, sourceRows: 1 }],
            },
            assess: {
                findings: [{ id: "SM-W0001", severity: "warning", evidence: hostile, fix: hostile }],
                versions: { [hostile]: hostile },
            },
        };

        it("escapes it in HTML, where nothing but our own elements is left", async () => {
            const page = htmlReport(await recordOf(lines, files));
            for (const alien of ["<script", "<img", "\u202e", "\u0007"]) expect(page).not.to.contain(alien);
            expect(page)
                .to.contain("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; &#39;x&#39;")
                .and.to.contain("[U+202E]evil[U+0007]");
        });

        it("escapes it in Markdown, where every table row keeps its number of cells", async () => {
            const page = markdownReport(await recordOf(lines, files));
            expect(page).not.to.match(/(?<!\\)<script|(?<!\\)\[z|\u202e/);
            for (const block of page
                .trimEnd()
                .split("\n\n")
                .filter((part) => part.startsWith("| "))) {
                const cells = block.split("\n").map((row) => row.split(/(?<!\\)\|/).length);
                expect(new Set(cells).size, block.slice(0, 200)).to.equal(1);
            }
        });

        it("keeps registered secrets, and what has the shape of one, out of all three", async () => {
            registerSecret("correct horse battery");
            const secrets = [
                "correct horse battery",
                "syt_YWxpY2U_abcdefghijklmnopqrst_1a2b3c",
                "ed25519 a_AbCd 0123456789abcdefghijABCDEFGHIJ0123456789abc",
                "postgresql://synapse:hunter22@127.0.0.1/synapse",
                "macaroon_secret_key: 'veryverysecret'",
            ];
            const text = secrets.join(" and ");
            const directory = await directoryOf([...staged, ...failed("fence", 3600, 1, "SM-E1101", text)], {
                verify: { checks: [{ id: "x", state: "failed", evidence: text }], versions: { [text]: text } },
            });
            const written = await writeReport(join(directory, "report"), {
                ...request(directory),
                environment: { note: text },
            });
            for (const path of [written.json, written.markdown, written.html]) {
                const page = await readFile(path, "utf8");
                for (const secret of ["horse", "syt_", "0123456789abc", "hunter22", "veryverysecret"]) {
                    expect(page, path).not.to.contain(secret);
                }
                expect(page).to.match(/\[secret|\\\[secret/);
            }
        });
    });

    describe("as files", () => {
        it("is the same for the same run, and parses by its own schema", async () => {
            const directory = await directoryOf(migrated);
            const read = async (name: string) => {
                const written = await writeReport(join(directory, name), request(directory));
                return Promise.all(
                    [written.json, written.markdown, written.html].map((path) => readFile(path, "utf8")),
                );
            };
            const [first, second] = [await read("one"), await read("two")];
            expect(first).to.deep.equal(second);
            expect(runRecord.parse(JSON.parse(first[0] ?? ""))).to.deep.equal(await collectRun(request(directory)));
        });

        it("can be read by its owner alone", async () => {
            const directory = await directoryOf(migrated);
            const { json, markdown, html } = await writeReport(join(directory, "report"), request(directory));
            for (const path of [json, markdown, html]) expect((await stat(path)).mode & 0o777).to.equal(0o600);
        });

        it("is written by the step `report`, which does not report itself", async () => {
            const directory = await directoryOf([
                ...migrated,
                { step: "report", kind: "intent", phase: "assess", after: 9000 },
            ]);
            const said: string[] = [];
            const progress = { say: (line: string) => void said.push(line) };
            const spec = { ...request(directory), directory: join(directory, "report"), after: [] };
            // The step asks its run for nothing but to say where the report is.
            const result = await report.act(spec, { progress } as unknown as StepRun);
            expect(report.contract.result.parse(result).html).to.equal(join(directory, "report", "report.html"));
            expect(said).to.deep.equal([`Proven the same server: ${result.html}`]);
            expect(await readFile(result.json, "utf8")).not.to.contain('"report"');
        });

        it("refuses a journal that cannot be trusted", async () => {
            const directory = await directoryOf(migrated);
            const journal = join(directory, "journal.jsonl");
            await writeFile(journal, (await readFile(journal, "utf8")).replace('"seconds":8.4', '"seconds":1.4'));
            const error = await writeReport(directory, request(directory)).catch((caught: unknown) => caught);
            expect(error).to.have.property("code", "SM-E0701");
        });
    });
});
