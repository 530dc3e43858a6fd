/** Copies a media store over ssh to loopback: our pass beside rsync over the same ssh, in turns, of a store that is new and of one that is there. */
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { runProgram } from "../../engine/machines/program.ts";
import { findOnPath } from "../../toolchain/findProgram.ts";
import { methodSeconds } from "../methods/method.ts";
import { inOwnProcess } from "../ownProcess.ts";
import { rotated } from "../frame.ts";
import { endedChildrenSeconds } from "../processor.ts";
import type { MediaSshPass, MediaSshResult, MediaSshRun } from "../results/results.ts";
import { generateStore } from "./generatedStore.ts";
import { makeKeys, missingForSsh, startLoopbackSsh, type LoopbackKeys, type LoopbackSsh } from "./loopbackSsh.ts";

const ways = ["ours", "rsync", "rsync --fsync"] as const;
type Way = (typeof ways)[number];

const ours = z.object({ seconds: z.number(), files: z.number(), copied: z.number(), peakBytes: z.number() });

/**
 * @param directory  of mode 0700, for everything
 * @param files  of the store
 * @throws Error when something is missing for it, or when a way does not copy everything
 */
export async function measureMediaSsh(
    directory: string,
    files: number,
    rounds: number,
    say: (line: string) => void,
): Promise<MediaSshResult> {
    const missing = missingForSsh("media-ssh", ["sshd", "ssh", "rsync", "python3"]);
    if (missing !== undefined) throw new Error(missing);
    const source = join(directory, "source");
    say(`making a media store of ${files} files`);
    const { bytes } = generateStore(source, files);
    const keys = await makeKeys(directory);
    const runs: Record<Way, MediaSshRun[]> = { ours: [], rsync: [], "rsync --fsync": [] };
    for (let round = 0; round < rounds; round++)
        for (const way of rotated(ways, round)) {
            const target = join(directory, "target");
            await mkdir(target);
            const args = { keys, source, target, directory };
            const [first, unchanged] = [await timed(way, args, files), await timed(way, args, 0)];
            runs[way].push({ first, unchanged });
            const told = [first, unchanged].map(
                (one) => `${one.seconds.toFixed(2)} s (${one.processor.toFixed(2)} core-s)`,
            );
            say(`round ${round + 1} of ${rounds}: ${way} ${told.join(", ")}`);
            await rm(target, { recursive: true });
            await rm(join(directory, "index"), { force: true });
        }
    return { files, bytes, ways: ways.map((way) => ({ way, runs: runs[way] })) };
}

interface Copy {
    readonly keys: LoopbackKeys;
    readonly source: string;
    readonly target: string;
    readonly directory: string;
}

/** @param copies  how many files are to be copied */
async function timed(way: Way, args: Copy, copies: number): Promise<MediaSshPass> {
    // What one way has written must not be left for the next one to wait for.
    await runProgram("sync", [], { timeoutSeconds: methodSeconds });
    const before = await endedChildrenSeconds(process.pid);
    const ssh = await startLoopbackSsh(args.keys);
    let done: Omit<MediaSshPass, "processor">;
    try {
        done = await (way === "ours" ? byUs(ssh, args, copies) : byRsync(way, ssh, args, copies));
    } finally {
        // What ran at the other end is counted with it.
        await ssh.stop();
    }
    return { ...done, processor: (await endedChildrenSeconds(process.pid)) - before };
}

async function byUs(ssh: LoopbackSsh, { source, target, directory }: Copy, copies: number) {
    const task = { machine: ssh.machine, source, target, index: join(directory, "index") };
    const { seconds, copied, peakBytes } = await inOwnProcess(join(import.meta.dirname, "process.ts"), task, ours);
    if (copied !== copies) throw new Error(`${copied} files were copied, and not ${copies}`);
    return { seconds, peakBytes };
}

async function byRsync(way: Way, ssh: LoopbackSsh, { keys, source, target }: Copy, copies: number) {
    // The same at both ends, wherever it is.
    const rsync = findOnPath("rsync", process.env["PATH"] ?? "") ?? "rsync";
    const remote = [
        ...["ssh", "-F", "none", "-p", String(ssh.port), "-i", keys.identityFile, "-o", "BatchMode=yes"],
        ...["-o", "IdentitiesOnly=yes", "-o", `UserKnownHostsFile=${ssh.knownHostsFile}`],
    ];
    const options = [
        "-a",
        "--stats",
        ...(way === "rsync" ? [] : ["--fsync"]),
        "-e",
        remote.join(" "),
        `--rsync-path=${rsync}`,
    ];
    const { seconds, stdout } = await runProgram("rsync", [...options, `root@127.0.0.1:${source}/`, `${target}/`], {
        timeoutSeconds: methodSeconds,
    });
    const found = /^Number of regular files transferred: ([\d,]+)$/m.exec(stdout)?.[1]?.replaceAll(",", "");
    if (found !== String(copies)) throw new Error(`${found ?? "no"} files were copied by rsync, and not ${copies}`);
    return { seconds };
}
