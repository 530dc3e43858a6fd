/** The tables of TCP sockets in /proc, and which of them a process holds. */
import { orElse, procText, type ProcReader } from "./procText.ts";

/** One end of a TCP connection on a machine. Addresses are left out: translation on the way changes them before it changes ports. */
export interface ConnectionEnd {
    readonly localPort: number;
    readonly remotePort: number;
    readonly inode: string;
}

/** States of /proc/net/tcp (include/net/tcp_states.h). */
export const establishedState = "01";
export const listenState = "0A";

/** Inodes of the sockets that a process holds. Empty where we may not look: another user's process, and we are not root. */
export async function socketsOf({ files }: ProcReader, pid: number): Promise<Set<string>> {
    const links = await orElse(files.links(`/proc/${pid}/fd`), new Map<string, string>());
    return new Set([...links.values()].flatMap((link) => /^socket:\[(\d+)\]$/.exec(link)?.[1] ?? []));
}

const tableBytes = 64 * 1024;

/** TCP sockets of one state in the network namespace of a process. */
export async function socketsIn(
    machine: ProcReader,
    process: number | "self",
    wanted: string,
): Promise<ConnectionEnd[]> {
    const tables = await Promise.all(
        ["tcp", "tcp6"].map((name) => orElse(procText(machine, `/proc/${process}/net/${name}`, tableBytes), "")),
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
