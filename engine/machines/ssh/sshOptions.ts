/** How OpenSSH is called: never asking anybody, with the host key that was pinned and no other, and ended by a connection that is gone. */
import { join } from "node:path";
import type { SshMachine } from "../../../contract/machine.ts";

/** The files of one connection: in a directory of its own that nobody else may enter. */
export interface SshFiles {
    readonly directory: string;
    readonly knownHosts: string;
    readonly controlSocket: string;
}

export function sshFiles(directory: string): SshFiles {
    return { directory, knownHosts: join(directory, "known_hosts"), controlSocket: join(directory, "control") };
}

/** What the pinned key stands under: the same whichever name, address or port the machine is reached by. */
const alias = "synapse-migration-pinned";

export const knownHostsText = ({ hostKey }: SshMachine): string => `${alias} ${hostKey}\n`;

/** A server that has several keys must show the pinned one, whatever it would prefer. */
function algorithmsOf(hostKey: string): string {
    const [kind = ""] = hostKey.split(" ");
    return kind === "ssh-rsa" ? "rsa-sha2-512,rsa-sha2-256" : kind;
}

/** Seconds without a sign of life after which a connection is lost, the number of questions asked meanwhile. */
const [aliveSeconds, aliveQuestions] = [5, 3];
export const lostAfterSeconds = aliveSeconds * aliveQuestions;
export const connectSeconds = 15;

/**
 * Options of ssh(1) for a connection that others share. What is not named here `~/.ssh/config` may say: jump hosts, keys, user, port.
 *
 * Not covered by the pinned key: jump hosts, which are compared with the operator's own known_hosts.
 */
export function masterArguments(machine: SshMachine, files: SshFiles): string[] {
    const settings = {
        BatchMode: "yes",
        StrictHostKeyChecking: "yes",
        UserKnownHostsFile: files.knownHosts,
        GlobalKnownHostsFile: "/dev/null",
        HostKeyAlias: alias,
        HostKeyAlgorithms: algorithmsOf(machine.hostKey),
        UpdateHostKeys: "no",
        CheckHostIP: "no",
        VerifyHostKeyDNS: "no",
        ConnectTimeout: String(connectSeconds),
        ServerAliveInterval: String(aliveSeconds),
        ServerAliveCountMax: String(aliveQuestions),
        ControlMaster: "yes",
        ControlPath: files.controlSocket,
        ControlPersist: "no",
        ExitOnForwardFailure: "yes",
        // Forwardings, commands and terminals that the user's configuration adds to an interactive session have no place in ours.
        ClearAllForwardings: "yes",
        PermitLocalCommand: "no",
        RemoteCommand: "none",
        RequestTTY: "no",
        ForwardAgent: "no",
        ForwardX11: "no",
        // What keeps two ends from agreeing on a key is told at this level.
        LogLevel: "INFO",
    };
    const identity = machine.identityFile === undefined ? [] : ["-i", machine.identityFile];
    const options = Object.entries(settings).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
    return [...options, ...identity, ...destination(machine)];
}

/** Has the connection forward what arrives at a local end to a remote one, both as `-L` of ssh(1) has them. */
export function forwardArguments(machine: SshMachine, files: SshFiles, local: string, remote: string): string[] {
    return ["-S", files.controlSocket, "-O", "forward", "-L", `${local}:${remote}`, ...destination(machine)];
}

function destination({ address }: SshMachine): string[] {
    const { user, host, port } = splitAddress(address);
    return [...(port === undefined ? [] : ["-p", port]), ...(user === undefined ? [] : ["-l", user]), "--", host];
}

/** `user@[2001:db8::1]:2222`, with all but the host optional. */
export function splitAddress(address: string): { user?: string; host: string; port?: string } {
    const found =
        /^(?:(?<user>[^@]+)@)?(?:\[(?<six>[^\]]+)\]|(?<name>[^:]+))(?::(?<port>\d+))?$/.exec(address)?.groups ?? {};
    const { user, six, name, port } = found;
    return {
        ...(user === undefined ? {} : { user }),
        host: six ?? name ?? address,
        ...(port === undefined ? {} : { port }),
    };
}
