/** Which sockets processes hold, and who else holds the same: what /proc tells of the ends of connections. */
import type { ProcReader } from "./procText.ts";
import { allProcesses, type ProcessFacts } from "./procfs.ts";
import { establishedState, listenState, socketsIn, socketsOf, type ConnectionEnd } from "./tcpTable.ts";

/** Established TCP connections of a process. Empty where we may not look: another user's process, and we are not root. */
export async function connectionsOf(machine: ProcReader, pid: number): Promise<ConnectionEnd[]> {
    return heldSockets(machine, pid, establishedState);
}

/** Other processes that hold one of the sockets a process listens on: its port stays open when it ends. */
export async function sharedListeners(
    machine: ProcReader,
    pid: number,
    family: readonly number[],
): Promise<{ port: number; holder: ProcessFacts }[]> {
    const listening = await heldSockets(machine, pid, listenState);
    if (listening.length === 0) return [];
    const others = (await allProcesses(machine)).filter((one) => one.pid !== pid && !family.includes(one.pid));
    const held = await Promise.all(
        others.map(async (holder) => {
            const inodes = await socketsOf(machine, holder.pid);
            const both = listening.find(({ inode }) => inodes.has(inode));
            return both === undefined ? [] : [{ port: both.localPort, holder }];
        }),
    );
    return held.flat();
}

/** The process of the machine that holds the client's end of a connection; undefined where none does, or we may not look. */
export async function holderOfConnection(
    machine: ProcReader,
    localPort: number,
    remotePorts: ReadonlySet<number>,
): Promise<ProcessFacts | undefined> {
    const ends = (await socketsIn(machine, "self", establishedState)).filter(
        (end) => end.localPort === localPort && remotePorts.has(end.remotePort),
    );
    if (ends.length === 0) return undefined;
    const holders = await Promise.all(
        (await allProcesses(machine)).map(async (process) => {
            const inodes = await socketsOf(machine, process.pid);
            return ends.some(({ inode }) => inodes.has(inode)) ? process : undefined;
        }),
    );
    return holders.find((holder) => holder !== undefined);
}

async function heldSockets(machine: ProcReader, pid: number, state: string): Promise<ConnectionEnd[]> {
    const [inodes, table] = await Promise.all([socketsOf(machine, pid), socketsIn(machine, pid, state)]);
    return table.filter(({ inode }) => inodes.has(inode));
}
