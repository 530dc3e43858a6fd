/** Files that are either there whole or not at all, and readable by their owner alone. */
import { constants, readFileSync } from "node:fs";
import { chmod, lstat, mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

export interface PrivateFileOptions {
    /** Who owns the file afterwards; ourselves when absent. */
    readonly owner?: { readonly uid: number; readonly gid: number };
    /** 0600 when absent. */
    readonly mode?: number;
}

/**
 * Writes a file of mode 0600: into a new file beside it that no link can redirect, synced, then renamed over the old one.
 * A kill at any moment leaves the old content or the new, never a part.
 *
 * What a kill leaves beside it is named after the file and the process that wrote it: the next write of the file removes it, and so does
 * {@link removePrivateFile}. Node cannot give a name to a file that was made without one (`O_TMPFILE` needs linkat(2) with a descriptor).
 * Any number of processes may write the same file at once: each has a partial file of its own, and the last rename stays.
 */
export async function writePrivateFile(
    path: string,
    content: string | Uint8Array,
    options: PrivateFileOptions = {},
): Promise<void> {
    await removePartials(path, isAbandoned);
    const partial = newPartial(path);
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
    try {
        const file = await open(partial, flags, 0o600);
        try {
            await file.writeFile(content);
            if (options.owner !== undefined) await file.chown(options.owner.uid, options.owner.gid);
            if (options.mode !== undefined) await file.chmod(options.mode);
            await file.sync();
        } finally {
            await file.close();
        }
        await rename(partial, path);
    } catch (error) {
        await rm(partial, { force: true });
        throw error;
    } finally {
        ownPartials.delete(partial);
    }
    await syncDirectory(dirname(path));
}

/** Removes a file that {@link writePrivateFile} wrote, and all that a kill of its writers left beside it. Nothing happens when there is nothing. */
export async function removePrivateFile(path: string): Promise<void> {
    await rm(path, { force: true });
    await removePartials(path, () => Promise.resolve(true));
}

/** Makes a directory of mode 0700, with its parents; an existing one of ours is narrowed to 0700. */
export async function makePrivateDirectory(path: string): Promise<void> {
    await mkdir(path, { recursive: true, mode: 0o700 });
    const { uid, mode } = await lstat(path);
    if ((mode & 0o077) !== 0 && uid === process.getuid?.()) await chmod(path, 0o700);
}

/** Makes a rename or a removal in the directory survive a power loss. */
export async function syncDirectory(path: string): Promise<void> {
    const directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
        await directory.sync();
    } finally {
        await directory.close();
    }
}

/** A writer: its process number, and its start in clock ticks since boot, as numbers are given again. */
interface Writer {
    readonly pid: string;
    readonly startTicks: string;
}

/** After the file's own name: of this version, and of the one before it, which said nothing of the writer. */
const partialEnding = /^\.(?:(?<pid>\d+)-(?<startTicks>\d+)-\d+|[0-9a-f]{12})\.partial$/;
/** Of this process, that are being written. */
const ownPartials = new Set<string>();
let count = 0;

function newPartial(path: string): string {
    const partial = `${path}.${process.pid}-${startOf(readFileSync("/proc/self/stat", "utf8"))}-${count++}.partial`;
    ownPartials.add(partial);
    return partial;
}

async function removePartials(
    path: string,
    which: (partial: string, writer: Writer | undefined) => Promise<boolean>,
): Promise<void> {
    const [directory, name] = [dirname(path), basename(path)];
    const entries = await readdir(directory).catch((error: unknown) => {
        // Whoever writes the file meets the error again, where it belongs.
        if (error instanceof Error && "code" in error && /^(ENOENT|ENOTDIR|EACCES)$/.test(String(error.code)))
            return [];
        throw error;
    });
    for (const entry of entries) {
        if (!entry.startsWith(`${name}.`)) continue;
        const found = partialEnding.exec(entry.slice(name.length));
        if (found === null) continue;
        const { pid, startTicks } = found.groups ?? {};
        const writer = pid === undefined || startTicks === undefined ? undefined : { pid, startTicks };
        const partial = join(directory, entry);
        if (await which(partial, writer)) await rm(partial, { force: true });
    }
}

/** Whether nobody writes a partial file any more: its process has ended, or is this one and has finished with it. */
async function isAbandoned(partial: string, writer: Writer | undefined): Promise<boolean> {
    if (writer === undefined) return true;
    if (writer.pid === String(process.pid)) return !ownPartials.has(partial);
    const stat = await readFile(`/proc/${writer.pid}/stat`, "utf8").catch(() => "");
    return startOf(stat) !== writer.startTicks;
}

/** Field 22 of /proc/<pid>/stat (proc(5)); the second field is a name in parentheses and may hold anything. */
function startOf(stat: string): string {
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
}
