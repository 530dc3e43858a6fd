/** Puts the fenced source back after a step has failed: no resource of a stack; called by whatever step has failed. */
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fenceContract, giveBackContract } from "../../contract/index.ts";
import { mayServeElsewhere } from "../../engine/fence/afterFailure.ts";
import { MigrationError } from "../../engine/run/errors.ts";
import type { AnyStep } from "../../engine/run/openStep.ts";
import type { LineKind } from "../../engine/run/progress.ts";
import { runDirectoryPaths } from "../../engine/run/runDirectory.ts";
import { defineStep } from "../../engine/run/step.ts";
import { undoSteps, type StepFinder } from "../../engine/run/undoFromJournal.ts";
import { sourceService } from "../../engine/services/service.ts";

/**
 * What `fence --undo` does, by the same functions and under the same rules of ownership. Its own intent is in the journal before it looks
 * whether a target was started, and whatever starts one looks for that intent after its own: of the two one gives way.
 *
 * Its undo, with that of its phase, does nothing but say that it is over.
 *
 * @param stepNamed  finds the fence
 */
export function giveBackStep(stepNamed: StepFinder): AnyStep {
    return defineStep(giveBackContract, async ({ failed, code }, run) => {
        if (await mayServeElsewhere(dirname(run.directory)))
            throw new MigrationError("SM-E0782", {
                where: `the source homeserver, run ${run.id}`,
                found: "a target of this work directory was started meanwhile, or handed over",
                expected: "no server but the source that could serve",
                changed: "nothing: the source stays stopped",
            });
        const write = (line: string, kind?: LineKind): void =>
            kind === "note" ? run.progress.note(line) : run.progress.say(line);
        await undoSteps([fenceContract.name], run.directory, stepNamed, { write, signal: run.signal, forGood: true });
        const kept = join(runDirectoryPaths(run.directory).specs, `${fenceContract.name}.json`);
        const { source } = fenceContract.spec.parse(JSON.parse(await readFile(kept, "utf8")));
        const { running } = await sourceService(source).status();
        const at = await run.recorded("put-back", () => Promise.resolve(new Date().toISOString()));
        return { failed, code, serves: running, at };
    });
}
