/** Containers as `docker inspect` tells of them, for tests of what is made of that. */
import { containersIn, type ContainerFacts } from "../../../../engine/services/containers/containerFacts.ts";
import type { ProcessFacts } from "../../../../engine/machines/procfs.ts";

export interface InspectedOptions {
    readonly name: string;
    readonly status?: string;
    readonly image?: string;
    readonly labels?: Readonly<Record<string, string>>;
    /** By the container's own paths. */
    readonly mounts?: Readonly<Record<string, string>>;
    /** Name, and address and aliases on it. */
    readonly networks?: Readonly<Record<string, { readonly address?: string; readonly aliases?: readonly string[] }>>;
    readonly hostConfig?: Readonly<Record<string, unknown>>;
    readonly command?: readonly string[];
    readonly health?: string;
}

/** Of 64 digits, another one for each name. */
export const idOf = (name: string): string => Buffer.from(name.padEnd(32, "_")).toString("hex").slice(0, 64);

export function inspected(options: InspectedOptions): ContainerFacts {
    const { name, status = "running", command = ["/start.sh"], mounts = {}, networks = {} } = options;
    const [container] = containersIn([
        {
            Id: idOf(name),
            Name: `/${name}`,
            Image: options.image ?? "sha256:synapse",
            Path: command[0],
            Args: command.slice(1),
            State: {
                Status: status,
                Pid: status === "running" ? 100 : 0,
                ExitCode: 0,
                ...(options.health === undefined ? {} : { Health: { Status: options.health } }),
            },
            Config: { Labels: options.labels ?? {}, WorkingDir: "", Env: ["POSTGRES_PASSWORD=secret"] },
            HostConfig: { NetworkMode: Object.keys(networks)[0] ?? "bridge", ...options.hostConfig },
            Mounts: Object.entries(mounts).map(([Destination, Source]) => ({ Type: "bind", Source, Destination })),
            NetworkSettings: {
                Networks: Object.fromEntries(
                    Object.entries(networks).map(([network, { address = "", aliases = [] }]) => [
                        network,
                        { IPAddress: address, Aliases: aliases },
                    ]),
                ),
            },
        },
    ]);
    if (container === undefined) throw new Error("no container");
    return container;
}

/** A project of Compose, one of its services. */
export const composed = (project: string, service: string): Record<string, string> => ({
    "com.docker.compose.project": project,
    "com.docker.compose.service": service,
    "com.docker.compose.oneoff": "False",
});

let next = 100;
/** A process in a container, or on the machine itself. */
export function processIn(container: string | undefined, argv: readonly string[]): ProcessFacts {
    const pid = next++;
    return {
        ...{ pid, parent: 1, session: pid, startTicks: "1", uid: 991, gid: 991, groups: [], umask: 18 },
        ...{ argv, workingDirectory: "/", keeping: container === undefined ? {} : { container: idOf(container) } },
    };
}

export const synapseArgv = (app: string, ...files: string[]): string[] => [
    ...["/usr/local/bin/python", "-m", `synapse.app.${app}`],
    ...files.flatMap((file) => ["--config-path", file]),
];
