/** The container that a PostgreSQL server runs in, and its sockets: they are reached from the container's machine without a program inside. */
import { posix } from "node:path";
import type { Machine } from "../../machines/machine.ts";
import { undefinedUnlessLost } from "../../machines/unlessLost.ts";
import { MigrationError } from "../../run/errors.ts";
import type { ContainerFacts } from "./containerFacts.ts";
import { allContainers } from "./engineCalls.ts";

/** A Unix socket as the machine has it, and whose it is. */
export interface ServerSocket {
    readonly socket: string;
    readonly uid: number;
}

const engines = ["docker", "podman"] as const;
const loopback = new Set(["localhost", "127.0.0.1", "::1"]);
/** As the kernel has it (MAXSYMLINKS). */
const mostLinks = 40;

/** The running container of that name, whatever runs it; undefined where there is none. */
export async function containerNamed(machine: Machine, name: string): Promise<ContainerFacts | undefined> {
    return (await runningContainers(machine)).find((one) => one.name === name);
}

/** The running container that has this address, or answers at this port of its machine; undefined where none has. */
export async function containerAt(
    machine: Machine,
    { host, port }: { readonly host: string; readonly port: number },
): Promise<ContainerFacts | undefined> {
    const isAt = ({ networks, publishedPorts }: ContainerFacts): boolean =>
        networks.some(({ address }) => address === host) || (loopback.has(host) && publishedPorts.includes(port));
    return (await runningContainers(machine)).find(isAt);
}

/**
 * The socket of the server in a container, in a directory as the container names it; undefined where there is none, or there are several.
 */
export async function serverSocket(
    machine: Machine,
    { pid }: Pick<ContainerFacts, "pid">,
    directory: string,
): Promise<ServerSocket | undefined> {
    const top = await withinRoot(machine, `/proc/${pid}/root`, directory);
    const names = (await machine.files.list(top).catch(undefinedUnlessLost)) ?? [];
    const [name, another] = names.filter((one) => /^\.s\.PGSQL\.\d+$/.test(one));
    if (name === undefined || another !== undefined) return undefined;
    const socket = posix.join(top, name);
    const facts = await machine.files.lstat(socket);
    return facts === undefined ? undefined : { socket, uid: facts.uid };
}

/** An absolute link in a container means its own root, and would lead to the machine's: `/var/run` is one. */
async function withinRoot({ files }: Machine, root: string, path: string): Promise<string> {
    const rest = path.split("/");
    let at = "/";
    for (let links = 0; rest.length > 0;) {
        const name = rest.shift() ?? "";
        const next = posix.join(at, name);
        const link = name === "" || name === ".." ? undefined : await files.readLink(root + next);
        if (link === undefined) at = next;
        else if (++links > mostLinks) break;
        else {
            if (link.startsWith("/")) at = "/";
            rest.unshift(...link.split("/"));
        }
    }
    return root + at;
}

/** Of an engine that is not there, or not ours to ask, there are none. */
async function runningContainers(machine: Machine): Promise<ContainerFacts[]> {
    const found = await Promise.all(engines.map((engine) => allContainers(machine, engine).catch(noneOfEngine)));
    return found.flat().filter(({ status }) => status === "running");
}

function noneOfEngine(error: unknown): ContainerFacts[] {
    if (error instanceof MigrationError && error.code === "SM-E1471") return [];
    throw error;
}
