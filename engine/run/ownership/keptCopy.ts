/** A copy of what a run knows, kept beside what its target owns: a target outlives the work directory that made it. */
import { mkdir, readdir, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { removePrivateFile, writePrivateFile } from "../atomicFile.ts";
import { lockFile } from "../fileLock.ts";
import { hasCode } from "../heldDirectory.ts";
import { runDirectoryPaths } from "../runDirectory.ts";
import { recordDirectory } from "./targetHold.ts";

const lockWaitSeconds = 30;

export const keptCopy = (target: string): string => join(recordDirectory(target), "run");

/**
 * Brings the copy up to date after a step has ended: the journal, how the source was fenced, and what the step has left. Holds no secret, as
 * none of these files does. What `finish` removes stays here, as it is what the servers are started again from.
 */
export async function keepCopy(runDirectory: string, target: string, step: string): Promise<void> {
    const [from, to] = [runDirectoryPaths(runDirectory), runDirectoryPaths(keptCopy(target))];
    for (const directory of [to.path, to.evidence, to.specs]) await mkdir(directory, { recursive: true, mode: 0o700 });
    // Steps that end at the same time write one after the other, so that an older journal never follows a newer one.
    const lock = await lockFile(`${to.path}.lock`, `process ${process.pid}, keeping a copy`, lockWaitSeconds);
    try {
        await copyIfThere(from.digestKey, to.digestKey);
        // A fence that was lifted is none any more.
        for (const [origin, name] of [
            [dirname(runDirectory), "fence-holder.json"],
            [runDirectory, "fence-token.json"],
        ] as const)
            if (!(await copyIfThere(join(origin, name), join(to.path, name))))
                await removePrivateFile(join(to.path, name));
        await copyIfThere(join(from.specs, `${step}.json`), join(to.specs, `${step}.json`));
        await copyIfThere(join(from.evidence, `${step}.json`), join(to.evidence, `${step}.json`));
        await copyIfThere(from.journal, to.journal);
    } finally {
        await lock.release();
    }
}

/** Makes a run directory out of the copy. */
export async function restoreCopy(target: string, runDirectory: string): Promise<void> {
    const [from, to] = [runDirectoryPaths(keptCopy(target)), runDirectoryPaths(runDirectory)];
    for (const directory of [to.path, to.evidence, to.specs]) await mkdir(directory, { recursive: true, mode: 0o700 });
    for (const [source, place] of [
        [from.specs, to.specs],
        [from.evidence, to.evidence],
    ] as const) {
        for (const name of await readdir(source)) await copyIfThere(join(source, name), join(place, name));
    }
    await copyIfThere(join(from.path, "fence-holder.json"), join(dirname(runDirectory), "fence-holder.json"));
    await copyIfThere(join(from.path, "fence-token.json"), join(runDirectory, "fence-token.json"));
    await copyIfThere(from.digestKey, to.digestKey);
    // Last: without it the directory is as good as none.
    await copyIfThere(from.journal, to.journal);
}

/** @returns whether it is there */
async function copyIfThere(from: string, to: string): Promise<boolean> {
    const content = await readFile(from).catch((error: unknown) => {
        if (hasCode(error, "ENOENT")) return undefined;
        throw error;
    });
    if (content !== undefined) await writePrivateFile(to, content);
    return content !== undefined;
}
