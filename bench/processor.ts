/** Processor time as the kernel counts it, which changes little when the machine does other things: proc(5). */
import { readdir, readFile } from "node:fs/promises";

/** Linux counts processor time in these: `getconf CLK_TCK`. */
const ticksPerSecond = 100;

/** Core-seconds of one process so far, without its children. */
export async function ownSeconds(pid: number): Promise<number> {
    return (await timesOf(String(pid))).own;
}

/** Core-seconds of a process's children that have ended, and of theirs. */
export async function endedChildrenSeconds(pid: number): Promise<number> {
    return (await timesOf(String(pid))).ended;
}

/** Core-seconds of a process and of all its children so far, whether or not they have ended. Descendants of children only once they have. */
export async function familySeconds(pid: number): Promise<number> {
    for (;;) {
        const { own, ended } = await timesOf(String(pid));
        let running = 0;
        for (const entry of await readdir("/proc")) {
            if (!/^\d+$/.test(entry)) continue;
            const times = await timesOf(entry).catch(() => undefined);
            if (times?.parent === pid) running += times.own + times.ended;
        }
        // The time of a child that has ended meanwhile would be counted nowhere, or twice.
        if ((await timesOf(String(pid))).ended === ended) return own + ended + running;
    }
}

interface Times {
    readonly own: number;
    readonly ended: number;
    readonly parent: number;
}

async function timesOf(entry: string): Promise<Times> {
    const text = await readFile(`/proc/${entry}/stat`, "latin1");
    // The second field is a name in brackets, which may hold anything.
    const fields = (text.split(") ").at(-1) ?? "").split(" ");
    const seconds = (first: number): number => (Number(fields[first]) + Number(fields[first + 1])) / ticksPerSecond;
    // Fields 4 (ppid), 14 and 15 (utime, stime), 16 and 17 (cutime, cstime); the list begins with the third.
    return { own: seconds(11), ended: seconds(13), parent: Number(fields[1]) };
}
