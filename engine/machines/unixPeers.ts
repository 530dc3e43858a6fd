/** Who is at the other end of the Unix sockets of PostgreSQL servers: /proc does not tell, the kernel does by netlink, and `ss` of iproute2 asks it. */
import { MigrationError } from "../run/errors.ts";
import type { Machine } from "./machine.ts";

const timeoutSeconds = 20;

/**
 * Processes at the client's end, by the process that serves them.
 *
 * @returns empty where there is no `ss`, or it may not look
 * @throws MigrationError those of a connection that is lost
 */
export async function clientsOfSockets(machine: Machine): Promise<ReadonlyMap<number, readonly number[]>> {
    try {
        const { stdout } = await machine.run("ss", ["-xpnH", "state", "connected"], { timeoutSeconds });
        return parseUnixPeers(stdout);
    } catch (error) {
        if (error instanceof MigrationError && error.code === "SM-E1101") return new Map();
        throw error;
    }
}

/**
 * Lines as ss(8) prints them, each end of a connection once:
 *
 *     u_str ESTAB 0 0 /var/run/postgresql/.s.PGSQL.5432 21873 * 21872 users:(("postgres",pid=350,fd=9))
 *     u_str ESTAB 0 0 * 21872 * 21873 users:(("python",pid=333,fd=12))
 */
export function parseUnixPeers(text: string): ReadonlyMap<number, readonly number[]> {
    const line =
        /^u_str\s+\S+\s+\d+\s+\d+\s+(?<place>\S+)\s+(?<own>\d+)\s+\S+\s+(?<peer>\d+)(?:\s+users:(?<users>.*))?\s*$/;
    const ends = text.split("\n").flatMap((each) => {
        const { place = "", own = "", peer = "", users = "" } = line.exec(each)?.groups ?? {};
        return own === ""
            ? []
            : [{ place, own, peer, pids: [...users.matchAll(/pid=(\d+)/g)].map(([, pid]) => Number(pid)) }];
    });
    const byNumber = new Map(ends.map((end) => [end.own, end]));
    const clients = new Map<number, readonly number[]>();
    for (const { place, peer, pids } of ends) {
        if (!/\/\.s\.PGSQL\.\d+$/.test(place)) continue;
        for (const pid of pids) clients.set(pid, [...(clients.get(pid) ?? []), ...(byNumber.get(peer)?.pids ?? [])]);
    }
    return clients;
}
