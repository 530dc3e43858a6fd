/** Whether a machine's file systems have room for what will be written to them. */
import { lstat, statfs } from "node:fs/promises";
import { dirname } from "node:path";
import type { Finding } from "../../contract/index.ts";
import { finding } from "../run/finding.ts";
import type { Machine } from "./machine.ts";
import { placeOn } from "./placeOn.ts";
import { undefinedUnlessLost } from "./unlessLost.ts";

const answerSeconds = 60;

/** A part of what will be written, and the file system it will be written to. */
export interface SpaceNeed {
    /** The same for paths on the same file system. */
    readonly device: string;
    readonly path: string;
    readonly freeBytes: number;
    readonly neededBytes: number;
}

/** Findings for file systems that all their needs together do not fit on. */
export function lackingSpace(needs: readonly SpaceNeed[]): Finding[] {
    const devices = new Set(needs.map(({ device }) => device));
    return [...devices].flatMap((device) => {
        const own = needs.filter((need) => need.device === device);
        const needed = own.reduce((sum, { neededBytes }) => sum + neededBytes, 0);
        const free = Math.min(...own.map(({ freeBytes }) => freeBytes));
        const paths = own.map(({ path }) => path).join(" and ");
        return free >= needed
            ? []
            : [finding("SM-E1201", `${gib(needed)} are needed on the file system of ${paths}, ${gib(free)} are free`)];
    });
}

/** What a path, or the nearest directory above it that is there, has room for. */
export async function fileSystemOf(path: string, neededBytes: number): Promise<SpaceNeed> {
    const existing = await nearestExisting(path);
    const { bavail, bsize } = await statfs(existing);
    return { device: String((await lstat(existing)).dev), path: existing, freeBytes: bavail * bsize, neededBytes };
}

/** What an existing path of a machine has room for, there by its `df` (POSIX); undefined for one that is not there, or not to be seen. */
export async function spaceOn(machine: Machine, path: string, neededBytes: number): Promise<SpaceNeed | undefined> {
    const facts = await machine.files.stat(path).catch(undefinedUnlessLost);
    if (facts === undefined) return undefined;
    if (machine.isHere) return fileSystemOf(path, neededBytes);
    const { stdout } = await machine.run("df", ["-Pk", path], {
        timeoutSeconds: answerSeconds,
        environment: { LC_ALL: "C" },
    });
    const free = /\s\d+\s+\d+\s+(-?\d+)\s+(?:\d+%|-)\s[^\n]*\s*$/.exec(stdout)?.[1];
    if (free === undefined) throw new Error(`df says nothing of ${path}: ${stdout}`);
    const [number = ""] = facts.identity.split(":");
    return {
        // Numbers of devices are each machine's own.
        device: `${number} of ${machine.name}`,
        path: placeOn(machine, path),
        freeBytes: Number(free) * 1024,
        neededBytes,
    };
}

const gib = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`;

async function nearestExisting(path: string): Promise<string> {
    for (let candidate = path; candidate !== "/"; candidate = dirname(candidate)) {
        if ((await lstat(candidate).catch(() => undefined)) !== undefined) return candidate;
    }
    return "/";
}
