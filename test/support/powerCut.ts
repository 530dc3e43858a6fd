/** The end of a machine, as far as processes see it: all of them end at once, and nothing starts them again. */
import { expect } from "chai";
import { thisMachine } from "../../engine/machines/local/localMachine.ts";
import { readProcess, signalProcess, waitForEnd } from "../../engine/machines/procfs.ts";
import { until } from "../../engine/run/until.ts";
import { processesBelow } from "../../rehearsal/directory.ts";

/** Kills everything that runs from below the directory, of which there must be something, and waits for its end. */
export async function powerCut(directory: string): Promise<void> {
    const all = processesBelow(directory);
    expect(all, `processes of ${directory}`).not.to.deep.equal([]);
    // One ends with another: what was seen may be gone before it is killed.
    const found = await Promise.all(all.map(({ pid }) => readProcess(thisMachine, pid)));
    const started = found.filter((process) => process !== undefined);
    for (const process of started) signalProcess(process, "SIGKILL");
    await waitForEnd(thisMachine, started, 20);
    await until(
        () => processesBelow(directory).length === 0 || undefined,
        { seconds: 20 },
        () => new Error("a process lives on"),
    );
}
