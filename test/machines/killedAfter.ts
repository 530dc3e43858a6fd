/** A machine on which nothing is done any more after so many changes, as after the kill of whoever works on it. */
import type { Machine } from "../../engine/machines/machine.ts";

export interface KilledMachine {
    readonly machine: Machine;
    readonly wasKilled: () => boolean;
    /** Throws whatever is not the kill. */
    readonly refuseOther: (error: unknown) => undefined;
}

const looks = new Set(["show", "--unit", "ps", "inspect", "network"]);

export function killedAfter(machine: Machine, changes: number): KilledMachine {
    const kill = new Error("killed");
    let left = changes;
    let dead = false;
    const change = async <T>(work: () => Promise<T>): Promise<T> => {
        if (left === 0) dead = true;
        if (dead) throw kill;
        left--;
        return work();
    };
    const look = async <T>(work: () => Promise<T>): Promise<T> => {
        if (dead) throw kill;
        return work();
    };
    const { files } = machine;
    return {
        machine: {
            name: machine.name,
            isHere: machine.isHere,
            userId: () => look(() => machine.userId()),
            reach: (address, as) => look(() => machine.reach(address, as)),
            reachAs: (socket, user) => look(() => machine.reachAs(socket, user)),
            here: (path) => look(() => machine.here(path)),
            signal: (process, name) => change(() => machine.signal(process, name)),
            run: (program, args, options) =>
                (looks.has(args[0] ?? "") ? look : change)(() => machine.run(program, args, options)),
            files: {
                ...files,
                list: (directory) => look(() => files.list(directory)),
                read: (path, options) => look(() => files.read(path, options)),
                write: (path, content, options) => change(() => files.write(path, content, options)),
                remove: (path) => change(() => files.remove(path)),
            },
        },
        wasKilled: () => dead,
        refuseOther: (error) => {
            if (error !== kill) throw error;
        },
    };
}
