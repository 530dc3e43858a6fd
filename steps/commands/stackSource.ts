/** The source as a stack describes it: of files of this machine, or of a homeserver that was found on one. */
import { resolve } from "node:path";
import type { MachineDescription, Service } from "../../contract/index.ts";
import { discover } from "../../engine/discover/discover.ts";
import type { Discovery, Homeserver } from "../../engine/discover/discovery.ts";
import { openMachine } from "../../engine/machines/openMachine.ts";
import { MigrationError } from "../../engine/run/errors.ts";
import { readHomeserverConfig, type HomeserverConfig } from "../../engine/synapse/config/homeserverConfig.ts";
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

/**
 * A homeserver of a machine.
 *
 * @param serverName  chooses one of several
 * @throws MigrationError SM-E1452 where there is none, SM-E1453 where it is not said which, SM-E1454 for one that cannot be stopped for good,
 *     SM-E1455 where its configuration cannot be read; SM-E0206 without a pid file
 */
export async function sourceOnMachine(
    named: NamedMachine,
    serverName: string | undefined,
    pidFile?: string,
): Promise<StackSource> {
    const machine = openMachine(named.description);
    const { discovery, configs } = await discover(machine);
    const homeserver = chosen(discovery, serverName);
    const config = configs[discovery.homeservers.indexOf(homeserver)];
    if (config === undefined)
        throw new MigrationError("SM-E1455", {
            where: machine.name,
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
    const found = {
        container: "it runs in a container",
        systemdUser: "it is a unit of a user's own systemd",
        unknown: "only workers of it are seen",
    }[service.kind];
    throw new MigrationError("SM-E1454", { where: `${serverName} on ${config.machine.name}`, found });
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
