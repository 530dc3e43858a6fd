/** Removes what only the making of the bundle needed. */
import { rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { clearExportContract } from "../../contract/index.ts";
import { mediaSpool } from "../../engine/bundle/write/bundleDirectory.ts";
import { runDirectoryPaths } from "../../engine/run/runDirectory.ts";
import { defineStep } from "../../engine/run/step.ts";

/** The bundle itself stays, and so does the record of whose directory it is. */
export const clearExport = defineStep(clearExportContract, async (_spec, run) => {
    const sections = ["database", "media", "configuration"].map((name) => join(run.directory, `export-${name}.json`));
    const working = [...sections, mediaSpool(run.directory), runDirectoryPaths(run.directory).specs];
    let removedBytes = 0;
    for (const path of working) {
        const found = await stat(path).catch(() => undefined);
        removedBytes += found?.isFile() === true ? found.size : 0;
        await rm(path, { recursive: true, force: true });
    }
    await run.evidence({ removed: working });
    return { removedBytes };
});
