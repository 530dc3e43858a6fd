/** A machine on which `docker` answers out of memory, and nothing else is there: what is asked of it in which order, and what it may refuse. */
import type { Machine } from "../../../../engine/machines/machine.ts";
import { MigrationError } from "../../../../engine/run/errors.ts";
import { idOf } from "./inspected.ts";

export interface FakeContainer {
    readonly name: string;
    status: "running" | "exited";
    restart: string;
    pidsLimit: number | null;
    readonly labels?: Readonly<Record<string, string>>;
    readonly autoRemove?: boolean;
    readonly mounts?: Readonly<Record<string, string>>;
    readonly networks?: Readonly<Record<string, string>>;
    /** It ends as soon as it is started. */
    readonly fails?: boolean;
}

export interface FakeEngine {
    readonly machine: Machine;
    /** What was done, without what was looked at: `stop synapse`. */
    readonly done: string[];
}

export interface FakeOptions {
    readonly userId?: number;
    /** Words of a command that is refused. */
    readonly refuses?: string;
    /** Takes limits of tasks without keeping them, as an engine without that control group. */
    readonly forgetsLimits?: boolean;
}

export function fakeEngine(containers: FakeContainer[], options: FakeOptions = {}): FakeEngine {
    const done: string[] = [];
    const one = (id: string): FakeContainer => {
        const found = containers.find(({ name }) => id === name || id === idOf(name));
        if (found === undefined) throw new Error(`No such container: ${id}`);
        return found;
    };
    const docker = (verb: string, args: readonly string[]): string => {
        if (verb === "ps") return containers.map(({ name }) => `${idOf(name)}\n`).join("");
        if (verb === "inspect")
            return JSON.stringify(
                args.filter((word) => /^[0-9a-f]{64}$/.test(word)).map((id) => inspectionOf(one(id))),
            );
        if (verb === "network") return "172.17.0.1 \n";
        const own = args.filter((word) => /^[0-9a-f]{64}$/.test(word)).map(one);
        const settings = args.filter((word) => word.startsWith("--"));
        done.push([verb, ...settings.filter((word) => word !== "--time"), ...own.map(({ name }) => name)].join(" "));
        for (const container of own) {
            if (verb === "stop") container.status = "exited";
            if (verb === "start") container.status = container.fails === true ? "exited" : "running";
            for (const setting of settings) {
                const [name, value = ""] = setting.split("=");
                if (name === "--restart") container.restart = value;
                if (name === "--pids-limit" && options.forgetsLimits !== true)
                    container.pidsLimit = Math.max(Number(value), 0);
            }
        }
        return "";
    };
    const machine = {
        name: "root@old",
        isHere: false,
        userId: () => Promise.resolve(options.userId ?? 0),
        run: (program: string, args: readonly string[]) => {
            const command = [program, ...args].join(" ");
            const refuse = (found: string) =>
                Promise.reject(new MigrationError("SM-E1101", { where: program, found, expected: "" }));
            if (options.refuses !== undefined && command.includes(options.refuses)) return refuse("permission denied");
            if (program !== "docker") return refuse("it could not be started");
            const [verb = "", ...rest] = args;
            return Promise.resolve({ stdout: docker(verb, rest), stderr: "", seconds: 0 });
        },
        files: {
            list: () => Promise.resolve([]),
            read: () => Promise.reject(Object.assign(new Error("no such file"), { code: "ENOENT" })),
        },
    };
    // Nothing else of it is asked for.
    return { machine: machine as unknown as Machine, done };
}

function inspectionOf(container: FakeContainer): object {
    const { name, status, restart, pidsLimit, labels = {}, autoRemove = false, mounts = {}, networks = {} } = container;
    return {
        Id: idOf(name),
        Name: `/${name}`,
        Image: "sha256:synapse",
        Path: "/start.py",
        Args: ["synapse"],
        State: { Status: status, Pid: 0, ExitCode: 1 },
        Config: { Labels: labels, WorkingDir: "" },
        HostConfig: {
            RestartPolicy: { Name: restart, MaximumRetryCount: 0 },
            PidsLimit: pidsLimit,
            AutoRemove: autoRemove,
            NetworkMode: Object.keys(networks)[0] ?? "bridge",
        },
        Mounts: Object.entries(mounts).map(([Destination, Source]) => ({ Destination, Source })),
        NetworkSettings: {
            Networks: Object.fromEntries(
                Object.entries(networks).map(([network, IPAddress]) => [network, { IPAddress }]),
            ),
        },
    };
}
