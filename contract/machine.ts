/** The machine that a deployment is on, as the steps are told about it. */
import { z } from "zod";
import { absolutePath } from "./shared.ts";

/** `user@host`, `user@host:port`; the user and the port may be left to `~/.ssh/config`, and so may be what the host is really called. */
const sshAddress = z
    .string()
    .max(320)
    .regex(
        /^(?:[A-Za-z_][A-Za-z0-9._-]*@)?(?:[A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/,
        "must be user@host or user@host:port",
    );

/** A public key as `ssh-keyscan` prints it, without the host: `ssh-ed25519 AAAA…`. */
const hostKey = z
    .string()
    .regex(
        /^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)) [A-Za-z0-9+/]+=*$/,
        "must be a host key, `ssh-ed25519 AAAA…`",
    );

/** The machine that the program itself runs on. */
const localMachine = z.strictObject({ kind: z.literal("local") });

/** A machine that is reached with the system's OpenSSH: its agent, its keys and `~/.ssh/config` are used as on a command line. */
const sshMachine = z.strictObject({
    kind: z.literal("ssh"),
    address: sshAddress,
    /** What the machine must prove to have; whoever answers with another one is refused. */
    hostKey,
    /** A private key in a file, in addition to what the agent and `~/.ssh/config` offer. */
    identityFile: absolutePath.optional(),
    /** Works as root by `sudo -n` there, where the user of the address may do that without a password. */
    become: z.literal("sudo").optional(),
});
export type SshMachine = z.infer<typeof sshMachine>;

export const machine = z.discriminatedUnion("kind", [localMachine, sshMachine]);
export type MachineDescription = z.infer<typeof machine>;
