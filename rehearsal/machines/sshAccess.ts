/** How the machines of a test are logged in to: a key that all of them know, and the host key of each, known before it is first reached. */
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runProgram, type ProgramResult } from "../../engine/machines/program.ts";

export interface KeyPair {
    /** As OpenSSH keeps it. */
    readonly privateKey: string;
    /** One line without an end: `ssh-ed25519 AAAA…`. */
    readonly publicKey: string;
}

export interface SshAccess {
    readonly address: string;
    /** `ssh-ed25519 AAAA…`: to be pinned. */
    readonly hostKey: string;
    /** Of mode 0600. */
    readonly identityFile: string;
    /** Has {@link hostKey} for {@link address}. */
    readonly knownHostsFile: string;
}

export interface CommandOptions {
    /** Absent: root. */
    readonly user?: string;
    /** On its standard input: the place for secrets. */
    readonly input?: string;
    /** 120 when absent. */
    readonly timeoutSeconds?: number;
}

const usualSeconds = 120;
const connectSeconds = 10;
/** An address that nobody answers at makes a connection wait for seconds. */
const attemptMilliseconds = 200;

let suite: Promise<KeyPair> | undefined;

/** The key of this process's tests, which both root and the operator of each machine accept. */
export function suiteKey(): Promise<KeyPair> {
    return (suite ??= makeKey());
}

export async function makeKey(): Promise<KeyPair> {
    const directory = await mkdtemp(join(tmpdir(), "synapse-migration-key-"));
    try {
        const file = join(directory, "key");
        await runProgram("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "", "-f", file], { timeoutSeconds: 20 });
        const [privateKey, publicKey] = await Promise.all([file, `${file}.pub`].map((name) => readFile(name, "utf8")));
        return { privateKey: privateKey ?? "", publicKey: (publicKey ?? "").trim() };
    } finally {
        await rm(directory, { recursive: true });
    }
}

/** Writes what a client needs into the directory. */
export async function grantAccess(directory: string, address: string, hostKey: string): Promise<SshAccess> {
    const [identityFile, knownHostsFile] = [join(directory, "key"), join(directory, "known_hosts")];
    await writeFile(identityFile, (await suiteKey()).privateKey, { mode: 0o600 });
    await writeFile(knownHostsFile, `${address} ${hostKey}\n`);
    return { address, hostKey, identityFile, knownHostsFile };
}

/** Options of ssh, scp and sftp that reach the machine, and depend on nothing of the user's who runs the tests. */
function sshOptions({ identityFile, knownHostsFile }: SshAccess): string[] {
    const settings = [
        "BatchMode=yes",
        "IdentitiesOnly=yes",
        "StrictHostKeyChecking=yes",
        `UserKnownHostsFile=${knownHostsFile}`,
        "GlobalKnownHostsFile=/dev/null",
        `ConnectTimeout=${connectSeconds}`,
        "LogLevel=ERROR",
    ];
    return ["-F", "none", "-i", identityFile, ...settings.flatMap((setting) => ["-o", setting])];
}

/** @throws MigrationError SM-E1101 when it cannot be reached, or the program does not end with exit code 0 */
export async function runOverSsh(
    access: SshAccess,
    command: readonly string[],
    { user = "root", input, timeoutSeconds = usualSeconds }: CommandOptions = {},
): Promise<ProgramResult> {
    const args = [...sshOptions(access), `${user}@${access.address}`, "--", command.map(quoted).join(" ")];
    return runProgram("ssh", args, { timeoutSeconds, ...(input === undefined ? {} : { input }) });
}

/** As one word of the shell that sshd starts. The tests have their own, for they test what the program makes of it. */
function quoted(word: string): string {
    return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** Whether sshd says who it is. */
export async function saysSsh(host: string): Promise<boolean> {
    const socket = connect({ host, port: 22 });
    try {
        const words: unknown[] = await once(socket, "data", { signal: AbortSignal.timeout(attemptMilliseconds) });
        return String(words[0]).startsWith("SSH-");
    } catch {
        return false;
    } finally {
        socket.destroy();
    }
}
