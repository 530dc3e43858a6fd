/** A whole machine for tests: systemd as its first process, sshd, and what Debian's packages make of PostgreSQL, nginx, Redis and Docker. */
import { randomBytes } from "node:crypto";
import { chmod, chown, mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { until } from "../../engine/run/until.ts";
import { baseMachine } from "./baseMachine.ts";
import { operator } from "./baseRecipe.ts";
import { Container } from "./container.ts";
import { removeMachine, takeDirectory, type MachineDirectory } from "./machineDirectory.ts";
import { cableOf, networkFile, type Cable } from "./network.ts";
import { podmanLayer } from "./podmanLayer.ts";
import {
    grantAccess,
    makeKey,
    runOverSsh,
    suiteKey,
    saysSsh,
    type CommandOptions,
    type KeyPair,
    type SshAccess,
} from "./sshAccess.ts";

export interface MachineOptions {
    /** Its host name. */
    readonly name: string;
    /** Whether it has Podman as well. */
    readonly podman?: boolean;
}

export interface FileOptions {
    /** 0644 when absent. */
    readonly mode?: number;
    /** A user of the machine, with its group; root when absent. */
    readonly owner?: string;
}

/** Two seconds on an idle machine; what a deployment has enabled comes on top. */
const bootSeconds = 180;
const rebootSeconds = 120;
const pollMilliseconds = 20;

/**
 * Makes a machine and boots it.
 *
 * Nothing is left of it after {@link BootedMachine.end}; or, when the test process dies, after the next machine is booted.
 *
 * @throws MigrationError SM-E1180 when we are not root, or a program is missing and cannot be installed
 */
export async function bootMachine({ name, podman = false }: MachineOptions): Promise<BootedMachine> {
    const base = await baseMachine();
    const layers = podman ? [await podmanLayer(base), base] : [base];
    const directory = await takeDirectory();
    const cable = cableOf(directory.number);
    let container: Container | undefined;
    try {
        container = await Container.make(directory, layers, cable);
        const hostKey = await makeKey();
        await furnish(container.root, name, cable, hostKey);
        const access = await grantAccess(directory.path, cable.innerAddress, hostKey.publicKey);
        const machine = new BootedMachine(name, access, container, directory);
        await machine.start();
        return machine;
    } catch (error) {
        await container?.end();
        removeMachine(directory);
        throw error;
    }
}

export class BootedMachine {
    constructor(
        public readonly name: string,
        /** How it is logged in to, as `root` and as the {@link operator}, who may `sudo`. */
        public readonly access: SshAccess,
        private readonly container: Container,
        private readonly directory: MachineDirectory,
    ) {}

    /** Where other machines and this one reach it. */
    public get address(): string {
        return this.access.address;
    }

    /** What it has said on its console. */
    public get console(): string {
        return this.container.console;
    }

    /** Runs a program to its end, as root unless said otherwise, over ssh; what it wrote to its standard output. */
    public async run(command: readonly string[], options: CommandOptions = {}): Promise<string> {
        return (await runOverSsh(this.access, command, options)).stdout;
    }

    /**
     * Where a file of the machine is found from outside, also while it is off. A link in it that is absolute leads astray: to a file of the
     * machine that the tests run on.
     */
    public path(path: string): string {
        return join(this.container.root, path);
    }

    /** Writes a file, and makes its directory. */
    public async write(
        path: string,
        content: string,
        { mode = 0o644, owner = "root" }: FileOptions = {},
    ): Promise<void> {
        const file = this.path(path);
        await mkdir(dirname(file), { recursive: true });
        const { uid, gid } = await idsOf(this.container.root, owner);
        // Nobody else may read it before it has its mode.
        await writeFile(file, "", { mode: 0o600 });
        await chown(file, uid, gid);
        await chmod(file, mode);
        await writeFile(file, content);
    }

    /** Switches it on and waits until it has booted: until all that is enabled has started, or failed to. */
    public async start(): Promise<void> {
        await this.container.start();
        const late = (): Error => new Error(`${this.name} has not booted:\n${this.container.lastWords}`);
        const answers = async (): Promise<true | undefined> => {
            if (await saysSsh(this.address)) return true;
            if (!this.container.isOn) throw late();
            return undefined;
        };
        await until(answers, { seconds: bootSeconds, everyMilliseconds: pollMilliseconds }, late);
        // Its exit code says whether a unit has failed, which is for the tests to ask.
        await this.run(["systemctl", "is-system-running", "--wait"], { timeoutSeconds: bootSeconds }).catch(() => "");
        const state = await this.run(["systemctl", "show", "--property=SystemState", "--value"]);
        if (!/^(running|degraded)$/.test(state.trim())) throw late();
    }

    /** Has it shut down in order and start again, as `systemctl reboot` does on any machine. */
    public async reboot(): Promise<void> {
        // The connection may be gone before the answer is here. That it has rebooted is seen below.
        await this.run(["systemctl", "--no-block", "reboot"]).catch(() => "");
        await this.container.endOfReboot(rebootSeconds);
        await this.start();
    }

    /** Cuts its power, so that nothing in it gets to do anything. What it has written is there. */
    public async cutPower(): Promise<void> {
        await this.container.kill();
    }

    /** {@link cutPower}, and the power comes back. */
    public async powerCut(): Promise<void> {
        await this.cutPower();
        await this.start();
    }

    /** Removes it with all that it has. */
    public async end(): Promise<void> {
        await this.container.end();
        removeMachine(this.directory);
    }

    public async [Symbol.asyncDispose](): Promise<void> {
        await this.end();
    }
}

/** What a machine has of its own, before it is first booted. */
async function furnish(root: string, name: string, cable: Cable, hostKey: KeyPair): Promise<void> {
    const put = async (path: string, content: string, mode = 0o644): Promise<string> => {
        const file = join(root, path);
        await mkdir(dirname(file), { recursive: true });
        await writeFile(file, content);
        await chmod(file, mode);
        return file;
    };
    await put("/etc/hostname", `${name}\n`);
    await put("/etc/hosts", `127.0.0.1 localhost\n::1 localhost\n127.0.1.1 ${name}\n`);
    await put("/etc/machine-id", `${randomBytes(16).toString("hex")}\n`, 0o444);
    await put("/etc/systemd/network/10-tests.network", networkFile(cable));
    await put("/etc/ssh/ssh_host_ed25519_key", hostKey.privateKey, 0o600);
    await put("/etc/ssh/ssh_host_ed25519_key.pub", `${hostKey.publicKey}\n`);
    const { publicKey } = await suiteKey();
    for (const [user, home] of [
        ["root", "/root"],
        [operator, `/home/${operator}`],
    ] as const) {
        const { uid, gid } = await idsOf(root, user);
        const file = await put(`${home}/.ssh/authorized_keys`, `${publicKey}\n`, 0o600);
        await chmod(dirname(file), 0o700);
        for (const path of [file, dirname(file)]) await chown(path, uid, gid);
    }
}

async function idsOf(root: string, user: string): Promise<{ uid: number; gid: number }> {
    const line = (await readFile(join(root, "etc/passwd"), "utf8"))
        .split("\n")
        .find((one) => one.startsWith(`${user}:`));
    const [, , uid, gid] = (line ?? "").split(":");
    if (uid === undefined || gid === undefined) throw new Error(`the machine has no user ${user}`);
    return { uid: Number(uid), gid: Number(gid) };
}
