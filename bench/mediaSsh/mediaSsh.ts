/** Copies a media store over ssh to loopback: our pass beside rsync over the same ssh, in turns, of a store that is new and of one that is there. */
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { runProgram } from "../../engine/machines/program.ts";
import { findOnPath } from "../../toolchain/findProgram.ts";
import { methodSeconds } from "../methods/method.ts";
import { inOwnProcess } from "../ownProcess.ts";
import { rotated } from "../frame.ts";
import type { MediaSshResult, MediaSshRun } from "../results/results.ts";
import { generateStore } from "./generatedStore.ts";
import { missingForSsh, startLoopbackSsh, type LoopbackSsh } from "./loopbackSsh.ts";

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
    const missing = missingForSsh();
    if (missing !== undefined) throw new Error(missing);
    const source = join(directory, "source");
    say(`making a media store of ${files} files`);
    const { bytes } = generateStore(source, files);
    const ssh = await startLoopbackSsh(directory);
    try {
        const runs: Record<Way, MediaSshRun[]> = { ours: [], rsync: [], "rsync --fsync": [] };
        for (let round = 0; round < rounds; round++)
            for (const way of rotated(ways, round)) {
                const target = join(directory, "target");
                await mkdir(target);
                const args = { ssh, source, target, directory };
                const [first, second] = [await timed(way, args, files), await timed(way, args, 0)];
                runs[way].push({ first: first.seconds, unchanged: second.seconds, ...peakOf(first) });
                say(
                    `round ${round + 1} of ${rounds}: ${way} ${first.seconds.toFixed(2)} s, ${second.seconds.toFixed(2)} s`,
                );
                await rm(target, { recursive: true });
                await rm(join(directory, "index"), { force: true });
            }
        return { files, bytes, ways: ways.map((way) => ({ way, runs: runs[way] })) };
    } finally {
        await ssh.stop();
    }
}

interface Copy {
    readonly ssh: LoopbackSsh;
    readonly source: string;
    readonly target: string;
    readonly directory: string;
}

interface Timed {
    readonly seconds: number;
    readonly peakBytes?: number;
}

const peakOf = ({ peakBytes }: Timed): { peakBytes?: number } => (peakBytes === undefined ? {} : { peakBytes });

/** @param copies  how many files are to be copied */
async function timed(way: Way, { ssh, source, target, directory }: Copy, copies: number): Promise<Timed> {
    // What one way has written must not be left for the next one to wait for.
    await runProgram("sync", [], { timeoutSeconds: methodSeconds });
    if (way === "ours") {
        const task = { machine: ssh.machine, source, target, index: join(directory, "index") };
        const done = await inOwnProcess(join(import.meta.dirname, "process.ts"), task, ours);
        if (done.copied !== copies) throw new Error(`${done.copied} files were copied, and not ${copies}`);
        return done;
    }
    // The same at both ends, wherever it is.
    const rsync = findOnPath("rsync", process.env["PATH"] ?? "") ?? "rsync";
    const remote = [
        ...["ssh", "-F", "none", "-p", String(ssh.port), "-i", ssh.identityFile, "-o", "BatchMode=yes"],
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
