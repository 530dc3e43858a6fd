/** What Linux tells about processes in /proc: who they are, how they were started, what they listen on. */
import { readdir, readFile, readlink } from "node:fs/promises";
import { until } from "../run/until.ts";

/** A process, told apart from a later one with the same number by when it started. */
export interface ProcessIdentity {
    readonly pid: number;
    /** Clock ticks since boot, field 22 of /proc/<pid>/stat (proc(5)). */
    readonly startTicks: string;
}

export interface ProcessFacts extends ProcessIdentity {
    readonly parent: number;
    readonly session: number;
    /** Effective ids. */
    readonly uid: number;
    readonly gid: number;
    readonly groups: readonly number[];
    readonly umask: number;
    readonly argv: readonly string[];
    /** Undefined where we may not look: another user's process, and we are not root. */
    readonly workingDirectory: string | undefined;
}

/** The process, or undefined when there is none, or only a zombie whose parent has not yet asked for its end. */
export async function readProcess(pid: number): Promise<ProcessFacts | undefined> {
    try {
        const [stat, status, commandLine] = await Promise.all(
            ["stat", "status", "cmdline"].map((name) => readFile(`/proc/${pid}/${name}`, "utf8")),
        );
        // The second field is the name in parentheses and may hold anything, parentheses and blanks included.
        const fields = (stat ?? "").slice((stat ?? "").lastIndexOf(")") + 2).split(" ");
        const [state, parent, , session] = fields;
        const startTicks = fields[19];
        if (startTicks === undefined || state === "Z" || state === "X") return undefined;
        const line = (name: string): string[] =>
            new RegExp(`^${name}:[ \\t]*(.*)$`, "m")
                .exec(status ?? "")?.[1]
                ?.trim()
                .split(/\s+/) ?? [];
        return {
            pid,
            startTicks,
            parent: Number(parent),
            session: Number(session),
            uid: Number(line("Uid")[1]),
            gid: Number(line("Gid")[1]),
            groups: line("Groups")
                .filter((id) => id !== "")
                .map(Number),
            umask: Number.parseInt(line("Umask")[0] ?? "022", 8),
            argv: (commandLine ?? "").replace(/\0$/, "").split("\0"),
            workingDirectory: await readlink(`/proc/${pid}/cwd`).catch(() => undefined),
        };
    } catch {
        return undefined;
    }
}

/** Every process there is at this moment. */
export async function allProcesses(): Promise<ProcessFacts[]> {
    const numbers = (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
    return (await Promise.all(numbers.map(readProcess))).filter((found) => found !== undefined);
}

/** Whether the number is taken: also by a process that has ended and whose parent has not yet asked for its end. */
export function exists(pid: number): boolean {
    try {
        return process.kill(pid, 0);
    } catch (error) {
        return !(error instanceof Error && "code" in error && error.code === "ESRCH");
    }
}

/** Whether this very process still runs: not ended, and its number not given to another. */
export async function isAlive(process: ProcessIdentity): Promise<boolean> {
    return (await readProcess(process.pid))?.startTicks === process.startTicks;
}

/** Sends a signal; a process that has just ended needs none. */
export function signalProcess({ pid }: ProcessIdentity, signal: NodeJS.Signals): void {
    try {
        process.kill(pid, signal);
    } catch (error) {
        if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
    }
}

/** The processes below one, nearest first. */
export function descendants(root: number, processes: readonly ProcessFacts[]): ProcessFacts[] {
    const children = processes.filter(({ parent, pid }) => parent === root && pid !== root);
    return [...children, ...children.flatMap(({ pid }) => descendants(pid, processes))];
}

const pollMilliseconds = 50;

/**
 * Waits until all have ended. The kernel tells only a parent about the end of a process, so this looks again and again.
 *
 * @returns those that still run when the time is over
 */
export async function waitForEnd<P extends ProcessIdentity>(
    processes: readonly P[],
    timeoutSeconds: number,
    signal?: AbortSignal,
): Promise<P[]> {
    let left: P[] = [];
    await until(
        async () => {
            const alive = await Promise.all(processes.map(isAlive));
            left = processes.filter((_, index) => alive[index]);
            return left.length === 0 || undefined;
        },
        { seconds: timeoutSeconds, everyMilliseconds: pollMilliseconds, signal },
    );
    return left;
}

/**
 * The named variables of a process, and the names of its other ones. Values of others are not looked at: they may be secrets.
 * Empty where we may not look.
 */
export async function readEnvironment(
    pid: number,
    wanted: ReadonlySet<string>,
): Promise<{ values: Record<string, string>; otherNames: string[] }> {
    const text = await readFile(`/proc/${pid}/environ`, "utf8").catch(() => "");
    const values: Record<string, string> = {};
    const otherNames: string[] = [];
    for (const entry of text.split("\0")) {
        const end = entry.indexOf("=");
        if (end <= 0) continue;
        const name = entry.slice(0, end);
        if (wanted.has(name)) values[name] = entry.slice(end + 1);
        else otherNames.push(name);
    }
    return { values, otherNames: otherNames.sort() };
}

/** TCP ports that a process listens on, in ascending order. Empty where we may not look. */
export async function listeningPorts(pid: number): Promise<number[]> {
    const descriptors = await readdir(`/proc/${pid}/fd`).catch(() => []);
    const links = await Promise.all(descriptors.map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => "")));
    const sockets = new Set(links.flatMap((link) => /^socket:\[(\d+)\]$/.exec(link)?.[1] ?? []));
    const listening = await listeningSockets(String(pid));
    const ports = listening.filter(({ inode }) => sockets.has(inode)).map(({ port }) => port);
    return [...new Set(ports)].sort((a, b) => a - b);
}

/** All TCP ports on which anything listens in our network namespace. */
export async function portsInUse(): Promise<Set<number>> {
    return new Set((await listeningSockets("self")).map(({ port }) => port));
}

/** State of a listening socket in /proc/net/tcp (include/net/tcp_states.h). */
const listenState = "0A";

async function listeningSockets(process: string): Promise<{ port: number; inode: string }[]> {
    const tables = await Promise.all(
        ["tcp", "tcp6"].map((name) => readFile(`/proc/${process}/net/${name}`, "utf8").catch(() => "")),
    );
    return tables.flatMap((table) =>
        table
            .split("\n")
            .slice(1)
            .flatMap((line) => {
                const [, local = "", , state, , , , , , inode = ""] = line.trim().split(/\s+/);
                const port = Number.parseInt(local.split(":")[1] ?? "", 16);
                return state === listenState && Number.isInteger(port) ? [{ port, inode }] : [];
            }),
    );
}
