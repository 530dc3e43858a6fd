/** Containers, as Docker and Podman tell of them: what they are made of, and which of them would run Synapse. */
import { z } from "zod";
import type { Machine } from "../machines/machine.ts";
import { hostPath, type PathMap } from "../synapse/config/hostPath.ts";
import type { ContainerFacts } from "./discovery.ts";
import { configFiles } from "../services/synapseProcess.ts";
import { appOf } from "./sighting.ts";

export interface Container {
    readonly facts: ContainerFacts;
    /** Of its first process; 0 where it does not run. */
    readonly pid: number;
    /** Entry point and command, as the image and whoever made it say. */
    readonly argv: readonly string[];
    /** Those of Synapse's image that say where its configuration is; no others are kept, for they may be secrets. */
    readonly environment: Readonly<Record<string, string>>;
    readonly workingDirectory: string;
    /** Its volumes and bind mounts: directories as it sees them, and where they are on the machine. */
    readonly paths: PathMap;
    /** Every name under which others in one of its networks reach it, and its address there. */
    readonly addresses: readonly { readonly network: string; readonly names: readonly string[]; readonly ip: string }[];
}

const texts = z.array(z.string()).nullish();
const inspected = z.array(
    z.looseObject({
        Id: z.string(),
        Name: z.string().default(""),
        Config: z.looseObject({
            Image: z.string().nullish(),
            Env: texts,
            // Podman has had a text where Docker has a list.
            Entrypoint: z.union([z.string().transform((word) => [word]), z.array(z.string())]).nullish(),
            Cmd: texts,
            Labels: z.record(z.string(), z.string()).nullish(),
            WorkingDir: z.string().nullish(),
        }),
        ImageName: z.string().nullish(),
        State: z.looseObject({ Running: z.boolean().nullish(), Pid: z.number().int().nullish() }),
        HostConfig: z.looseObject({ RestartPolicy: z.looseObject({ Name: z.string().nullish() }).nullish() }).nullish(),
        Mounts: z.array(z.looseObject({ Source: z.string().nullish(), Destination: z.string() })).nullish(),
        NetworkSettings: z
            .looseObject({
                Networks: z
                    .record(
                        z.string(),
                        z.looseObject({ IPAddress: z.string().nullish(), Aliases: texts, DNSNames: texts }),
                    )
                    .nullish(),
            })
            .nullish(),
    }),
);

const wantedVariables = /^SYNAPSE_(CONFIG_PATH|CONFIG_DIR|WORKER)$/;

/** @param text  what `docker inspect` prints */
export function containersIn(text: string, engine: "docker" | "podman"): Container[] {
    return inspected.parse(JSON.parse(text)).map((one) => {
        const { Config: config } = one;
        const name = one.Name.replace(/^\//, "");
        const label = (key: string): string | undefined => config.Labels?.[`com.docker.compose.${key}`];
        const [project, service] = [label("project"), label("service")];
        const restartPolicy = one.HostConfig?.RestartPolicy?.Name ?? "";
        const directory = label("project.working_dir");
        const mounts = (one.Mounts ?? []).flatMap(({ Source: source, Destination: destination }) =>
            source?.startsWith("/") === true ? [[destination, source] as const] : [],
        );
        return {
            facts: {
                id: one.Id,
                name,
                image: one.ImageName ?? config.Image ?? undefined,
                engine,
                running: one.State.Running === true,
                ...(restartPolicy === "" ? {} : { restartPolicy }),
                ...(project === undefined || service === undefined
                    ? {}
                    : {
                          compose: {
                              project,
                              service,
                              ...(directory === undefined ? {} : { workingDirectory: directory }),
                              configFiles: (label("project.config_files") ?? "")
                                  .split(",")
                                  .filter((path) => path !== ""),
                          },
                      }),
            },
            pid: one.State.Pid ?? 0,
            argv: [...(config.Entrypoint ?? []), ...(config.Cmd ?? [])],
            environment: Object.fromEntries(
                (config.Env ?? [])
                    .map((line) => [line.split("=", 1)[0] ?? "", line.slice(line.indexOf("=") + 1)] as const)
                    .filter(([variable]) => wantedVariables.test(variable)),
            ),
            workingDirectory: config.WorkingDir || "/",
            paths: Object.fromEntries(mounts),
            addresses: Object.entries(one.NetworkSettings?.Networks ?? {}).map(([network, at]) => ({
                network,
                names: [name, ...(at.Aliases ?? []), ...(at.DNSNames ?? [])],
                ip: at.IPAddress ?? "",
            })),
        };
    });
}

/** What a container that does not run would start, and with which configuration; undefined where that is not Synapse. */
export function synapseIn(container: Container): { argv: string[]; configFiles: string[] } | undefined {
    const { argv, environment, workingDirectory } = container;
    const named = configFiles({ argv, workingDirectory });
    if (appOf(argv) !== undefined) return { argv: [...argv], configFiles: named };
    // The start script of Synapse's own image: what it was once called to make a configuration with is over.
    const isImage =
        /(^|\/)synapse([-:@]|$)/.test(container.facts.image ?? "") && argv.some((word) => /start\.py$/.test(word));
    if (!isImage || argv.some((word) => word === "generate" || word === "migrate_config")) return undefined;
    const usual =
        environment["SYNAPSE_CONFIG_PATH"] ?? `${environment["SYNAPSE_CONFIG_DIR"] ?? "/data"}/homeserver.yaml`;
    return {
        argv: ["python", "-m", environment["SYNAPSE_WORKER"] ?? "synapse.app.homeserver"],
        configFiles: named.length > 0 ? named : [usual],
    };
}

/** Where others in the container's networks find a name: `postgres` of a compose project. */
export function addressInNetworks(name: string, container: Container, all: readonly Container[]): string | undefined {
    const networks = new Set(container.addresses.map(({ network }) => network));
    const places = all.flatMap(({ addresses }) => addresses);
    return places.find(({ network, names, ip }) => networks.has(network) && names.includes(name) && ip !== "")?.ip;
}

/** Where a path of the container is on the machine; undefined for what is in no volume of it. */
export function onMachine({ paths }: Pick<Container, "paths">, path: string): string | undefined {
    const isMounted = Object.keys(paths).some((top) => path === top || path.startsWith(`${top.replace(/\/$/, "")}/`));
    return isMounted ? hostPath(path, paths) : undefined;
}

/** Asks an engine that runs for all of its containers. */
export async function askEngine(
    machine: Machine,
    engine: "docker" | "podman",
    timeoutSeconds: number,
    signal: AbortSignal,
): Promise<Container[]> {
    const options = { timeoutSeconds, signal };
    const { stdout } = await machine.run(engine, ["ps", "--all", "--quiet", "--no-trunc"], options);
    const ids = stdout.split("\n").filter((line) => line !== "");
    if (ids.length === 0) return [];
    return containersIn(
        (await machine.run(engine, ["inspect", "--type", "container", ...ids], options)).stdout,
        engine,
    );
}
