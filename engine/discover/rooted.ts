/** A machine's files as one of its containers sees them. */
import { join } from "node:path";
import type { Machine, MachineFiles } from "../machines/machine.ts";

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
        remove: refuse,
    };
    return { ...machine, files: within };
}

/** Where the files of a process are on its machine, whatever its root is (proc(5)). */
export const ofProcess =
    (pid: number) =>
    (path: string): string =>
        join(`/proc/${pid}/root`, path);
