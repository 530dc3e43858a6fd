/** Opens the connection to a machine, starts the helper there, and says in the operator's words why either cannot be done. */
import { spawn, type ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import { rm, writeFile } from "node:fs/promises";
import type { Readable, Writable } from "node:stream";
import { z } from "zod";
import type { SshMachine } from "../../../contract/machine.ts";
import { MigrationError } from "../../run/errors.ts";
import { redact } from "../../run/redaction.ts";
import { FarConnection } from "../far/connection.ts";
import { cipherArguments } from "./ciphers.ts";
import { connectionDirectory } from "./connectionDirectory.ts";
import { sshEnvironment } from "./environment.ts";
import {
    connectSeconds,
    knownHostsText,
    lostAfterSeconds,
    masterArguments,
    sshFiles,
    type SshFiles,
} from "./sshOptions.ts";
import { remoteCommand } from "./shellWord.ts";
import { withFoundPython, withPython3, type HelperStart } from "./startHelper.ts";

export interface SshConnection {
    readonly helper: FarConnection;
    readonly files: SshFiles;
    /** Effective user id there. */
    readonly userId: number;
    close(): Promise<void>;
}

const hello = z.object({ uid: z.number(), python: z.string() });
const greetSeconds = 30;
const endSeconds = 5;
/** ssh frames its warning of another host key in many. */
const linesKept = 16;

type Ssh = ChildProcessByStdio<Writable, Readable, Readable>;

/**
 * @param name  of the machine, for messages
 * @throws MigrationError SM-E1401 to SM-E1405
 */
export async function openSsh(machine: SshMachine, name: string): Promise<SshConnection> {
    try {
        return await openWith(machine, name, await withPython3());
    } catch (error) {
        if (!(error instanceof MigrationError) || error.code !== "SM-E1405") throw error;
        return await openWith(machine, name, await withFoundPython());
    }
}

async function openWith(
    machine: SshMachine,
    name: string,
    { program, args: programArgs, input }: HelperStart,
): Promise<SshConnection> {
    const directory = await connectionDirectory();
    const files = sshFiles(directory);
    await writeFile(files.knownHosts, knownHostsText(machine), { mode: 0o600 });
    const command =
        machine.become === "sudo"
            ? remoteCommand("sudo", ["-n", "--", program, ...programArgs])
            : remoteCommand(program, programArgs);
    const args = masterArguments(machine, files);
    const ciphers = await cipherArguments(args);
    // A session of its own: Ctrl-C at our terminal is ours to hear, and ssh finds no terminal to ask at. The kernel ends it with us.
    const ssh: Ssh = spawn("setpriv", ["--pdeathsig", "KILL", "--", "ssh", ...ciphers, ...args, command], {
        env: sshEnvironment(),
        detached: true,
        stdio: ["pipe", "pipe", "pipe"],
    });
    const stop = async (): Promise<void> => {
        await ended(ssh);
        await rm(directory, { recursive: true, force: true });
    };
    try {
        const helper = new FarConnection(ssh.stdin, ssh.stdout, name);
        const said = lastWords(ssh);
        let greeted = false;
        const lost = once(ssh, "close").then(() => {
            const error = explain(machine, name, { code: ssh.exitCode, said: said(), greeted });
            helper.lose(error);
            return Promise.reject(error);
        });
        lost.catch(() => undefined);
        ssh.once("error", (cause) => {
            helper.lose(
                new MigrationError("SM-E1401", {
                    where: name,
                    found: `ssh cannot be started: ${cause.message}`,
                    cause,
                }),
            );
        });
        ssh.stdin.write(input);
        const late = timer(connectSeconds + greetSeconds, () =>
            helper.lose(
                new MigrationError("SM-E1401", {
                    where: name,
                    found: `no answer within ${connectSeconds + greetSeconds} s`,
                }),
            ),
        );
        const { value } = await helper.ask("hello").finally(() => {
            clearTimeout(late);
        });
        greeted = true;
        const { uid } = hello.parse(value);
        return { helper, files, userId: uid, close: stop };
    } catch (error) {
        await stop();
        throw error;
    }
}

const timer = (seconds: number, act: () => void): NodeJS.Timeout => setTimeout(act, seconds * 1000);

/** The end of what it writes to its standard error. */
function lastWords(ssh: Ssh): () => string {
    let text = "";
    ssh.stderr.on("data", (chunk: Buffer) => {
        text = (text + chunk.toString("utf8")).slice(-4096);
    });
    return () => redact(text.trim().split("\n").slice(-linesKept).join("\n"));
}

/** Ends ssh: the helper ends with its input, and what still runs there with the helper. */
async function ended(ssh: Ssh): Promise<void> {
    if (ssh.exitCode !== null || ssh.signalCode !== null || ssh.pid === undefined) return;
    const closed = once(ssh, "close");
    ssh.stdin.end();
    ssh.kill("SIGTERM");
    const late = timer(endSeconds, () => ssh.kill("SIGKILL"));
    await closed;
    clearTimeout(late);
}

interface Ending {
    readonly code: number | null;
    readonly said: string;
    /** The helper had answered before. */
    readonly greeted: boolean;
}

/** What ssh, sshd, sudo and shells say when it does not come about; with `LC_ALL=C` it is always the same. */
function explain(machine: SshMachine, where: string, { code, said, greeted }: Ending): MigrationError {
    const found = said === "" ? `ssh ended with ${code === null ? "a signal" : `exit code ${code}`}` : said;
    if (greeted)
        return new MigrationError("SM-E1401", {
            where,
            found: `the connection was lost: ${found}`,
            expected: `a machine that answers within ${lostAfterSeconds} s`,
            fix: "is the machine up? Then run the same command again: the step resumes",
        });
    if (/Host key verification failed|no matching host key type/i.test(said)) {
        const shown = /SHA256:[A-Za-z0-9+/]+/.exec(said)?.[0];
        return new MigrationError("SM-E1402", {
            where,
            found: shown === undefined ? "no key of the pinned kind" : `a key with the fingerprint ${shown}`,
            expected: machine.hostKey,
        });
    }
    if (/Permission denied \(|Too many authentication failures|Load key .*: (invalid|error)/i.test(said))
        return new MigrationError("SM-E1403", { where, found });
    if (/^sudo: |not in the sudoers file/im.test(said))
        return /python3: command not found/i.test(said)
            ? new MigrationError("SM-E1405", { where, found })
            : new MigrationError("SM-E1404", { where, found });
    if (code === 127 || code === 126) return new MigrationError("SM-E1405", { where, found });
    return new MigrationError("SM-E1401", { where, found });
}
