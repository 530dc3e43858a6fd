/** A machine as the command line names it: its address, how it is logged in to, and its host key, which a person has compared. */
import { createInterface } from "node:readline/promises";
import type { Command } from "commander";
import { z } from "zod";
import { machine, type MachineDescription } from "../../contract/index.ts";
import { destinationOf, fingerprintOf, knownHostKey, shownHostKey } from "../../engine/machines/ssh/hostKey.ts";
import { MigrationError } from "../../engine/run/errors.ts";

export const machineOptions = z.object({
    identity: z.string().optional(),
    sudo: z.boolean().optional(),
    hostKey: z.string().optional(),
});
export type MachineOptions = z.infer<typeof machineOptions>;

export function addMachineOptions(command: Command): Command {
    return command
        .option("--identity <file>", "a private key to log in with, besides what ssh's agent and configuration offer")
        .option("--sudo", "become root there with `sudo -n`")
        .option("--host-key <key>", "the machine's host key, `ssh-ed25519 AAAA…`; from your known_hosts otherwise");
}

/** A machine, and where its host key comes from, for comments. */
export interface NamedMachine {
    readonly description: MachineDescription;
    readonly hostKeyFrom?: "option" | "knownHosts" | "confirmed";
}

/** Asks whoever is at the terminal; undefined where nobody is. */
export type Confirm = (question: string) => Promise<boolean>;

/**
 * @param address  `user@host`, `user@host:port`; this machine when absent
 * @throws MigrationError SM-E1450 where the key is known to nobody and nobody confirms it; SM-E1451 for what is no address, key or path
 */
export async function machineNamed(
    address: string | undefined,
    options: MachineOptions,
    confirm: Confirm | undefined = atTerminal(),
): Promise<NamedMachine> {
    const { identity, sudo, hostKey: given } = options;
    if (address === undefined) {
        const superfluous = Object.entries({ identity, sudo, "host-key": given }).find(
            ([, value]) => value !== undefined,
        );
        if (superfluous === undefined) return { description: { kind: "local" } };
        throw new MigrationError("SM-E1451", {
            where: `--${superfluous[0]}`,
            found: "no address: this machine is meant",
            fix: "name the machine as user@host; or leave the option out, and run this as root for --sudo",
        });
    }
    const described = (hostKey: string): MachineDescription =>
        describedAs({
            kind: "ssh",
            address,
            hostKey,
            identityFile: identity,
            become: sudo === true ? "sudo" : undefined,
        });
    if (given !== undefined) return { description: described(given.trim()), hostKeyFrom: "option" };
    // What is no address is refused before ssh is asked about it.
    described("ssh-ed25519 AAAA");
    const destination = await destinationOf(address);
    const known = await knownHostKey(destination);
    if (known !== undefined) return { description: described(known), hostKeyFrom: "knownHosts" };
    const shown = await shownHostKey(destination);
    const fingerprint = fingerprintOf(shown);
    const kind = shown.split(" ")[0] ?? "";
    const question = `${address} shows a host key that your known_hosts do not have: ${kind}, ${fingerprint}\nIs that what \`ssh-keygen -lf /etc/ssh/ssh_host_${fileKind(kind)}_key.pub\` says on its own console? (yes/no) `;
    if (confirm !== undefined && (await confirm(question)))
        return { description: described(shown), hostKeyFrom: "confirmed" };
    throw new MigrationError("SM-E1450", {
        where: address,
        found: `it shows ${kind}, fingerprint ${fingerprint}`,
        fix: `does \`ssh-keygen -lf /etc/ssh/ssh_host_${fileKind(kind)}_key.pub\` on the machine's own console say the same? Then give --host-key "${shown}"`,
    });
}

function describedAs(given: Readonly<Record<string, unknown>>): MachineDescription {
    const parsed = machine.safeParse(given);
    if (parsed.success) return parsed.data;
    const names: Readonly<Record<string, string>> = {
        identityFile: "--identity",
        hostKey: "--host-key",
        address: "address",
    };
    throw new MigrationError("SM-E1451", {
        where: [...new Set(parsed.error.issues.map(({ path }) => names[String(path[0])] ?? String(path[0])))].join(
            ", ",
        ),
        found: parsed.error.issues.map(({ message }) => message).join("; "),
    });
}

/** As sshd calls the files of its keys. */
const fileKind = (kind: string): string => (kind.startsWith("ecdsa") ? "ecdsa" : kind.replace(/^ssh-/, ""));

function atTerminal(): Confirm | undefined {
    if (!process.stdin.isTTY) return undefined;
    return async (question) => {
        const asked = createInterface({ input: process.stdin, output: process.stderr });
        try {
            return /^y(es)?$/i.test((await asked.question(question)).trim());
        } finally {
            asked.close();
        }
    };
}
