/** Whether the target's files are still as the steps of phase `stage` have written them: days may pass until the target is started with them. */
import { constants } from "node:fs";
import { lstat, open, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { configureContract, secretsContract } from "../../../contract/index.ts";
import { MigrationError } from "../../run/errors.ts";
import { hasCode } from "../../run/heldDirectory.ts";
import { parseJson } from "../../run/parseJson.ts";
import { runDirectoryPaths } from "../../run/runDirectory.ts";
import { contentDigester } from "../../run/specDigest.ts";
import type { StepRun } from "../../run/step.ts";

const writers = [secretsContract.name, configureContract.name] as const;
const evidence = z.looseObject({ targetFiles: z.record(z.string(), z.string()) });
const namedAtMost = 10;

/**
 * Compares each file with the digest in the evidence of the step that wrote it, keyed with the run's own key: some hold secrets. Where a run
 * of an earlier version has kept none, it says so. Not for a target that is committed: its files are its administrator's.
 *
 * @throws MigrationError SM-E0841 naming the files, never what is in them
 */
export async function refuseRewritten(run: Pick<StepRun, "directory" | "progress">, changed: string): Promise<void> {
    const paths = runDirectoryPaths(run.directory);
    const problems: string[] = [];
    for (const step of writers) {
        const file = join(paths.evidence, `${step}.json`);
        const text = await readFile(file, "utf8").catch((error: unknown) => {
            if (hasCode(error, "ENOENT")) return undefined;
            throw error;
        });
        const kept = evidence.safeParse(text === undefined ? undefined : parseJson(text));
        if (!kept.success) {
            run.progress.say(`not looked whether the files of step ${step} are as it wrote them: ${file} does not say`);
            continue;
        }
        const digest = await contentDigester(paths.digestKey);
        for (const [path, written] of Object.entries(kept.data.targetFiles)) {
            const wrong = await difference(path, written, digest);
            if (wrong === undefined) continue;
            problems.push(`${path}, which the step ${step} wrote at ${await timeOf(file)}: ${wrong}`);
        }
    }
    if (problems.length === 0) return;
    const more = problems.length - namedAtMost;
    throw new MigrationError("SM-E0841", {
        where: "the files that the target is started with",
        found: [...problems.slice(0, namedAtMost), ...(more > 0 ? [`and ${more} more`] : [])].join("\n"),
        expected: "the files as they were written, byte for byte",
        changed,
    });
}

async function difference(
    path: string,
    written: string,
    digest: (content: Uint8Array) => string,
): Promise<string | undefined> {
    try {
        if (!(await lstat(path)).isFile()) return "something else than a file is in its place";
        const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
        try {
            const { mtime } = await file.stat();
            if (digest(await file.readFile()) === written) return undefined;
            return `its content is another since ${mtime.toISOString()}`;
        } finally {
            await file.close();
        }
    } catch (error) {
        if (hasCode(error, "ENOENT") || hasCode(error, "ENOTDIR")) return "it is gone";
        throw error;
    }
}

const timeOf = async (path: string): Promise<string> => (await stat(path)).mtime.toISOString();
