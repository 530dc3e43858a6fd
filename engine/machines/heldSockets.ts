/** Which sockets processes hold, and who else holds the same: what /proc tells of the ends of connections. */
import { readdir, readFile, readlink } from "node:fs/promises";
import { allProcesses, type ProcessFacts } from "./procfs.ts";

/** One end of a TCP connection on this machine. Addresses are left out: translation on the way changes them before it changes ports. */
export interface ConnectionEnd {
    readonly localPort: number;
    readonly remotePort: number;
    readonly inode: string;
}

/** States of /proc/net/tcp (include/net/tcp_states.h). */
const establishedState = "01";
const listenState = "0A";

/** Established TCP connections of a process. Empty where we may not look: another user's process, and we are not root. */
export async function connectionsOf(pid: number): Promise<ConnectionEnd[]> {
    return (await tcpSockets(pid, establishedState)).map(({ localPort, remotePort, inode }) => ({
        localPort,
        remotePort,
        inode,
    }));
}

/** Other processes that hold one of the sockets a process listens on: its port stays open when it ends. */
export async function sharedListeners(
    pid: number,
    family: readonly number[],
): Promise<{ port: number; holder: ProcessFacts }[]> {
    const listening = await tcpSockets(pid, listenState);
    if (listening.length === 0) return [];
    const shared: { port: number; holder: ProcessFacts }[] = [];
    for (const holder of await allProcesses()) {
        if (holder.pid === pid || family.includes(holder.pid)) continue;
        const inodes = await socketsOf(holder.pid);
        const both = listening.find(({ inode }) => inodes.has(inode));
        if (both !== undefined) shared.push({ port: both.localPort, holder });
    }
    return shared;
}

/** The process of this machine that holds the client's end of a connection; undefined where none does, or we may not look. */
export async function holderOfConnection(
    localPort: number,
    remotePorts: ReadonlySet<number>,
): Promise<ProcessFacts | undefined> {
    const ends = (await tableOf("self", establishedState)).filter(
        (end) => end.localPort === localPort && remotePorts.has(end.remotePort),
    );
    if (ends.length === 0) return undefined;
    for (const process of await allProcesses()) {
        const inodes = await socketsOf(process.pid);
        if (ends.some(({ inode }) => inodes.has(inode))) return process;
    }
    return undefined;
}

async function tcpSockets(pid: number, state: string): Promise<ConnectionEnd[]> {
    const [inodes, table] = await Promise.all([socketsOf(pid), tableOf(String(pid), state)]);
    return table.filter(({ inode }) => inodes.has(inode));
}

async function socketsOf(pid: number): Promise<Set<string>> {
    const descriptors = await readdir(`/proc/${pid}/fd`).catch(() => []);
    const links = await Promise.all(descriptors.map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => "")));
    return new Set(links.flatMap((link) => /^socket:\[(\d+)\]$/.exec(link)?.[1] ?? []));
}

/** In the network namespace of the process. */
async function tableOf(process: string, wanted: string): Promise<ConnectionEnd[]> {
    const tables = await Promise.all(
        ["tcp", "tcp6"].map((name) => readFile(`/proc/${process}/net/${name}`, "utf8").catch(() => "")),
    );
    const port = (end: string): number => Number.parseInt(end.split(":")[1] ?? "", 16);
    return tables.flatMap((table) =>
        table
            .split("\n")
            .slice(1)
            .flatMap((line) => {
                const [, local = "", remote = "", state, , , , , , inode = ""] = line.trim().split(/\s+/);
                return state === wanted && Number.isInteger(port(local))
                    ? [{ localPort: port(local), remotePort: port(remote), inode }]
                    : [];
            }),
    );
}
