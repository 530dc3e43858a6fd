/** What this machine's system says of a file. */
import type { BigIntStats } from "node:fs";
import type { FileFacts } from "../machine.ts";

export function factsOf(stats: BigIntStats): FileFacts {
    return {
        kind: kindOf(stats),
        size: Number(stats.size),
        mtime: stats.mtimeNs.toString(),
        mode: Number(stats.mode & 0o7777n),
        uid: Number(stats.uid),
        gid: Number(stats.gid),
        blocks: Number(stats.blocks),
        links: Number(stats.nlink),
        identity: `${stats.dev}:${stats.ino}`,
    };
}

/** Of what is there and may not be looked at. */
export const noFacts: FileFacts = {
    ...{ kind: "other", size: 0, mtime: "0", mode: 0, uid: 0, gid: 0, blocks: 0, links: 0, identity: "" },
};

export function codeOf(error: unknown): string {
    return error instanceof Error && "code" in error ? String(error.code) : "EIO";
}

function kindOf(stats: BigIntStats): FileFacts["kind"] {
    if (stats.isFile()) return "file";
    if (stats.isDirectory()) return "directory";
    return stats.isSymbolicLink() ? "link" : "other";
}
