/** `synapse-migrate status`: what a run has done so far, from its journal alone. */
import type { Command } from "commander";
import { readJournal, type JournalRecord } from "../../engine/run/journal.ts";
import { redact } from "../../engine/run/redaction.ts";
import { runDirectoryPaths } from "../../engine/run/runDirectory.ts";
import { stepState } from "../../engine/run/stepState.ts";

export function registerStatus(program: Command): void {
    program
        .command("status")
        .description("show what a run has done so far")
        .argument("<directory>", "directory of the run: `<work directory>/runs/<run id>`")
        .action(async (directory: string) => {
            process.stdout.write(
                `${redact(statusLines(await readJournal(runDirectoryPaths(directory).journal)).join("\n"))}\n`,
            );
        });
}

/** One line a step, in the order in which they were first begun. */
export function statusLines(records: readonly JournalRecord[]): string[] {
    if (records.length === 0) return ["nothing has been done in this run"];
    const names = [...new Set(records.map(({ step }) => step))];
    const width = Math.max(...names.map((name) => name.length));
    return names.map((name) => {
        const last = records.findLast(({ step }) => step === name);
        const { state } = stepState(records, name);
        const detail = last?.error === undefined ? "" : `  ${last.error.message.split("\n")[0] ?? ""}`;
        return `${name.padEnd(width)}  ${state.padEnd(5)}  ${last?.kind ?? ""} ${last?.at ?? ""}${detail}`;
    });
}
