/** Gets the SQLite file of a source that was stopped, or a snapshot of one that goes on. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { takeFileContract } from "../../contract/index.ts";
import { sqliteFile } from "../../engine/fence/database/sqliteDatabase.ts";
import { refuseUnlessStillFenced } from "../../engine/fence/stillFenced.ts";
import { fileSystemOf, lackingSpace } from "../../engine/machines/freeSpace.ts";
import { placeOn } from "../../engine/machines/placeOn.ts";
import { refuseErrors } from "../../engine/assess/conclusion.ts";
import { defineStep } from "../../engine/run/step.ts";
import { takeClosedFile, takenDirectoryName, takeSnapshot } from "../../engine/sqlite/takeFile.ts";
import { readSourceConfig } from "../../engine/synapse/config/sourceConfig.ts";

export const takeFile = defineStep(
    takeFileContract,
    async ({ source, fenceToken, targetPython }, run) => {
        const began = performance.now();
        const seconds = (): number => Math.round(performance.now() - began) / 1000;
        const { machine, path } = await sqliteFile(await readSourceConfig(source));
        const bytes = (await machine.files.stat(path))?.size ?? 0;
        const where = placeOn(machine, path);
        if (fenceToken !== undefined) {
            await refuseUnlessStillFenced(source, fenceToken, run.reference);
            // The step that reads it makes a copy of its own.
            if (machine.isHere) {
                await run.evidence({ where, bytes, copied: false });
                return { file: path, bytes, seconds: seconds() };
            }
        }
        refuseErrors(lackingSpace([await fileSystemOf(run.directory, bytes)]), "the work directory");
        let done = 0;
        const options = {
            directory: join(run.directory, takenDirectoryName),
            runId: run.id,
            python: targetPython,
            signal: run.signal,
            onBytes: (come: number) => (done = come),
        };
        const taken = await run.progress.during(
            "copying the SQLite database",
            () => (fenceToken === undefined ? takeSnapshot : takeClosedFile)(machine, path, options),
            () => `${done} of ${bytes} bytes`,
        );
        if (fenceToken !== undefined) await refuseUnlessStillFenced(source, fenceToken, run.reference);
        await run.evidence({ where, bytes: taken.bytes, copied: true, snapshot: fenceToken === undefined });
        return { ...taken, seconds: seconds() };
    },
    async (_spec, run) => {
        await rm(join(run.directory, takenDirectoryName), { recursive: true, force: true });
    },
);
