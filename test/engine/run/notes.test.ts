/** What must be known after a run is in a file, as the lines that Pulumi shows are gone. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { appendFile, chmod, mkdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import { collectRun } from "../../../engine/report/collect.ts";
import { htmlReport } from "../../../engine/report/html.ts";
import { markdownReport } from "../../../engine/report/markdown.ts";
import { keepNotes, notesPath, readNotes } from "../../../engine/run/notes.ts";
import { lineProgress } from "../../../engine/run/progress.ts";
import { makeRehearsalDirectory, removeRehearsalDirectory } from "../../../rehearsal/directory.ts";
import { withWorkDirectory } from "../../support/workDirectory.ts";

/** Calls `synapse-migrate` as Pulumi does. */
async function step(name: string, option: "--do" | "--undo", spec: object): Promise<string> {
    const child = spawn(process.execPath, ["--import", "tsx", "steps/cli.ts", name, option], {
        stdio: ["pipe", "ignore", "pipe"],
    });
    child.stdin.end(JSON.stringify(spec));
    let text = "";
    for await (const chunk of child.stderr) text += String(chunk);
    if (child.exitCode === null) await once(child, "exit");
    if (child.exitCode !== 0) throw new Error(text);
    return text;
}

/** One that the user of the target's servers may go through. */
async function withReachableDirectory(work: (directory: string) => Promise<void>): Promise<void> {
    const directory = makeRehearsalDirectory();
    try {
        await work(directory);
    } finally {
        await removeRehearsalDirectory(directory);
    }
}

describe("notes", () => {
    it("keep, of what a step does, what must be known, and of an undo all but its heartbeats", () =>
        withWorkDirectory(async (directory) => {
            await mkdir(directory, { recursive: true });
            for (const mode of ["do", "undo"] as const) {
                const progress = lineProgress("swap", keepNotes(directory, mode), (text) =>
                    text.replace("hush", "***"),
                );
                progress.say(`${mode} said`);
                progress.note(`${mode} hush noted\nin two lines`);
                keepNotes(directory, mode)("[swap] renaming: 3 s so far", "heartbeat");
            }
            const lines = (await readFile(notesPath(directory), "utf8")).trim().split("\n");
            expect(lines.map((line) => line.slice(25))).to.deep.equal([
                "do note [swap] do *** noted",
                "do note [swap] in two lines",
                "undo said [swap] undo said",
                "undo note [swap] undo *** noted",
                "undo note [swap] in two lines",
            ]);
            expect((await stat(notesPath(directory))).mode & 0o777).to.equal(0o600);
            expect((await readNotes(directory)).map(({ step, undo, text }) => [step, undo, text])).to.deep.equal([
                ["swap", false, "do *** noted"],
                ["swap", false, "in two lines"],
                ["swap", true, "undo *** noted"],
                ["swap", true, "in two lines"],
            ]);
        }));

    it("are those of the step that said it, when an undo of a phase took it back", () =>
        withWorkDirectory(async (directory) => {
            await mkdir(directory, { recursive: true });
            const outer = lineProgress("guard-stage", keepNotes(directory, "undo"), String);
            lineProgress("gateway", (line) => outer.note(line), String).note("it stays");
            await appendFile(notesPath(directory), "not a line of ours\nyesterday undo note [gateway] no instant\n");
            expect((await readNotes(directory)).map(({ step, text }) => [step, text])).to.deep.equal([
                ["gateway", "it stays"],
            ]);
        }));

    it("fail nothing where they cannot be written, follow no link, and are none where there is no file", () =>
        withWorkDirectory(async (directory) => {
            await mkdir(directory, { recursive: true });
            keepNotes(join(directory, "not-there"), "undo")("[swap] lost", "note");
            expect(await readNotes(join(directory, "not-there"))).to.deep.equal([]);
            const elsewhere = join(directory, "elsewhere");
            await writeFile(elsewhere, "");
            await symlink(elsewhere, notesPath(directory));
            keepNotes(directory, "undo")("[swap] lost", "note");
            expect(await readFile(elsewhere, "utf8")).to.equal("");
        }));

    it("of an undo that left something are in the run's directory and in the report, when Pulumi's lines are gone", () =>
        withReachableDirectory(async (directory) => {
            const run = { id: "r1", directory: join(directory, "runs", "r1") };
            const mediaStore = join(directory, "store");
            await step("media-storage", "--do", { run, mediaStore });
            // Somebody else's by now.
            await rm(mediaStore, { recursive: true });
            await mkdir(mediaStore);
            await chmod(mediaStore, 0o700);
            const said = await step("media-storage", "--undo", { run, mediaStore });
            const text = `${mediaStore} is not this run's and stays as it is`;
            expect(said).to.equal(`[media-storage] ${text}\n`);
            const record = await collectRun({ run, phase: "assess", environment: {} });
            expect(record.leftToDo).to.have.length(1);
            expect(record.leftToDo[0]).to.include({ step: "media-storage", undo: true, text });
            expect(markdownReport(record)).to.match(/## What is left to do\n\n- media-storage: .*stays as it is\n/);
            expect(htmlReport(record)).to.include(">What is left to do</h2>").and.include("stays as it is");
            // Done anew, it has met what was left: the note is history.
            await rm(mediaStore, { recursive: true });
            await step("media-storage", "--do", { run, mediaStore });
            expect((await collectRun({ run, phase: "stage", environment: {} })).leftToDo).to.deep.equal([]);
        }));
});
