/** One homeserver: what its configuration, its files, its database and it itself tell. Nothing of that is needed for the rest to be told. */
import type { Machine } from "../machines/machine.ts";
import { userName } from "../machines/serviceUser.ts";
import { mergeConfigFiles } from "../synapse/config/configFiles.ts";
import { readHomeserverConfig, type HomeserverConfig } from "../synapse/config/homeserverConfig.ts";
import type { Listener } from "../synapse/config/listeners.ts";
import { applicationServicesOf, authenticationServiceOf, withoutUser } from "./appServices.ts";
import { reasonOf, type Budget } from "./budget.ts";
import { onMachine, type Container } from "./containers.ts";
import { lookAtDatabase } from "./databasePlace.ts";
import type { ContainerFacts, Homeserver, HomeserverService, Worker } from "./discovery.ts";
import { mediaOf } from "./media.ts";
import { ofProcess, seenThrough } from "./rooted.ts";
import { appOf, type SightedHomeserver, type Sighting } from "./sighting.ts";
import { installedVersion, runningVersion } from "./version.ts";

export interface Surroundings {
    readonly machine: Machine;
    readonly budget: Budget;
    readonly containers: readonly Container[];
    /** Units of systemd that run the client of a container's engine, by the container's name. */
    readonly unitsOfContainers: ReadonlyMap<string, string>;
    readonly passwd: string;
}

/** Of what the time is for, so that one homeserver leaves some to the next. */
const seconds = { config: 3, version: 2, database: 5, media: 4 } as const;

/** A configuration that could be read, with what it is read through. */
export interface ReadHomeserver {
    readonly homeserver: Homeserver;
    readonly config: HomeserverConfig | undefined;
}

export async function lookAtHomeserver(sighted: SightedHomeserver, around: Surroundings): Promise<ReadHomeserver> {
    const { machine, budget, containers } = around;
    const first = sighted.main ?? sighted.workers[0];
    if (first === undefined) throw new Error("nothing was sighted");
    const unclear: string[] = sighted.otherMains.map(
        (one) => `the same configuration is also that of ${describeSighting(one)}`,
    );
    const container = containers.find(({ facts }) => facts.id === first.container);
    const inside = insideOf(machine, first, container);
    const read = await budget.attempt(seconds.config, () =>
        readHomeserverConfig(first.configFiles, {
            machine: inside,
            ...(first.workingDirectory === undefined ? {} : { workingDirectory: first.workingDirectory }),
        }),
    );
    const config = "value" in read ? read.value : undefined;
    if (first.configFiles.length === 0) unclear.push("its command line names no configuration");
    else if ("reason" in read) unclear.push(`its configuration cannot be read: ${read.reason}`);
    const [version, database, media, workers, applicationServices] = await Promise.all([
        versionsOf(first, inside, config, around),
        config === undefined
            ? undefined
            : lookAtDatabase(first, config, { ...around, container, seconds: seconds.database }),
        config === undefined
            ? undefined
            : mediaOf(config, Math.min(seconds.media, Math.max(0, budget.secondsLeft - 1))),
        workersOf(sighted.workers, config, around),
        config === undefined ? [] : applicationServicesOf(config, unclear),
    ]);
    const name = first.uid === undefined ? undefined : userName(around.passwd, first.uid);
    const account = authenticationServiceOf(config?.sections ?? {});
    const homeserver: Homeserver = {
        ...(config === undefined ? {} : { serverName: config.serverName }),
        running: sighted.main?.running === true,
        version,
        service: serviceOf(sighted.main, config, around),
        ...(first.uid === undefined ? {} : { user: { uid: first.uid, ...(name === undefined ? {} : { name }) } }),
        ...(first.workingDirectory === undefined ? {} : { workingDirectory: first.workingDirectory }),
        ...(first.argv[0] === undefined ? {} : { program: first.argv[0] }),
        configFiles: [...first.configFiles],
        paths: { ...container?.paths },
        ...(config?.publicBaseUrl === undefined ? {} : { publicBaseUrl: withoutUser(config.publicBaseUrl) }),
        listeners: (config?.listeners ?? []).map(describeListener),
        ...(database === undefined ? {} : { database }),
        ...(media === undefined ? {} : { media }),
        workers,
        applicationServices,
        ...(account === undefined ? {} : { authenticationService: account }),
        notUnderstood: unclear,
    };
    return { homeserver, config };
}

