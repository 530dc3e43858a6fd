/** The source as a stack describes it: of files of this machine, or of a homeserver that was found on one. */
import { resolve } from "node:path";
import type { MachineDescription, Service } from "../../contract/index.ts";
import { discover, type Discovered } from "../../engine/discover/discover.ts";
import type { ContainerFacts, Discovery, Homeserver } from "../../engine/discover/discovery.ts";
import { openMachine } from "../../engine/machines/openMachine.ts";
import { MigrationError } from "../../engine/run/errors.ts";
import { readHomeserverConfig, type HomeserverConfig } from "../../engine/synapse/config/homeserverConfig.ts";
import { readSourceConfig } from "../../engine/synapse/config/sourceConfig.ts";
import type { NamedMachine } from "./machineOptions.ts";

/** What a stack's source is made of. */
export interface StackSource {
    readonly config: HomeserverConfig;
    readonly homeserverConfig: readonly string[];
    /** Where directories that the configuration names are on the machine. */
    readonly paths: Readonly<Record<string, string>>;
    readonly machine: MachineDescription;
    readonly service: Service;
    /** Where values come from, by their place below `source`; and what was found besides. Absent for files that were named. */
    readonly found?: FoundSource;
}

export interface FoundSource {
    readonly named: NamedMachine;
    readonly homeserver: Homeserver;
    readonly discovery: Discovery;
}

export interface FileOptions {
    readonly paths: Readonly<Record<string, string>>;
    /** Overrides `pid_file`. */
    readonly pidFile: string | undefined;
}

/** Files of this machine, and a process that its pid file names. @throws MigrationError as `readHomeserverConfig`; SM-E0206 without a pid file */
export async function sourceOfFiles(from: readonly string[], { paths, pidFile }: FileOptions): Promise<StackSource> {
    const config = await readHomeserverConfig(from, { paths });
    return {
        ...{ config, paths },
        homeserverConfig: from.map((path) => resolve(path)),
        machine: { kind: "local" },
        service: { kind: "process", pidFile: pidFile ?? requiredPidFile(config) },
    };
}

export interface Choice {
    readonly named: NamedMachine;
    /** Chooses one of several. */
    readonly serverName?: string | undefined;
    /** Overrides `pid_file`. */
    readonly pidFile?: string | undefined;
}

/**
 * A homeserver of a machine.
 *
 * Its configuration is read once more, as the steps will read it: a container's files through its mounts, and not through its process, which is
 * gone when they are needed most.
 *
 * @throws MigrationError as {@link sourceAmong} and `readSourceConfig`; SM-E1401 to SM-E1405 when the machine is not reached
 */
export async function sourceOnMachine(choice: Choice): Promise<StackSource> {
    const source = sourceAmong(await discover(openMachine(choice.named.description)), choice);
    const { homeserverConfig, machine, service } = source;
    const { serverName } = source.config;
    const described = { kind: "selfHosted" as const, serverName, homeserverConfig: [...homeserverConfig] };
    return { ...source, config: await readSourceConfig({ ...described, machine, service }) };
}

/**
 * Pure.
 *
 * @throws MigrationError SM-E1452 where there is none, SM-E1453 where it is not said which, SM-E1454 for one that cannot be stopped for good,
 *     SM-E1455 where its configuration cannot be read; SM-E0206 without a pid file
 */
export function sourceAmong({ discovery, configs }: Discovered, { named, serverName, pidFile }: Choice): StackSource {
    const homeserver = chosen(discovery, serverName);
    const config = configs[discovery.homeservers.indexOf(homeserver)];
    if (config === undefined)
        throw new MigrationError("SM-E1455", {
            where: discovery.machine,
            found: [...homeserver.notUnderstood, ...discovery.notSeen].join("\n"),
        });
    return {
        ...{ config, paths: {}, machine: named.description, service: serviceOf(homeserver, config, pidFile) },
        homeserverConfig: homeserver.configFiles,
        found: { named, homeserver, discovery },
    };
}

function chosen({ homeservers, machine, notSeen }: Discovery, serverName: string | undefined): Homeserver {
    const names = homeservers.map((one) => one.serverName ?? "one whose configuration cannot be read");
    const fitting = homeservers.filter((one) => serverName === undefined || one.serverName === serverName);
    const [only, ...more] = fitting;
    if (only !== undefined && more.length === 0) return only;
    if (homeservers.length === 0)
        throw new MigrationError("SM-E1452", {
            where: machine,
            found: ["no process, unit or container of Synapse", ...notSeen].join("\n"),
        });
    throw new MigrationError("SM-E1453", {
        where: machine,
        found: names.join("\n"),
        ...(serverName === undefined ? {} : { expected: `one that is ${serverName}` }),
    });
}

function serviceOf(homeserver: Homeserver, config: HomeserverConfig, pidFile: string | undefined): Service {
    const { service, serverName = "" } = homeserver;
    if (service.kind === "systemd") return { kind: "systemd", units: [...service.units] };
    if (service.kind === "process") return { kind: "process", pidFile: pidFile ?? requiredPidFile(config) };
    if (service.kind === "container") {
        const contained = serviceOfContainer(service.container);
        if (contained !== undefined) return contained;
    }
    const found = {
        container:
            "it runs in a container that neither Docker nor root's Podman has told of: a rootless Podman's, or another engine's",
        systemdUser: "it is a unit of a user's own systemd",
        unknown: "only workers of it are seen",
    }[service.kind];
    throw new MigrationError("SM-E1454", { where: `${serverName} on ${config.machine.name}`, found });
}

/** By what starts it again when it is gone: the unit that runs it, else its project, else itself. */
function serviceOfContainer({ name, engine, compose, unit }: ContainerFacts): Service | undefined {
    if (unit !== undefined) return { kind: "systemd", units: [unit] };
    if (name === undefined || engine === undefined) return undefined;
    const by = engine === "docker" ? {} : { engine };
    if (compose === undefined) return { kind: "container", name, ...by };
    return { kind: "compose", project: compose.project, services: [compose.service], ...by };
}

function requiredPidFile(config: HomeserverConfig): string {
    if (config.pidFile !== undefined) return config.pidFile;
    throw new MigrationError("SM-E0206", {
        where: config.files.join(", "),
        found: "no pid_file",
        expected: "the file that tells which process is the homeserver",
        fix: "set pid_file in homeserver.yaml and restart Synapse, or give --pid-file",
    });
}
