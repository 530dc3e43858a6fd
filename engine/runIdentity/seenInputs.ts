/** Whether the files of a bundle are those that the assessment of this run has seen. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { inputEvidence, readInputEvidence, type InputEvidence } from "../bundle/input/inputEvidence.ts";
import { MigrationError } from "../run/errors.ts";
import { runDirectoryPaths } from "../run/runDirectory.ts";

const assessed = z.object({ inputs: z.array(inputEvidence).optional() });

/**
 * Compares the files with the evidence that the assessment left in the run directory; without one nothing is compared, as when a step is run
 * by hand.
 *
 * @param paths  the dump, or the media
 * @throws MigrationError SM-E0931
 */
export async function refuseOtherInputs(runDirectory: string, paths: readonly string[]): Promise<void> {
    const seen = new Map((await seenInputs(runDirectory)).map((input) => [input.path, input]));
    for (const path of paths) {
        const before = seen.get(path);
        if (before === undefined) continue;
        const now = await readInputEvidence(path);
        if (now.digest === before.digest) continue;
        const other = "other content of the same size at its beginning or end";
        throw new MigrationError("SM-E0931", {
            where: path,
            found: now.bytes === before.bytes ? other : `${now.bytes} bytes; the assessment saw ${before.bytes}`,
            expected: "what the assessment of this run has read",
            fix: "is it another export? Then it is another run: take config `run` away, or set another id",
        });
    }
}

async function seenInputs(runDirectory: string): Promise<readonly InputEvidence[]> {
    const file = join(runDirectoryPaths(runDirectory).evidence, "assess.json");
    const text = await readFile(file, "utf8").catch((error: unknown) => {
        if (error instanceof Error && "code" in error && error.code === "ENOENT") return "{}";
        throw error;
    });
    return assessed.parse(JSON.parse(text)).inputs ?? [];
}
