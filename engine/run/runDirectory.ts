/** The directory of a run: where it may be, and what is in it. */
import { lstat, realpath, statfs } from "node:fs/promises";
import { dirname, join } from "node:path";
import { tmpdir } from "node:os";
import { makePrivateDirectory } from "./atomicFile.ts";
import { MigrationError } from "./errors.ts";

/** Paths of what a run keeps. */
export interface RunDirectory {
    readonly path: string;
    readonly journal: string;
    /** One JSON file a step: the full evidence. */
    readonly evidence: string;
    /** One lock file a step. */
    readonly locks: string;
    /** The specifications that steps were begun with, their secrets removed. */
    readonly specs: string;
    /** The phase that the newest `pulumi up` declares. */
    readonly declared: string;
    /** Keys the digests of specifications, so that they tell nothing about the secrets in them. */
    readonly digestKey: string;
}

export function runDirectoryPaths(path: string): RunDirectory {
    return {
        path,
        journal: join(path, "journal.jsonl"),
        evidence: join(path, "evidence"),
        locks: join(path, "locks"),
        specs: join(path, "specs"),
        declared: join(path, "declared.json"),
        digestKey: join(path, "digest.key"),
    };
}

/** File systems that forget at a reboot, or whose locks cannot be relied on (statfs(2), `f_type`). */
const unfitFileSystems: ReadonlyMap<number, string> = new Map([
    [0x01021994, "tmpfs, which forgets everything at a reboot"],
    [0x858458f6, "ramfs, which forgets everything at a reboot"],
    [0x6969, "NFS, whose locks do not end with their holder"],
    [0xff534d42, "CIFS, whose locks do not end with their holder"],
    [0xfe534d42, "SMB, whose locks do not end with their holder"],
]);

/**
 * Makes the directory of a run, or finds it again.
 *
 * @throws MigrationError SM-E1202 when it is where dumps and keys must not be kept
 */
export async function prepareRunDirectory(path: string): Promise<RunDirectory> {
    await refuseUnfit(path);
    const paths = runDirectoryPaths(path);
    for (const directory of [path, paths.evidence, paths.locks, paths.specs]) await makePrivateDirectory(directory);
    return paths;
}

async function refuseUnfit(path: string): Promise<void> {
    const refuse = (found: string): never => {
        throw new MigrationError("SM-E1202", {
            where: path,
            found,
            expected: "a directory of our own on a local disk, outside of the temporary ones",
        });
    };
    const existing = await nearestExisting(path);
    const real = await realpath(existing);
    for (const temporary of [tmpdir(), "/tmp", "/var/tmp", "/dev/shm"]) {
        if (real === temporary || real.startsWith(`${temporary}/`))
            refuse(`${real} is a directory for temporary files, which anything may clean`);
    }
    const reason = unfitFileSystems.get((await statfs(real)).type);
    if (reason !== undefined) refuse(`${real} is on ${reason}`);
    if (existing !== path) return;
    const { uid, mode } = await lstat(path);
    if (!(await lstat(path)).isDirectory()) refuse("it is not a directory");
    if (uid !== process.getuid?.()) refuse(`it belongs to user id ${uid}, not to us`);
    if ((mode & 0o022) !== 0) refuse(`others may write into it (mode ${(mode & 0o777).toString(8)})`);
}

async function nearestExisting(path: string): Promise<string> {
    for (let candidate = path; ; candidate = dirname(candidate)) {
        try {
            await lstat(candidate);
            return candidate;
        } catch (error) {
            const missing = error instanceof Error && "code" in error && error.code === "ENOENT";
            if (!missing || candidate === "/") throw error;
        }
    }
}
