/** An sshd on loopback with keys of its own, for as long as the bench takes. */
import { spawn, type ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import type { SshMachine } from "../../contract/machine.ts";
import { freePort } from "../../engine/machines/freePort.ts";
import { runProgram } from "../../engine/machines/program.ts";
import { findOnPath } from "../../toolchain/findProgram.ts";

const startSeconds = 20;

/** Keys of both ends, in files. */
export interface LoopbackKeys {
    readonly directory: string;
    readonly hostKeyFile: string;
    /** `ssh-ed25519 AAAA…` */
    readonly hostKey: string;
    readonly identityFile: string;
}

export interface LoopbackSsh {
    /** As a stack has it. */
    readonly machine: SshMachine;
    readonly port: number;
    readonly knownHostsFile: string;
    stop(): Promise<void>;
}

const packages = { sshd: "openssh-server", ssh: "openssh-client", rsync: "rsync", python3: "python3-minimal" };

/** What a part of the bench needs and is not here, with how to get it; undefined where all is there. */
export function missingForSsh(part: string, programs: readonly (keyof typeof packages)[]): string | undefined {
    if (process.geteuid?.() !== 0) return `${part} starts an sshd, which only root may: run the bench as root`;
    const path = `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin`;
    const missing = programs.filter((program) => findOnPath(program, path) === undefined);
    if (missing.length === 0) return undefined;
    return `${part} needs ${missing.join(", ")}: apt-get install ${missing.map((program) => packages[program]).join(" ")}`;
}

/** @param directory  of mode 0700 */
export async function makeKeys(directory: string): Promise<LoopbackKeys> {
    const [hostKeyFile, identityFile] = [join(directory, "host_key"), join(directory, "key")];
    for (const file of [hostKeyFile, identityFile]) {
        const args = ["-q", "-t", "ed25519", "-N", "", "-C", "", "-f", file];
        await runProgram("ssh-keygen", args, { timeoutSeconds: startSeconds });
    }
    const hostKey = (await readFile(`${hostKeyFile}.pub`, "utf8")).trim();
    return { directory, hostKeyFile, hostKey, identityFile };
}

export async function startLoopbackSsh({
    directory,
    hostKeyFile,
    hostKey,
    identityFile,
}: LoopbackKeys): Promise<LoopbackSsh> {
    const port = await freePort();
    const [config, knownHostsFile] = [join(directory, "sshd_config"), join(directory, "known_hosts")];
    const settings = [
        `Port ${port}`,
        "ListenAddress 127.0.0.1",
        `HostKey ${hostKeyFile}`,
        `AuthorizedKeysFile ${identityFile}.pub`,
        "PermitRootLogin prohibit-password",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "UsePAM no",
        "StrictModes no",
        "PidFile none",
    ];
    await writeFile(config, `${settings.join("\n")}\n`);
    await writeFile(knownHostsFile, `[127.0.0.1]:${port} ${hostKey}\n`);
    // Debian's service makes it; sshd ends without it.
    await mkdir("/run/sshd", { recursive: true, mode: 0o755 });
    const program = findOnPath("sshd", `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin`) ?? "/usr/sbin/sshd";
    const sshd = spawn("setpriv", ["--pdeathsig", "TERM", "--", program, "-D", "-e", "-f", config], {
        stdio: ["ignore", "ignore", "pipe"],
        env: { PATH: process.env["PATH"] },
    });
    await listening(sshd);
    return {
        machine: { kind: "ssh", address: `root@127.0.0.1:${port}`, hostKey, identityFile },
        ...{ port, knownHostsFile },
        stop: async () => {
            if (sshd.exitCode !== null || sshd.signalCode !== null) return;
            const ended = once(sshd, "close");
            sshd.kill("SIGTERM");
            await ended;
        },
    };
}

async function listening(sshd: ChildProcessByStdio<null, null, Readable>): Promise<void> {
    let said = "";
    const ready = new Promise<void>((resolve, reject) => {
        sshd.stderr.on("data", (chunk: Buffer) => {
            said = (said + chunk.toString("utf8")).slice(-4096);
            if (said.includes("Server listening on")) resolve();
        });
        sshd.once("error", reject);
        sshd.once("close", () => {
            reject(new Error(`sshd ended: ${said.trim()}`));
        });
    });
    const late = setTimeout(() => sshd.kill("SIGKILL"), startSeconds * 1000);
    await ready.finally(() => {
        clearTimeout(late);
    });
}
