/** A machine's files as one of its containers sees them. */
import { join } from "node:path";
import type { Machine, MachineFiles } from "../machines/machine.ts";
import { keepingIn } from "../machines/controlGroup.ts";
import { orElse, procText } from "../machines/procText.ts";
import type { ProcessFacts } from "../machines/procfs.ts";

/**
 * Only what reads. A link in there that is absolute leads to a file of the machine itself: what an image or a volume holds for a homeserver
 * seldom has one.
 *
 * @param at  where on the machine a path of the container is
 */
export function seenThrough(machine: Machine, at: (path: string) => string): Machine {
    const { files } = machine;
    const refuse = (): never => {
        throw new Error("a look changes nothing");
    };
    const within: MachineFiles = {
        stat: (path) => files.stat(at(path)),
        lstat: (path) => files.lstat(at(path)),
        realpath: (path) => files.realpath(at(path)),
        list: (path) => files.list(at(path)),
        readLink: (path) => files.readLink(at(path)),
        links: (path) => files.links(at(path)),
        read: (path, options) => files.read(at(path), options),
        pour: (path, take, signal) => files.pour(at(path), take, signal),
        hash: (path, signal) => files.hash(at(path), signal),
        walk: (top, path, options) => files.walk(at(top), path, options),
        write: refuse,
        put: refuse,
        discard: refuse,
        remove: refuse,
    };
    return { ...machine, files: within };
}

/** Where the files of a process are on its machine, whatever its root is (proc(5)). */
export const ofProcess =
    (pid: number) =>
    (path: string): string =>
        join(`/proc/${pid}/root`, path);

/** What tells processes of the machine itself from those in containers. */
export interface Ground {
    /** The container that all of this is looked at from, where it is in one. */
    readonly container: string | undefined;
    /** Device and inode of its root. */
    readonly root: string | undefined;
}

export async function groundOf(machine: Machine): Promise<Ground> {
    const [group, root] = await Promise.all([
        orElse(procText(machine, "/proc/self/cgroup"), ""),
        orElse(machine.files.stat("/"), undefined),
    ]);
    return { container: keepingIn(group).container, root: root?.identity };
}

/**
 * The container that a process is in: its id where its control group has it, else what its root is told by, as of a system that was started
 * without a control group of its own. Undefined for a process of the machine itself, and for one of whose root nothing may be known.
 */
export async function containerOf(
    machine: Machine,
    { pid, keeping }: Pick<ProcessFacts, "pid" | "keeping">,
    ground: Ground,
): Promise<string | undefined> {
    if (keeping.container !== undefined && keeping.container !== ground.container) return keeping.container;
    const root = await orElse(machine.files.stat(`/proc/${pid}/root`), undefined);
    return root === undefined || root.identity === ground.root ? undefined : `with the root ${root.identity}`;
}
