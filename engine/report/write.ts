/** Writes the three forms of a report. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { writePrivateFile } from "../run/atomicFile.ts";
import { collectRun, type ReportRequest } from "./collect.ts";
import { htmlReport } from "./html.ts";
import { markdownReport } from "./markdown.ts";

/** Where a report was written: absolute paths, files of mode 0600. */
export interface WrittenReport {
    readonly json: string;
    readonly markdown: string;
    readonly html: string;
    /** The outcome in one line, to be printed with the paths. */
    readonly headline: string;
}

/**
 * Writes `report.json`, `report.md` and `report.html` into the directory, each whole or not at all. Needs no step to have succeeded, so
 * it can also be called after a failure.
 *
 * @throws MigrationError SM-E0701 when the journal of the run cannot be trusted
 */
export async function writeReport(directory: string, request: ReportRequest): Promise<WrittenReport> {
    const run = await collectRun(request);
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const written = {
        json: join(directory, "report.json"),
        markdown: join(directory, "report.md"),
        html: join(directory, "report.html"),
    };
    await writePrivateFile(written.json, `${JSON.stringify(run, null, 2)}\n`);
    await writePrivateFile(written.markdown, markdownReport(run));
    await writePrivateFile(written.html, htmlReport(run));
    return { ...written, headline: run.outcome.headline };
}
