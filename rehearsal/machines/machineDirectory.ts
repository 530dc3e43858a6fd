/** A machine's directory, whose number is also its place in the network; and what is left of machines whose test was killed. */
import { spawnSync } from "node:child_process";
import { randomInt } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { thisMachine } from "../../engine/machines/local/localMachine.ts";
import type { ProcessIdentity } from "../../engine/machines/machine.ts";
import { isAlive, readProcess } from "../../engine/machines/procfs.ts";
import { lockFile } from "../../engine/run/fileLock.ts";
import { machinesDirectory } from "./baseMachine.ts";
import { makeGroups, processesIn, removeGroups } from "./controlGroups.ts";
import { cableOf, places } from "./network.ts";

export interface MachineDirectory {
    readonly path: string;
    /** Below {@link places}; no other machine has it as long as the directory is there. */
    readonly number: number;
    /** Of control groups that only this machine's processes are in. */
    readonly groups: readonly string[];
}

const lockSeconds = 120;
const prefix = "m";
const ownerFile = "owner.json";
const groupsFile = "groups.json";
const ownerShape = z.object({ pid: z.number(), startTicks: z.string() });
const groupsShape = z.array(z.string());
const endMilliseconds = 10_000;
const pollMilliseconds = 20;

const own = new Set<MachineDirectory>();

// A test process that ends without having ended its machines: the kernel kills those, and this removes what they leave. After a kill of the test
// process itself, the next one does.
process.on("exit", () => {
    for (const directory of own) removeMachine(directory);
});

/** Takes a directory that belongs to this process, after removing those of processes that are gone. */
export async function takeDirectory(): Promise<MachineDirectory> {
    const parent = machinesDirectory();
    const owner = await readProcess(thisMachine, process.pid);
    if (owner === undefined) throw new Error("this process is not in /proc");
    // Without the lock, one process could remove a directory that another one has just taken.
    const lock = await lockFile(join(parent, "machines.lock"), `a test, process ${process.pid}`, lockSeconds);
    try {
        const taken = await sweep(parent);
        let number = randomInt(places);
        while (taken.has(number)) number = (number + 1) % places;
        const path = join(parent, `${prefix}${number}`);
        mkdirSync(path, { mode: 0o700 });
        const identity: ProcessIdentity = { pid: owner.pid, startTicks: owner.startTicks };
        writeFileSync(join(path, ownerFile), JSON.stringify(identity));
        const groups = makeGroups(`synapse-migration-${prefix}${number}`);
        writeFileSync(join(path, groupsFile), JSON.stringify(groups));
        const directory = { path, number, groups };
        own.add(directory);
        return directory;
    } finally {
        await lock.release();
    }
}

/** Ends what runs in the machine's groups, and removes its network device, its groups and its directory. */
export function removeMachine(directory: MachineDirectory): void {
    const { path, number, groups } = directory;
    endGroups(groups);
    // It is gone already, unless the machine was killed before it had its other end.
    spawnSync("ip", ["link", "delete", cableOf(number).outerDevice], { stdio: "ignore" });
    rmSync(path, { recursive: true, force: true, maxRetries: 3 });
    own.delete(directory);
}

/** As no event loop runs any more when a process exits, this waits without one. */
function endGroups(groups: readonly string[]): void {
    const end = performance.now() + endMilliseconds;
    const clock = new Int32Array(new SharedArrayBuffer(4));
    for (;;) {
        const processes = processesIn(groups);
        for (const pid of processes) {
            try {
                process.kill(pid, "SIGKILL");
            } catch {
                // It has ended meanwhile.
            }
        }
        try {
            if (processes.length === 0) {
                removeGroups(groups);
                return;
            }
        } catch (error) {
            // One whose last process is about to end is busy for a moment.
            if (performance.now() > end) throw error;
        }
        if (performance.now() > end) throw new Error(`processes ${processes.join(", ")} of a machine do not end`);
        Atomics.wait(clock, 0, 0, pollMilliseconds);
    }
}

/** @returns the numbers that are in use */
async function sweep(parent: string): Promise<Set<number>> {
    const taken = new Set<number>();
    for (const name of readdirSync(parent)) {
        const number = Number(new RegExp(`^${prefix}(\\d+)$`).exec(name)?.[1]);
        if (Number.isNaN(number)) continue;
        const path = join(parent, name);
        const owner = stored(join(path, ownerFile), ownerShape);
        if (owner !== undefined && (await isAlive(thisMachine, owner))) taken.add(number);
        else removeMachine({ path, number, groups: stored(join(path, groupsFile), groupsShape) ?? [] });
    }
    return taken;
}

/** @returns undefined when its process was killed before it was written */
function stored<T>(file: string, shape: z.ZodType<T>): T | undefined {
    try {
        return shape.parse(JSON.parse(readFileSync(file, "utf8")));
    } catch {
        return undefined;
    }
}
