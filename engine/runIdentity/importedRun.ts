/** The run that has begun to load a bundle: from then on its files have been read, and may be gone. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { readJournal } from "../run/journal.ts";
import { runDirectoryPaths } from "../run/runDirectory.ts";
import { stepState } from "../run/stepState.ts";

/** Ids of runs whose import is done, and was not taken back. */
export async function importedRuns(runsDirectory: string): Promise<string[]> {
    const entries = await readdir(runsDirectory, { withFileTypes: true }).catch(() => []);
    const runs = await Promise.all(
        entries
            .filter((entry) => entry.isDirectory())
            .map(async ({ name }) => {
                const records = await readJournal(runDirectoryPaths(join(runsDirectory, name)).journal);
                const done = ["import", "import-media"].every((step) => stepState(records, step).state === "done");
                return done ? [name] : [];
            }),
    );
    return runs.flat();
}
