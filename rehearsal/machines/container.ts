/**
 * Boots a root directory with systemd-nspawn, and ends it.
 *
 * The root is an overlay that is mounted in a mount namespace of its own, held open by a process that does nothing else: it is there while the
 * machine is off, too, and gone with this process. systemd-nspawn itself runs in a process namespace of its own, for what it has started does not
 * end with it otherwise.
 */
import { spawn, type ChildProcess, type ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, openSync, readFileSync, closeSync } from "node:fs";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { baseEnvironment, runProgram } from "../../engine/machines/program.ts";
import { lockFile } from "../../engine/run/fileLock.ts";
import { until } from "../../engine/run/until.ts";
import { joinGroups, processesIn } from "./controlGroups.ts";
import type { MachineDirectory } from "./machineDirectory.ts";
import { layCable, removeCable, type Cable } from "./network.ts";

type Holder = ChildProcessByStdio<Writable, Readable, null>;

interface Running {
    readonly child: ChildProcess;
    /** Its exit code; undefined after a signal. */
    readonly ended: Promise<number | undefined>;
}

const mountSeconds = 20;
const endSeconds = 20;
const gateSeconds = 20;
/** systemd-nspawn's exit code when the system inside was rebooted (systemd-nspawn(1), `--keep-unit`). */
const rebooted = 133;

/** What runc needs beside what systemd-nspawn allows. */
const forContainers = ["--capability=all", "--system-call-filter=@keyring bpf @mount"];

/** Layers of Docker and Podman cannot be overlays in an overlay: these are directories of their own. */
const layered = { docker: "/var/lib/docker", containers: "/var/lib/containers" };

export class Container {
    private running: Running | undefined;
    private starts = 0;

    private constructor(
        private readonly directory: MachineDirectory,
        private readonly cable: Cable,
        private readonly holder: Holder,
        /** The machine's root, seen from here: also while it is off. Absolute links in it lead to this machine's files. */
        public readonly root: string,
    ) {}

    /**
     * Mounts the root. The machine is off.
     *
     * @param layers  what it has from the beginning, the uppermost first
     */
    public static async make(directory: MachineDirectory, layers: readonly string[], cable: Cable): Promise<Container> {
        const { path } = directory;
        for (const name of ["upper", "work", "root", ...Object.keys(layered)])
            mkdirSync(join(path, name), { mode: 0o755 });
        const root = join(path, "root");
        const holder = await holdNamespace();
        const options = `lowerdir=${layers.join(":")},upperdir=${join(path, "upper")},workdir=${join(path, "work")}`;
        await within(holder, "mount", "-t", "overlay", "overlay", "-o", options, root);
        // systemd-nspawn keeps locks and directories there, which it leaves when it is killed.
        await within(holder, "mount", "-t", "tmpfs", "tmpfs", "/run");
        // Else it would wait for udev to know the cable, and there may be none.
        await within(holder, "mount", "-o", "remount,bind,ro", "/sys");
        return new Container(directory, cable, holder, `/proc/${String(holder.pid)}/root${root}`);
    }

    /** What the machine has said since it was made. */
    public get console(): string {
        return readFileSync(this.consoleFile, "utf8");
    }

    /** Switches it on. It has begun to boot, no more. */
    public async start(): Promise<void> {
        if (this.running !== undefined) throw new Error("the machine is on already");
        await layCable(this.cable);
        // systemd-nspawn waits behind a lock until its process is in the machine's own groups, for it cannot leave those it has begun in.
        const gate = join(this.directory.path, `gate${this.starts++}`);
        const lock = await lockFile(gate, "a start", gateSeconds);
        try {
            const log = openSync(this.consoleFile, "a", 0o600);
            const child = spawn("setpriv", ["--pdeathsig", "KILL", "--", "flock", "--no-fork", gate, ...this.command], {
                env: baseEnvironment(),
                stdio: ["ignore", log, log],
            });
            closeSync(log);
            if (child.pid === undefined) throw new Error("setpriv could not be started");
            const ended = once(child, "exit").then(([code]: unknown[]) =>
                typeof code === "number" ? code : undefined,
            );
            this.running = { child, ended };
            joinGroups(this.directory.groups, child.pid);
        } finally {
            await lock.release();
        }
    }

