/** What `docker inspect` says of containers, read without guessing. Pure. Of the variables of their environments one is kept: others are secrets. */
import { z } from "zod";

/** A directory or file of the machine, as the container has it. */
export interface ContainerMount {
    /** In the container. */
    readonly destination: string;
    /** On the machine; empty for what is only in memory. */
    readonly source: string;
}

interface ContainerNetwork {
    readonly name: string;
    /** Empty while the container does not run. */
    readonly address: string;
    /** What the other containers of the network call it, beside its name and the beginning of its id. */
    readonly aliases: readonly string[];
}

export interface ContainerFacts {
    readonly id: string;
    readonly name: string;
    readonly image: string;
    /** `created`, `running`, `paused`, `restarting`, `exited`, `dead`, `removing`. */
    readonly status: string;
    /** Of its first process on the machine; 0 while it does not run. */
    readonly pid: number;
    /** `starting`, `healthy`, `unhealthy`; undefined where nothing looks after that. */
    readonly health: string | undefined;
    readonly exitCode: number;
    readonly labels: Readonly<Record<string, string>>;
    /** As `docker update --restart` has it. */
    readonly restart: string;
    /** 0 for any number. */
    readonly pidsLimit: number;
    /** It is gone as soon as it has ended (`--rm`). */
    readonly autoRemove: boolean;
    /** `host`, `none`, `container:<id>`, or the name of a network. */
    readonly networkMode: string;
    readonly networks: readonly ContainerNetwork[];
    /** `<name>:<address>`, of its hosts file. */
    readonly extraHosts: readonly string[];
    readonly mounts: readonly ContainerMount[];
    readonly workingDirectory: string;
    /** The first role of a PostgreSQL server in it, where its image was told one. */
    readonly databaseRole: string | undefined;
    /** What it was told to run. */
    readonly command: readonly string[];
    /** Ports of the machine that lead into it when it runs. */
    readonly publishedPorts: readonly number[];
}

const list = z.array(z.string()).nullish();
const inspected = z.looseObject({
    Id: z.string(),
    Name: z.string(),
    Image: z.string(),
    Path: z.string().nullish(),
    Args: list,
    State: z.looseObject({
        Status: z.string(),
        Pid: z.number(),
        ExitCode: z.number().nullish(),
        Health: z.looseObject({ Status: z.string() }).nullish(),
    }),
    Config: z.looseObject({
        Labels: z.record(z.string(), z.string()).nullish(),
        WorkingDir: z.string().nullish(),
        Env: list,
    }),
    HostConfig: z.looseObject({
        RestartPolicy: z.looseObject({ Name: z.string(), MaximumRetryCount: z.number().nullish() }).nullish(),
        PidsLimit: z.number().nullish(),
        AutoRemove: z.boolean().nullish(),
        NetworkMode: z.string().nullish(),
        ExtraHosts: list,
        PortBindings: z
            .record(z.string(), z.array(z.looseObject({ HostPort: z.string().nullish() })).nullish())
            .nullish(),
    }),
    Mounts: z.array(z.looseObject({ Source: z.string().nullish(), Destination: z.string() })).nullish(),
    NetworkSettings: z.looseObject({
        Networks: z
            .record(z.string(), z.looseObject({ IPAddress: z.string().nullish(), Aliases: list, DNSNames: list }))
            .nullish(),
    }),
});

/** @throws z.ZodError for what is no answer of `docker inspect` */
export function containersIn(answer: unknown): ContainerFacts[] {
    return z.array(inspected).parse(answer).map(factsOf);
}

function factsOf(one: z.infer<typeof inspected>): ContainerFacts {
    const { State: state, HostConfig: host, Config: config } = one;
    const { Name: policy = "", MaximumRetryCount: retries } = host.RestartPolicy ?? {};
    const bindings = Object.values(host.PortBindings ?? {}).flatMap((ports) => ports ?? []);
    return {
        id: one.Id,
        name: one.Name.replace(/^\//, ""),
        image: one.Image,
        status: state.Status,
        pid: state.Pid,
        // Of Podman, an empty one is no health check.
        health: state.Health?.Status || undefined,
        exitCode: state.ExitCode ?? 0,
        labels: config.Labels ?? {},
        restart: policy === "" ? "no" : policy === "on-failure" && retries ? `${policy}:${retries}` : policy,
        // Without a limit it is null, 0 or -1, in this order of how it came about.
        pidsLimit: Math.max(host.PidsLimit ?? 0, 0),
        autoRemove: host.AutoRemove ?? false,
        networkMode: host.NetworkMode ?? "",
        networks: Object.entries(one.NetworkSettings.Networks ?? {}).map(([name, network]) => ({
            name,
            address: network.IPAddress ?? "",
            aliases: [...new Set([...(network.Aliases ?? []), ...(network.DNSNames ?? [])])],
        })),
        extraHosts: host.ExtraHosts ?? [],
        mounts: (one.Mounts ?? []).map(({ Source, Destination }) => ({
            source: Source ?? "",
            destination: Destination,
        })),
        workingDirectory: config.WorkingDir || "/",
        databaseRole: /^POSTGRES_USER=(.+)$/m.exec((config.Env ?? []).join("\n"))?.[1],
        command: [...(one.Path ? [one.Path] : []), ...(one.Args ?? [])],
        publishedPorts: [...new Set(bindings.map(({ HostPort }) => Number(HostPort)))].filter((port) => port > 0),
    };
}

/** Nothing of it runs, nor is about to by itself. */
export const isStopped = ({ status }: ContainerFacts): boolean => ["created", "exited", "dead"].includes(status);

/** Of a project of Compose; what `docker compose run` has made is none of its services'. */
export function composeServiceOf({ labels }: ContainerFacts): { project: string; service: string } | undefined {
    const { "com.docker.compose.project": project, "com.docker.compose.service": service } = labels;
    const isOnce = labels["com.docker.compose.oneoff"]?.toLowerCase() === "true";
    return project === undefined || service === undefined || isOnce ? undefined : { project, service };
}

const shownDigits = 12;
export const shortId = (id: string): string => id.slice(0, shownDigits);

/** For evidence. */
export function describeContainer(container: ContainerFacts): string {
    const { name, id, status, restart, health, labels } = container;
    const compose = composeServiceOf(container);
    const of = compose === undefined ? "" : `, service ${compose.service} of ${compose.project}`;
    const place = labels["com.docker.compose.project.working_dir"];
    return `container ${name} (${shortId(id)}${of}${place === undefined ? "" : ` in ${place}`}): ${status}${
        health === undefined || status !== "running" ? "" : `, ${health}`
    }, restart policy ${restart}`;
}
