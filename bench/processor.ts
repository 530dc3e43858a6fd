/** Processor time as the kernel counts it, which changes little when the machine does other things: proc(5). */
import { readdir, readFile } from "node:fs/promises";

/** Linux counts processor time in these: `getconf CLK_TCK`. */
const ticksPerSecond = 100;

/** Core-seconds of one process so far, without its children. */
export async function ownSeconds(pid: number): Promise<number> {
    const { own } = parse(await readFile(`/proc/${pid}/stat`, "latin1"));
    return own;
}

/** Core-seconds of a process's children that have ended, and of theirs. */
export async function endedChildrenSeconds(pid: number): Promise<number> {
    const { ended } = parse(await readFile(`/proc/${pid}/stat`, "latin1"));
    return ended;
}

/** Core-seconds of a process and of all its children so far, whether or not they have ended. Descendants of children only once they have. */
export async function familySeconds(pid: number): Promise<number> {
    let sum = 0;
    for (const entry of await readdir("/proc")) {
        if (!/^\d+$/.test(entry)) continue;
        // A process may end between the two looks; its time is then its parent's, which is read again the next time.
        const text = await readFile(`/proc/${entry}/stat`, "latin1").catch(() => undefined);
        if (text === undefined) continue;
        const { own, ended, parent } = parse(text);
        if (Number(entry) === pid || parent === pid) sum += own + ended;
    }
    return sum;
}

/** The second field is a name in brackets, which may hold anything. */
function parse(text: string): { own: number; ended: number; parent: number } {
    const fields = (text.split(") ").at(-1) ?? "").split(" ");
    const seconds = (first: number): number => (Number(fields[first]) + Number(fields[first + 1])) / ticksPerSecond;
    // Fields 4 (ppid), 14 and 15 (utime, stime), 16 and 17 (cutime, cstime); the list begins with the third.
    return { own: seconds(11), ended: seconds(13), parent: Number(fields[1]) };
}
