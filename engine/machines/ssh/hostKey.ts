/** The host key of a machine that nobody has pinned yet: as the operator's own ssh knows it, or as the machine shows it to whoever asks. */
import { createHash } from "node:crypto";
import { homedir } from "node:os";
import { MigrationError } from "../../run/errors.ts";
import { runProgram } from "../program.ts";
import { sshEnvironment } from "./environment.ts";
import { splitAddress } from "./sshOptions.ts";

/** What `~/.ssh/config` makes of an address. */
export interface SshDestination {
    readonly host: string;
    readonly port: string;
    /** Under which the operator's files have its key. */
    readonly knownAs: string;
    readonly knownHostsFiles: readonly string[];
    /** It is not reached directly, and so its key cannot be asked for from here. */
    readonly isBehindAnother: boolean;
}

const askSeconds = 10;
const scanSeconds = 5;
/** The first that the machine has is pinned. */
const preferred = ["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa"];

/** @throws MigrationError SM-E1101 where there is no ssh here */
export async function destinationOf(address: string): Promise<SshDestination> {
    const { user, host, port } = splitAddress(address);
    const args = [
        "-G",
        ...(port === undefined ? [] : ["-p", port]),
        ...(user === undefined ? [] : ["-l", user]),
        "--",
        host,
    ];
    const { stdout } = await runProgram("ssh", args, { environment: sshEnvironment(), timeoutSeconds: askSeconds });
    return destinationIn(stdout, host);
}

/** @param text  what `ssh -G` prints */
export function destinationIn(text: string, given: string): SshDestination {
    const value = (name: string): string | undefined => new RegExp(`^${name} (.+)$`, "m").exec(text)?.[1];
    const host = value("hostname") ?? given;
    const port = value("port") ?? "22";
    const isSet = (name: string): boolean => ![undefined, "none"].includes(value(name));
    const alias = value("hostkeyalias");
    const files = ["userknownhostsfile", "globalknownhostsfile"].flatMap((name) => value(name)?.split(" ") ?? []);
    return {
        ...{ host, port },
        knownAs: alias ?? (port === "22" ? host : `[${host}]:${port}`),
        knownHostsFiles: files.filter((file) => file !== "none").map((file) => file.replace(/^~(?=\/)/, homedir())),
        isBehindAnother: isSet("proxyjump") || isSet("proxycommand"),
    };
}

/** `ssh-ed25519 AAAA…` as the operator's known_hosts have it; undefined where they do not know the machine. */
export async function knownHostKey({ knownAs, knownHostsFiles }: SshDestination): Promise<string | undefined> {
    const found: string[] = [];
    for (const file of knownHostsFiles) {
        // It ends with 1 where it knows nothing, and where there is no such file.
        const looked = await runProgram("ssh-keygen", ["-F", knownAs, "-f", file], {
            environment: sshEnvironment(),
            timeoutSeconds: askSeconds,
        }).catch(() => undefined);
        found.push(...keysIn(looked?.stdout ?? ""));
    }
    return bestOf(found);
}

/**
 * What the machine shows to whoever asks: to be compared by a person before it is believed.
 *
 * @throws MigrationError SM-E1401 where nothing answers
 */
export async function shownHostKey({ host, port, isBehindAnother }: SshDestination): Promise<string> {
    const where = `${host}:${port}`;
    if (isBehindAnother)
        throw new MigrationError("SM-E1450", {
            where,
            found: "a machine behind another one, whose key cannot be asked for from here",
            fix: "log in to it once with `ssh`, which keeps its key in known_hosts when you have compared it; or give it with --host-key",
        });
    const args = ["-T", String(scanSeconds), "-p", port, "--", host];
    const scanned = await runProgram("ssh-keyscan", args, {
        environment: sshEnvironment(),
        timeoutSeconds: scanSeconds * 3,
    }).catch((error: unknown) => {
        if (error instanceof MigrationError) return undefined;
        throw error;
    });
    const key = bestOf(keysIn(scanned?.stdout ?? ""));
    if (key !== undefined) return key;
    throw new MigrationError("SM-E1401", {
        where,
        found: `no host key within ${scanSeconds} s`,
        expected: "sshd that answers",
    });
}

/** Keys in lines of known_hosts; revoked ones and those of authorities are none. */
export function keysIn(text: string): string[] {
    return text.split("\n").flatMap((line) => {
        const [, kind, key] = /^(?![#@])\S+ (\S+) ([A-Za-z0-9+/]+=*)/.exec(line) ?? [];
        return kind === undefined || key === undefined ? [] : [`${kind} ${key}`];
    });
}

function bestOf(keys: readonly string[]): string | undefined {
    const ranked = keys.filter((key) => preferred.includes(key.split(" ")[0] ?? ""));
    const rank = (key: string): number => preferred.indexOf(key.split(" ")[0] ?? "");
    return ranked.sort((a, b) => rank(a) - rank(b))[0];
}

/** As ssh shows it: `SHA256:…`, without padding. */
export function fingerprintOf(hostKey: string): string {
    const digest = createHash("sha256")
        .update(Buffer.from(hostKey.split(" ")[1] ?? "", "base64"))
        .digest("base64");
    return `SHA256:${digest.replace(/=+$/, "")}`;
}
