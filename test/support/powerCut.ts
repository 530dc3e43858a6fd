/** The end of a machine, as far as processes see it: all of them end at once, and nothing starts them again. */
import { readFileSync } from "node:fs";
import { expect } from "chai";
import { thisMachine } from "../../engine/machines/local/localMachine.ts";
import { waitForEnd } from "../../engine/machines/procfs.ts";
import { until } from "../../engine/run/until.ts";
import { processesBelow } from "../../rehearsal/directory.ts";

/** Kills everything that runs from below the directory, of which there must be something, and waits for its end. */
export async function powerCut(directory: string): Promise<void> {
    const all = processesBelow(directory);
    expect(all, `processes of ${directory}`).not.to.deep.equal([]);
    const started = all.flatMap(({ pid }) => startOf(pid));
    for (const { pid } of all) process.kill(pid, "SIGKILL");
    await waitForEnd(thisMachine, started, 20);
    await until(
        () => processesBelow(directory).length === 0 || undefined,
        { seconds: 20 },
        () => new Error("a process lives on"),
    );
}

function startOf(pid: number): { pid: number; startTicks: string }[] {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const ticks = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
    return ticks === undefined ? [] : [{ pid, startTicks: ticks }];
}
