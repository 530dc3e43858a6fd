/** What Linux tells about processes in /proc: who they are, how they were started, what they listen on. */
import { until } from "../run/until.ts";
import { keepingIn, type Keeping } from "./controlGroup.ts";
import type { ProcessIdentity } from "./machine.ts";
import { orElse, procText, type ProcReader } from "./procText.ts";
import { listenState, socketsIn, socketsOf } from "./tcpTable.ts";

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
    readonly keeping: Keeping;
}

/** The process, or undefined when there is none, or only a zombie whose parent has not yet asked for its end. */
export async function readProcess(machine: ProcReader, pid: number): Promise<ProcessFacts | undefined> {
    return orElse(readFacts(machine, pid), undefined);
}

async function readFacts(machine: ProcReader, pid: number): Promise<ProcessFacts | undefined> {
    const of = (name: string): Promise<string> => procText(machine, `/proc/${pid}/${name}`);
    // All at once: a machine that is reached over a network is asked, and answers, one time.
    const [stat, status, commandLine, groups, workingDirectory] = await Promise.all([
        of("stat"),
        of("status"),
        of("cmdline"),
        orElse(of("cgroup"), ""),
        orElse(machine.files.readLink(`/proc/${pid}/cwd`), undefined),
    ]);
    // The second field is the name in parentheses and may hold anything, parentheses and blanks included.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const [state, parent, , session] = fields;
    const startTicks = fields[19];
    if (startTicks === undefined || state === "Z" || state === "X") return undefined;
    const line = (name: string): string[] =>
        new RegExp(`^${name}:[ \\t]*(.*)$`, "m").exec(status)?.[1]?.trim().split(/\s+/) ?? [];
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
        argv: commandLine.replace(/\0$/, "").split("\0"),
        workingDirectory,
        keeping: keepingIn(groups),
    };
}

/** Every process there is at this moment. */
export async function allProcesses(machine: ProcReader): Promise<ProcessFacts[]> {
    const numbers = (await machine.files.list("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
    return (await Promise.all(numbers.map((pid) => readProcess(machine, pid)))).filter((found) => found !== undefined);
}

/** Whether the number is taken on the machine that this program runs on: also by a process that has ended and whose parent has not yet asked for its end. */
export function exists(pid: number): boolean {
    try {
        return process.kill(pid, 0);
    } catch (error) {
        return !(error instanceof Error && "code" in error && error.code === "ESRCH");
    }
}

/** Whether this very process still runs: not ended, and its number not given to another. */
export async function isAlive(machine: ProcReader, process: ProcessIdentity): Promise<boolean> {
    return (await readProcess(machine, process.pid))?.startTicks === process.startTicks;
}

/** Sends a signal on the machine that this program runs on; a process that has just ended needs none. */
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
    machine: ProcReader,
    processes: readonly P[],
    timeoutSeconds: number,
    signal?: AbortSignal,
): Promise<P[]> {
    let left: P[] = [];
    await until(
        async () => {
            const alive = await Promise.all(processes.map((process) => isAlive(machine, process)));
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
    machine: ProcReader,
    pid: number,
    wanted: ReadonlySet<string>,
): Promise<{ values: Record<string, string>; otherNames: string[] }> {
    const text = await orElse(procText(machine, `/proc/${pid}/environ`, 16_384), "");
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
export async function listeningPorts(machine: ProcReader, pid: number): Promise<number[]> {
    const [held, listening] = await Promise.all([socketsOf(machine, pid), socketsIn(machine, pid, listenState)]);
    const ports = listening.filter(({ inode }) => held.has(inode)).map(({ localPort }) => localPort);
    return [...new Set(ports)].sort((a, b) => a - b);
}

/** All TCP ports on which anything listens in the network namespace that the machine is looked at from. */
export async function portsInUse(machine: ProcReader): Promise<Set<number>> {
    return new Set((await socketsIn(machine, "self", listenState)).map(({ localPort }) => localPort));
}
