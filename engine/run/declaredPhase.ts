/** The phase that the newest `pulumi up` declares, kept with the run: it is no part of any step's specification. */
import { readFile } from "node:fs/promises";
import { z } from "zod";
import { phases, type Phase, type StepContract } from "../../contract/define.ts";
import { writePrivateFile } from "./atomicFile.ts";
import { exists } from "./exists.ts";
import { MigrationError } from "./errors.ts";
import type { JournalRecord } from "./journal.ts";
import { parseJson } from "./parseJson.ts";
import { runDirectoryPaths, type RunDirectory } from "./runDirectory.ts";
import { isDone } from "./stepState.ts";

const recordShape = z.strictObject({ phase: z.enum(phases) });

/** Does nothing for a run that has not begun. */
export async function keepDeclared(runDirectory: string, phase: Phase): Promise<void> {
    const { journal, declared } = runDirectoryPaths(runDirectory);
    if (await exists(journal)) await writePrivateFile(declared, `${JSON.stringify({ phase })}\n`);
}

/**
 * A step that is done and whose resource is made anew, in a stack that goes back: its state has been lost, and knows nothing of the steps of
 * later phases either. Pulumi would say that all is done, and nobody would take them back: with a fence among them, the source stays down.
 *
 * @throws MigrationError SM-E0719 with the phase that has to be declared first
 */
export async function refuseForgotten(
    { name }: Pick<StepContract<never, never>, "name">,
    records: readonly JournalRecord[],
    paths: Pick<RunDirectory, "declared" | "journal">,
): Promise<void> {
    if (!isDone(records, name)) return;
    const text = await readFile(paths.declared, "utf8").catch(() => undefined);
    if (text === undefined) return;
    const { phase } = recordShape.parse(parseJson(text));
    const isLater = (other: string): boolean => phases.findIndex((one) => one === other) > phases.indexOf(phase);
    const later = records.filter((record) => isLater(record.phase) && isDone(records, record.step));
    const furthest = phases.findLast((one) => later.some((record) => record.phase === one));
    if (furthest === undefined) return;
    throw new MigrationError("SM-E0719", {
        where: `step ${name}, ${paths.journal}`,
        found: `declared is phase ${phase}, and done are ${[...new Set(later.map(({ step }) => step))].join(", ")}, of which this stack's state knows nothing`,
        expected: `phase ${furthest}, so that the state knows of them; then phase ${phase} takes them back`,
        fix: `\`pulumi config set phase ${furthest}\`, \`pulumi up\`: every step answers from the journal. Then phase ${phase} again`,
        changed: "nothing",
    });
}
