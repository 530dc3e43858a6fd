/** A machine that is reached with OpenSSH: one connection for as long as it is held, over which its helper answers and ports are forwarded. */
import { mkdtemp, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { z } from "zod";
import type { SshMachine } from "../../../contract/machine.ts";
import { noteReached } from "../../run/machinesReached.ts";
import { joined } from "../far/byteQueue.ts";
import { farFiles } from "../far/farFiles.ts";
import type { Machine, MachineProgramOptions, Reachable } from "../machine.ts";
import { portOf, readRelay, relayBootstrap, relayedSocket, relayPlace } from "../relay/relayProgram.ts";
import { programFailed, runProgram, type ProgramResult } from "../program.ts";
import { openSsh, type SshConnection } from "./connect.ts";
import { sshEnvironment } from "./environment.ts";
import { freePort } from "../freePort.ts";
import { forwardArguments, type SshFiles } from "./sshOptions.ts";

const forwardSeconds = 30;
/** Certificates and keys. */
const largestBroughtBytes = 1024 * 1024;
const ran = z.object({ ending: z.string().nullable(), lengths: z.tuple([z.number(), z.number()]) });

/** A machine, and how to let go of it. */
export interface HeldMachine extends Machine {
    /** Ends the connection and all that runs there for it. */
    close(): Promise<void>;
}

/** Nothing is connected before something is asked. */
export function sshMachine(description: SshMachine): HeldMachine {
    const name = `${description.address}${description.become === "sudo" ? " (sudo)" : ""}`;
    let opening: Promise<SshConnection> | undefined;
    const opened = async (): Promise<SshConnection> => {
        const connection = await (opening ??= openSsh(description, name));
        noteReached(name);
        return connection;
    };
    const connect = async () => (await opened()).helper;
    const reached = new Map<string, Promise<Reachable>>();

    const run = async (
        program: string,
        args: readonly string[],
        options: MachineProgramOptions,
    ): Promise<ProgramResult> => {
        const { workingDirectory, environment = {}, input = "", user, timeoutSeconds, signal } = options;
        signal?.throwIfAborted();
        const helper = await connect();
        const started = performance.now();
        const runId = `${process.pid}-${started}-${Math.random()}`;
        const stop = (): void => void helper.ask("endrun", { runId }).catch(() => undefined);
        signal?.addEventListener("abort", stop, { once: true });
        try {
            const asked = { runId, program, args, environment, timeoutSeconds };
            const { value, parts } = await helper.ask(
                "run",
                {
                    ...asked,
                    ...(workingDirectory === undefined ? {} : { cwd: workingDirectory }),
                    ...(user === undefined ? {} : { uid: user.uid, gid: user.gid }),
                },
                { data: Buffer.from(input) },
            );
            const data = joined(parts);
            const { ending, lengths } = ran.parse(value);
            const [stdout, stderr] = [data.subarray(0, lengths[0]), data.subarray(lengths[0])].map((part) =>
                part.toString("utf8"),
            );
            signal?.throwIfAborted();
            if (ending !== null) throw programFailed(`${program} on ${name}`, ending, stderr ?? "");
            return { stdout: stdout ?? "", stderr: stderr ?? "", seconds: (performance.now() - started) / 1000 };
        } finally {
            signal?.removeEventListener("abort", stop);
        }
    };

    const forward = async ({ files }: SshConnection, address: Reachable, as: "socket" | "port"): Promise<Reachable> => {
        const near = await nearEnd(files, address, as);
        await runProgram("ssh", forwardArguments(description, files, written(near), written(address)), {
            environment: sshEnvironment(),
            timeoutSeconds: forwardSeconds,
        });
        return near;
    };

    const reach = (address: Reachable, as: "socket" | "port"): Promise<Reachable> => {
        const key = `${written(address)} ${as}`;
        const known = reached.get(key) ?? opened().then((connection) => forward(connection, address, as));
        reached.set(key, known);
        // A way that is there already is used all the same.
        return known.then((near) => {
            noteReached(name);
            return near;
        });
    };

    return {
        name,
        isHere: false,
        files: farFiles(connect),
        userId: async () => (await opened()).userId,
        run,
        signal: async ({ pid, startTicks }, signalName) => {
            const { value } = await (await connect()).ask("signal", { pid, startTicks, name: signalName });
            return z.boolean().parse(value);
        },
        reach,
        reachAs: async (socket, user) => {
            const helper = await connect();
            const asked = { path: socket, user, place: relayPlace, port: portOf(socket), bootstrap: relayBootstrap };
            const { value } = await helper.ask("relay", asked, { data: await readRelay() });
            const there = relayedSocket(value, name, user);
            const { socket: near } = await reach({ socket: there.socket }, "socket");
            if (near === undefined) throw new Error("a socket that was asked for is a port");
            return { socket: near, user: there.user };
        },
        here: async (path) => {
            const { files } = await opened();
            const { content } = await farFiles(connect).read(path, { atMost: largestBroughtBytes });
            const near = join(await mkdtemp(join(files.directory, "copy-")), basename(path));
            await writeFile(near, content, { mode: 0o600, flag: "wx" });
            return near;
        },
        close: async () => {
            const connection = await opening?.catch(() => undefined);
            opening = undefined;
            reached.clear();
            await connection?.close();
        },
    };
}

/** As `-L` of ssh(1) has it. */
function written(address: Reachable): string {
    if (address.socket !== undefined) return address.socket;
    return `${address.host.includes(":") ? `[${address.host}]` : address.host}:${address.port}`;
}

async function nearEnd(files: SshFiles, address: Reachable, as: "socket" | "port"): Promise<Reachable> {
    if (as === "port") return { host: "127.0.0.1", port: await freePort() };
    const port = address.socket === undefined ? address.port : portOf(address.socket);
    return { socket: join(await mkdtemp(join(files.directory, "at-")), `.s.PGSQL.${port}`) };
}
