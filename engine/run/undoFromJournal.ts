/** Undoes steps that Pulumi does not know of, because their creation failed: from the journal and the specifications that were kept. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { runReference } from "../../contract/shared.ts";
import { readJournal } from "./journal.ts";
import type { LineKind } from "./progress.ts";
import { runDirectoryPaths } from "./runDirectory.ts";
import { undoStep } from "./runStep.ts";
import type { AnyStep, StepCall } from "./openStep.ts";
import { failedAfter } from "./undoOrder.ts";

/** Finds a step by its name. */
export type StepFinder = (name: string) => Promise<AnyStep | undefined>;

interface Surroundings extends Pick<StepCall, "signal" | "forGood"> {
    readonly write: (line: string, kind?: LineKind) => void;
}

/** Undoes the named steps of a run, in the given order. */
export async function undoSteps(
    names: readonly string[],
    runDirectory: string,
    stepNamed: StepFinder,
    surroundings: Surroundings,
): Promise<void> {
    const { write } = surroundings;
    for (const name of names) {
        const step = await stepNamed(name);
        if (step === undefined) continue;
        const specFile = join(runDirectoryPaths(runDirectory).specs, `${name}.json`);
        const text = await readFile(specFile, "utf8").catch(() => undefined);
        if (text === undefined) {
            write(`[${name}] what it left stays: ${specFile} is gone, as after the phase finish`, "note");
            continue;
        }
        write(`[${name}] what it left is taken back`);
        await undoStep({ ...surroundings, step, spec: JSON.parse(text) });
    }
}

const withRun = z.looseObject({ run: runReference });

/** Undoes a step, and before it the steps that failed after it. */
export async function undoWithFailedSteps(call: StepCall, stepNamed: StepFinder): Promise<void> {
    const parsed = withRun.safeParse(call.spec);
    if (parsed.success) {
        const { directory } = parsed.data.run;
        const records = await readJournal(runDirectoryPaths(directory).journal);
        await undoSteps(failedAfter(records, call.step.contract.name), directory, stepNamed, {
            write: call.write,
            signal: call.signal,
        });
    }
    await undoStep(call);
}
