/**
 * Who acts on a target at this moment. A step's lock in the work directory goes with that directory, and whoever comes after finds another file
 * of the same name; the locks beside the target are met by whichever work directory and whichever run comes.
 */
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { lockFile, type FileLock } from "../fileLock.ts";

/** What of ours is beside what the target owns, mode 0700. */
export const recordDirectory = (target: string): string => join(target, ".synapse-migration");
/** One lock a step. */
const locks = (target: string): string => join(recordDirectory(target), "acting");
/** Whoever begins to act, and whoever takes a target over, does so alone. */
const gate = (target: string): string => join(recordDirectory(target), "acting.lock");

/** How long a step waits for one that is just being killed. */
const waitSeconds = 20;
/** A worker that is alive, though stopped, gives nothing up: there is little to wait for. */
const takeOverSeconds = 5;

/**
 * Takes the lock of a step at a target: until it is released, nobody does the same step and nobody takes the target over.
 *
 * @param holder  who it is, for whoever finds it locked
 * @param refuse  throws when the target is not ours any more; nobody takes it over in between
 * @throws MigrationError SM-E0706 while another process does the step
 */
export async function holdTarget(
    target: string,
    step: string,
    holder: string,
    refuse: () => Promise<void>,
): Promise<FileLock> {
    return atTheGate(target, async () => {
        await refuse();
        return lockFile(join(locks(target), step), holder, waitSeconds);
    });
}

/**
 * Changes whose a target is, while nobody acts on it and nobody begins to: a worker that was taken for dead would go on writing.
 *
 * @param isNeeded  looked at first: of two that would take it over, the second finds it taken
 * @throws MigrationError SM-E0706 naming a process that acts on the target, and is alive, be it stopped
 */
export async function takingOver<T>(
    target: string,
    isNeeded: () => Promise<boolean>,
    work: () => Promise<T>,
): Promise<T | undefined> {
    return atTheGate(target, async () => {
        if (!(await isNeeded())) return undefined;
        const taken: FileLock[] = [];
        try {
            for (const step of await readdir(locks(target)))
                taken.push(await lockFile(join(locks(target), step), `process ${process.pid}`, takeOverSeconds));
            return await work();
        } finally {
            for (const lock of taken) await lock.release();
        }
    });
}

async function atTheGate<T>(target: string, work: () => Promise<T>): Promise<T> {
    await mkdir(locks(target), { recursive: true, mode: 0o700 });
    const passed = await lockFile(gate(target), `process ${process.pid}, which begins to act`, waitSeconds);
    try {
        return await work();
    } finally {
        await passed.release();
    }
}
