/** Which cipher a connection of ssh is to use, of those that it may use. */
import { readFileSync } from "node:fs";
import { runProgram } from "../program.ts";
import { sshEnvironment } from "./environment.ts";

/** AES in Galois/counter mode: encrypted and authenticated in one go, as ChaCha20 is. */
const preferred = "aes128-gcm@openssh.com";
const askSeconds = 30;

/**
 * Has ssh prefer AES where it may use it and this machine's processor does it by itself.
 *
 * All media and all rows of the database go through one connection, each end of which is one thread: with ChaCha20, ssh's own first choice,
 * that takes twice the processor time. What the operator's or the system's configuration leaves out stays out: the list only gets another order.
 *
 * @param args  of ssh(1), with the destination
 * @returns further arguments; none where ssh does not say what it would use: the connection itself then tells why
 */
export async function cipherArguments(args: readonly string[]): Promise<string[]> {
    const options = { environment: sshEnvironment(), timeoutSeconds: askSeconds };
    const said = await runProgram("ssh", ["-G", ...args], options).catch(() => undefined);
    const ciphers = /^ciphers (\S+)$/m.exec(said?.stdout ?? "")?.[1]?.split(",") ?? [];
    const ordered = preferredFirst(ciphers, processorsHere());
    return ordered === undefined ? [] : ["-o", `Ciphers=${ordered.join(",")}`];
}

/**
 * @param processors  as Linux tells them in /proc/cpuinfo
 * @returns undefined where the order is to stay as it is
 */
export function preferredFirst(ciphers: readonly string[], processors: string): string[] | undefined {
    const hasAes = /^(flags|Features)\s*:.*\baes\b/m.test(processors);
    if (!hasAes || !ciphers.includes(preferred)) return undefined;
    return [preferred, ...ciphers.filter((cipher) => cipher !== preferred)];
}

function processorsHere(): string {
    try {
        return readFileSync("/proc/cpuinfo", "utf8");
    } catch {
        return "";
    }
}
