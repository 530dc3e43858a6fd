/** The lock file of a PostgreSQL data directory whose server has died: when it stands in the way of the next start, and only then. */
import { readFile, realpath, rm } from "node:fs/promises";
import { join } from "node:path";
import { thisMachine } from "../../machines/local/localMachine.ts";
import { allProcesses, exists, readProcess } from "../../machines/procfs.ts";
import { until } from "../../run/until.ts";

/** The kernel takes a moment to take a killed server down, and its parent to ask for its end. */
const endSeconds = 5;

/** The process that the data directory's lock file names, and all of its text. Undefined when there is none, or nothing readable in it. */
async function lockedBy(data: string): Promise<{ pid: number; text: string } | undefined> {
    const text = await readFile(lockOf(data), "utf8").catch(() => "");
    const pid = text.split("\n")[0]?.trim() ?? "";
    return /^[1-9]\d*$/.test(pid) ? { pid: Number(pid), text } : undefined;
}

const lockOf = (data: string): string => join(data, "postmaster.pid");

/** Whether the process that the data directory names is there and works in it. */
export async function isServed(data: string): Promise<boolean> {
    const lock = await lockedBy(data);
    const working = lock === undefined ? undefined : (await readProcess(thisMachine, lock.pid))?.workingDirectory;
    return working !== undefined && working === (await realpath(data));
}

/**
 * Removes the lock file of a dead server where PostgreSQL itself would not: it takes any process that has the number for the server that
 * wrote it (`CreateLockFile`, src/backend/utils/init/miscinit.c), be it one that has ended and that nobody has asked for its end, as in a
 * container without an init process, or another program that was given the number after a reboot. A server, or what is left of one, that works in
 * the directory keeps its lock, and PostgreSQL says so.
 */
export async function removeStaleLock(data: string): Promise<void> {
    const lock = await lockedBy(data);
    if (lock === undefined) return;
    // One that has just been killed is gone in a moment; then PostgreSQL finds out more about its lock than we can, and decides.
    const stands = await until(
        async () => {
            if (!exists(lock.pid)) return false;
            return (await readProcess(thisMachine, lock.pid)) === undefined ? undefined : true;
        },
        { seconds: endSeconds },
    );
    if (stands === false || (await hasProcesses(data))) return;
    if ((await lockedBy(data))?.text === lock.text) await rm(lockOf(data));
}

async function hasProcesses(data: string): Promise<boolean> {
    const directory = await realpath(data);
    return (await allProcesses(thisMachine)).some(({ workingDirectory }) => workingDirectory === directory);
}
