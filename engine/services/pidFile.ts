/** Pid files that others write: what they name is believed only of processes of the user who wrote them. */
import { exchangeableBy } from "../machines/exchangeable.ts";
import type { Machine, ReadFile } from "../machines/machine.ts";
import { readProcess, type ProcessFacts } from "../machines/procfs.ts";
import { runProgram } from "../machines/program.ts";
import type { ServiceUser } from "../machines/serviceUser.ts";
import { writePrivateFile } from "../run/atomicFile.ts";
import { MigrationError } from "../run/errors.ts";
import { hasCode } from "../run/heldDirectory.ts";

const writeSeconds = 10;

/** A number and a line break. */
const mostBytes = 4096;

/**
 * The live process that the file names; undefined when there is none.
 *
 * @throws MigrationError SM-E0710 when it is no file, names a process of another user than its owner, or anybody may write it: root would
 *     signal whatever its writer likes
 */
export async function namedProcess(machine: Machine, pidFile: string): Promise<ProcessFacts | undefined> {
    const refuse = (found: string, cause?: unknown): MigrationError =>
        new MigrationError("SM-E0710", { where: pidFile, found, cause });
    let read: ReadFile;
    try {
        read = await machine.files.read(pidFile, { atMost: mostBytes, followLinks: false });
    } catch (error) {
        if (error instanceof MigrationError) throw error;
        if (hasCode(error, "ENOENT")) return undefined;
        if (hasCode(error, "EISDIR") || hasCode(error, "ENXIO")) throw refuse("something else than a file", error);
        throw refuse(hasCode(error, "ELOOP") ? "a symbolic link" : "it cannot be read", error);
    }
    const { facts: owner, content } = read;
    if ((owner.mode & 0o002) !== 0) throw refuse("a file that everybody may write");
    const text = content.toString("utf8");
    const pid = /^\s*(\d+)\b/.exec(text)?.[1];
    if (pid === undefined && text.trim() !== "") throw refuse("a file that does not begin with a number");
    const found = pid === undefined ? undefined : await readProcess(machine, Number(pid));
    if (found === undefined || owner.uid === 0 || found.uid === owner.uid) return found;
    throw refuse(`process ${found.pid} of user id ${found.uid}, in a file that user id ${owner.uid} wrote`);
}

/** Names a process of this machine in the file, which belongs to the process's user afterwards; where that user may write, it is that user who writes. */
export async function writePidFile(pidFile: string, pid: number | undefined, owner: ServiceUser): Promise<void> {
    const own = process.geteuid?.() ?? 0;
    if (own !== 0 || owner.uid === 0 || (await exchangeableBy(pidFile, owner)) === undefined) {
        await writePrivateFile(pidFile, String(pid), { owner });
        return;
    }
    const user = { uid: owner.uid, gid: owner.gid };
    await runProgram("tee", [pidFile], {
        input: String(pid),
        user,
        workingDirectory: "/",
        timeoutSeconds: writeSeconds,
    });
}