function insideOf(machine: Machine, { pid, container: id }: Sighting, container: Container | undefined): Machine {
    if (id === undefined) return machine;
    if (pid !== undefined) return seenThrough(machine, ofProcess(pid));
    const nowhere = "/proc/self/fdinfo/not-in-a-volume";
    return seenThrough(machine, (path) =>
        container === undefined ? nowhere : (onMachine(container, path) ?? `${nowhere}${path}`),
    );
}

async function versionsOf(
    first: Sighting,
    inside: Machine,
    config: HomeserverConfig | undefined,
    { machine, budget }: Surroundings,
): Promise<Homeserver["version"]> {
    // A container's own ports are not this machine's.
    const asked = config !== undefined && first.running && first.container === undefined;
    const [running, installed] = await Promise.all([
        asked ? budget.attempt(seconds.version, () => runningVersion(config)) : { value: undefined },
        budget.attempt(seconds.version, () => installedVersion(machine, inside, first)),
    ]);
    return {
        ...("value" in running && running.value !== undefined ? { running: running.value } : {}),
        ...("value" in installed && installed.value !== undefined ? { installed: installed.value } : {}),
    };
}

async function workersOf(
    sighted: readonly Sighting[],
    config: HomeserverConfig | undefined,
    { machine, containers, unitsOfContainers, budget }: Surroundings,
): Promise<Worker[]> {
    const seen = await Promise.all(
        sighted.map(async (one): Promise<Worker> => {
            const container = containers.find(({ facts }) => facts.id === one.container);
            const inside = insideOf(machine, one, container);
            const read = await budget.attempt(seconds.config, () => mergeConfigFiles(inside, one.configFiles));
            const sections = "value" in read ? read.value.sections : {};
            const name = sections["worker_name"];
            const app = appOf(one.argv);
            const unit = one.userUnit ?? one.unit ?? unitsOfContainers.get(container?.facts.name ?? "");
            return {
                ...(typeof name === "string" ? { name } : {}),
                ...(app === undefined ? {} : { app }),
                running: one.running,
                ...(one.pid === undefined ? {} : { pid: one.pid }),
                ...(unit === undefined ? {} : { unit }),
                ...(one.container === undefined ? {} : { container: container?.facts.name ?? one.container }),
            };
        }),
    );
    const known = new Set(seen.map(({ name }) => name));
    const named = (config?.workers ?? []).filter((name) => !known.has(name)).map((name) => ({ name, running: false }));
    return [...seen, ...named].sort((a, b) => (a.name ?? "").localeCompare(b.name ?? "", "en", { numeric: true }));
}

function serviceOf(
    main: Sighting | undefined,
    config: HomeserverConfig | undefined,
    { containers, unitsOfContainers }: Surroundings,
): HomeserverService {
    if (main === undefined) return { kind: "unknown" };
    if (main.container !== undefined) {
        const facts: ContainerFacts = containers.find(({ facts: one }) => one.id === main.container)?.facts ?? {
            id: main.container,
            running: main.running,
        };
        const unit = unitsOfContainers.get(facts.name ?? "");
        return { kind: "container", container: { ...facts, ...(unit === undefined ? {} : { unit }) } };
    }
    if (main.userUnit !== undefined) return { kind: "systemdUser", units: [main.userUnit] };
    if (main.unit !== undefined) return { kind: "systemd", units: [main.unit] };
    return {
        kind: "process",
        ...(main.pid === undefined ? {} : { pid: main.pid }),
        ...(config?.pidFile === undefined ? {} : { pidFile: config.pidFile }),
    };
}

function describeSighting({ unit, container, pid, running }: Sighting): string {
    const what =
        unit !== undefined
            ? `the unit ${unit}`
            : container !== undefined
              ? `the container ${container}`
              : `process ${pid ?? 0}`;
    return running ? what : `${what}, which does not run`;
}

function describeListener({ type, port, socketPath, bindAddresses, tls, resources }: Listener): string {
    const address = bindAddresses.length === 0 ? "*" : bindAddresses.join(", ");
    const place = port === undefined ? (socketPath ?? "") : `${address}:${port}`;
    const served = resources.length === 0 ? type : resources.join(", ");
    return `${place}${tls ? " (TLS)" : ""} ${served}`;
}