    /** Waits for the system inside to end by itself. */
    public async endOfReboot(timeoutSeconds: number): Promise<void> {
        if (this.running === undefined) throw new Error("the machine is off");
        const late = AbortSignal.timeout(timeoutSeconds * 1000);
        const code = await Promise.race([this.running.ended, once(late, "abort").then(() => "late" as const)]);
        await this.kill();
        if (code !== rebooted) throw new Error(`the machine did not reboot (${String(code)}):\n${this.lastWords}`);
    }

    /** As if its power was cut: nothing in it gets to do anything. Does nothing when it is off. */
    public async kill(): Promise<void> {
        if (this.running === undefined) return;
        this.running.child.kill("SIGKILL");
        await this.running.ended;
        this.running = undefined;
        const { groups } = this.directory;
        await until(
            () => processesIn(groups).length === 0 || undefined,
            { seconds: endSeconds, everyMilliseconds: 10 },
            () => new Error(`processes ${processesIn(groups).join(", ")} outlive their machine`),
        );
        await removeCable(this.cable);
    }

    /** Switches it off and gives its root up. */
    public async end(): Promise<void> {
        await this.kill();
        const ended = once(this.holder, "exit");
        this.holder.stdin.end();
        await ended;
    }

    /** Whether the system inside runs, or is about to: it may have ended by itself. */
    public get isOn(): boolean {
        const child = this.running?.child;
        return child?.exitCode === null && child.signalCode === null;
    }

    /** The end of {@link console}. */
    public get lastWords(): string {
        return this.console.trimEnd().split("\n").slice(-20).join("\n");
    }

    private get consoleFile(): string {
        return join(this.directory.path, "console.log");
    }

    private get command(): string[] {
        const { path, number } = this.directory;
        return [
            "nsenter",
            `--mount=/proc/${String(this.holder.pid)}/ns/mnt`,
            "--",
            ...["unshare", "--pid", "--fork", "--kill-child=KILL", "--mount-proc", "--"],
            "systemd-nspawn",
            "--quiet",
            `--directory=${join(path, "root")}`,
            `--machine=sm${number}`,
            "--boot",
            `--network-interface=${this.cable.innerDevice}`,
            // There may be no systemd outside.
            "--register=no",
            "--keep-unit",
            // Nothing of this machine's gets into it, and nothing of its own out of it.
            "--settings=no",
            "--link-journal=no",
            "--resolv-conf=off",
            "--timezone=off",
            ...forContainers,
            ...Object.entries(layered).map(([name, place]) => `--bind=${join(path, name)}:${place}`),
        ];
    }
}

/** A process that keeps a mount namespace, and ends with this one: cat, whose echo says that the namespace is there. */
async function holdNamespace(): Promise<Holder> {
    const unshare = ["unshare", "--mount", "--propagation", "private", "--", "cat"];
    const holder = spawn("setpriv", ["--pdeathsig", "KILL", "--", ...unshare], {
        env: baseEnvironment(),
        stdio: ["pipe", "pipe", "inherit"],
    });
    holder.stdin.write("\n");
    await Promise.race([
        once(holder.stdout, "data"),
        once(holder, "exit").then(() => Promise.reject(new Error("no mount namespace could be made"))),
    ]);
    return holder;
}

async function within(holder: Holder, program: string, ...args: string[]): Promise<void> {
    const namespace = `--mount=/proc/${String(holder.pid)}/ns/mnt`;
    await runProgram("nsenter", [namespace, "--", program, ...args], { timeoutSeconds: mountSeconds });
}
