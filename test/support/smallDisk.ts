/** A file system of its own on a file: what fills it fills nothing else. Root alone may mount it. */
import { mkdirSync, rmdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runProgram } from "../../engine/machines/program.ts";

export interface SmallDisk {
    /** Root of the file system. */
    readonly directory: string;
    /** Shows a directory of the disk at the given path. */
    readonly showAt: (path: string) => Promise<void>;
    readonly remove: () => Promise<void>;
}

const seconds = 60;
const run = (program: string, ...args: string[]): Promise<unknown> =>
    runProgram(program, args, { workingDirectory: "/", timeoutSeconds: seconds });

/** @returns undefined where file systems cannot be mounted */
export async function makeSmallDisk(parent: string, megabytes: number): Promise<SmallDisk | undefined> {
    const image = join(parent, "disk.img");
    const directory = join(parent, "disk");
    mkdirSync(directory);
    writeFileSync(image, "");
    truncateSync(image, megabytes * 1024 * 1024);
    // No blocks are kept back for root.
    await run("mkfs.ext4", "-q", "-m", "0", image);
    const mounted = await run("mount", "-o", "loop", image, directory).then(
        () => true,
        () => false,
    );
    if (!mounted) return undefined;
    rmdirSync(join(directory, "lost+found"));
    const shown: string[] = [];
    return {
        directory,
        showAt: async (path) => {
            const own = join(directory, String(shown.length));
            for (const made of [own, path]) mkdirSync(made, { mode: 0o700 });
            await run("mount", "--bind", own, path);
            shown.push(path);
        },
        remove: async () => {
            for (const path of [...shown.reverse(), directory]) await run("umount", path);
            rmSync(image);
        },
    };
}
