/** The one directory that a rehearsal lives in: made for it alone, and removed with all that runs from it. */
import { randomBytes } from "node:crypto";
import { chmodSync, chownSync, mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { MigrationError } from "../engine/run/errors.ts";
import { until } from "../engine/run/until.ts";
import { canReach, serviceUser } from "../engine/machines/serviceUser.ts";

/** Where root's state belongs when root's home is closed to the user that servers run as (Filesystem Hierarchy Standard 5.8). */
const systemState = "/var/lib";
const stopSeconds = 10;

/**
 * Makes `<state>/synapse-migration/rehearsal-<id>`, mode 0700; as root 0710 with the service user's group, as its servers must
 * be able to pass through it.
 *
 * `<state>` is `$XDG_STATE_HOME`, else `~/.local/state`; as root `/var/lib` where the service user cannot reach that.
 */
export function makeRehearsalDirectory(): string {
    const user = serviceUser();
    const preferred = process.env["XDG_STATE_HOME"] ?? join(homedir(), ".local", "state");
    const state = user === undefined || canReach(preferred, user) ? preferred : systemState;
    const parent = join(state, "synapse-migration");
    mkdirSync(parent, { recursive: true, mode: 0o755 });
    const directory = join(parent, `rehearsal-${randomBytes(4).toString("hex")}`);
    mkdirSync(directory, { mode: 0o700 });
    if (user !== undefined) {
        chownSync(directory, 0, user.gid);
        chmodSync(directory, 0o710);
    }
    return directory;
}

/** Makes a directory that belongs to the user servers run as, mode 0700. */
export function makeServiceDirectory(directory: string): string {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    giveToServiceUser(directory);
    return directory;
}

/** Makes a file or directory the service user's own; nothing to do when we are that user. */
export function giveToServiceUser(path: string): void {
    const user = serviceUser();
    if (user !== undefined) chownSync(path, user.uid, user.gid);
}

/** A process whose command line or working directory lies below a directory of ours. */
export interface Leftover {
    readonly pid: number;
    readonly command: string;
}

/** Processes that still run from below the directory. Their names are unique to it, so no other server can be meant. */
export function processesBelow(directory: string): Leftover[] {
    return readdirSync("/proc")
        .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
        .flatMap((name) => {
            const [command, workingDirectory] = [read(`/proc/${name}/cmdline`), link(`/proc/${name}/cwd`)];
            const ours = command.includes(`${directory}/`) || `${workingDirectory}/`.startsWith(`${directory}/`);
            return ours ? [{ pid: Number(name), command: command.replaceAll("\0", " ").trim() }] : [];
        });
}

/** What is started again by something else is not there for a moment: so often in a row nothing must be seen. */
const calmLooks = 5;

/**
 * Ends what still runs from below the directory, then removes it.
 *
 * @returns what had to be ended: empty when everything had been stopped in order
 * @throws MigrationError SM-E1191 when a process does not end
 */
export async function removeRehearsalDirectory(directory: string): Promise<Leftover[]> {
    const leftovers = processesBelow(directory);
    let stubborn: Leftover | undefined;
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
        for (const { pid } of processesBelow(directory)) signalIfThere(pid, signal);
        let calm = 0;
        const isOver = await until(
            () => {
                const [found] = processesBelow(directory);
                stubborn = found ?? stubborn;
                calm = found === undefined ? calm + 1 : 0;
                return calm > calmLooks || undefined;
            },
            { seconds: stopSeconds / 2, everyMilliseconds: 50 },
        );
        if (isOver === true) stubborn = undefined;
    }
    if (stubborn !== undefined) {
        throw new MigrationError("SM-E1191", {
            where: directory,
            found: `process ${stubborn.pid} (${stubborn.command.slice(0, 80)}) did not end within ${stopSeconds} s`,
            expected: "no process of the rehearsal",
            changed: `${directory} was left as it is`,
        });
    }
    rmSync(directory, { recursive: true, force: true, maxRetries: 3 });
    return leftovers;
}

function read(path: string): string {
    try {
        return readFileSync(path, "utf8");
    } catch {
        return ""; // The process has ended, or is not ours to look at.
    }
}

function link(path: string): string {
    try {
        return readlinkSync(path);
    } catch {
        return "";
    }
}

/** Sends a signal to a process of ours, where it is still there. */
export function signalIfThere(pid: number, signal: NodeJS.Signals): void {
    try {
        process.kill(pid, signal);
    } catch {
        // It ended between being seen and being told to.
    }
}
