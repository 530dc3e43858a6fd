/** A directory for the sockets of one connection, which a later process removes where this one was killed. */
import { lstat, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { exists } from "../procfs.ts";

const prefix = "synapse-migration-ssh-";
/** A Unix socket's path has 107 characters at most (unix(7)), of which ours need some. */
const longestPlace = 60;

/** Of mode 0700. Named after this process, so that it is known when nobody uses it any more. */
export async function connectionDirectory(): Promise<string> {
    const place = tmpdir().length <= longestPlace ? tmpdir() : "/tmp";
    await removeAbandoned(place);
    return mkdtemp(join(place, `${prefix}${process.pid}-`));
}

async function removeAbandoned(place: string): Promise<void> {
    for (const name of await readdir(place)) {
        const pid = new RegExp(`^${prefix}(\\d+)-`).exec(name)?.[1];
        if (pid === undefined || exists(Number(pid))) continue;
        const path = join(place, name);
        // Anybody may make a directory of that name there, and exchange what is in it for links while root removes it.
        const facts = await lstat(path).catch(() => undefined);
        if (facts?.isDirectory() !== true || facts.uid !== process.geteuid?.()) continue;
        await rm(path, { recursive: true, force: true }).catch(() => undefined);
    }
}
