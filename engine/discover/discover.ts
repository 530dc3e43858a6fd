/** Finds the homeservers of a machine, and what surrounds them, in ten seconds. Reads, and changes nothing. */
import { basename } from "node:path";
import type { Machine } from "../machines/machine.ts";
import { orElse, procText } from "../machines/procText.ts";
import { allProcesses, type ProcessFacts } from "../machines/procfs.ts";
import { redact } from "../run/redaction.ts";
import { keepsWhatItStarts } from "../services/keeper.ts";
import type { UnitFacts } from "../services/systemd/unitFacts.ts";
import type { HomeserverConfig } from "../synapse/config/homeserverConfig.ts";
import { Budget } from "./budget.ts";
import { askEngine, type Container } from "./containers.ts";
import { discoveryVersion, type Discovery } from "./discovery.ts";
import { lookAtHomeserver, type ReadHomeserver } from "./homeserver.ts";
import { authenticationServices, mediaRepositories, strangers } from "./neighbours.ts";
import { reverseProxies } from "./reverseProxies.ts";
import { groundOf } from "./rooted.ts";
import { homeserversAmong, type Sighting } from "./sighting.ts";
import { idleContainers, idleUnits, sightingsAmong } from "./sightings.ts";
import { allServices } from "./units.ts";

/** Some of ten are left for the connection and the answer. */
const wholeSeconds = 8.5;
const engineSeconds = 4;
const systemdSeconds = 4;
const proxySeconds = 3;

export interface Discovered {
    readonly discovery: Discovery;
    /** The configuration of each homeserver of the discovery, in its order; undefined where it could not be read. They hold secrets. */
    readonly configs: readonly (HomeserverConfig | undefined)[];
}

/** @throws MigrationError SM-E1401 to SM-E1405 when the machine is not reached */
export async function discover(machine: Machine): Promise<Discovered> {
    const asRoot = (await machine.userId()) === 0;
    const started = performance.now();
    const budget = new Budget(wholeSeconds);
    const [processes, ground, passwd] = await Promise.all([
        budget.part("processes", wholeSeconds, () => allProcesses(machine), [] as ProcessFacts[]),
        groundOf(machine),
        orElse(procText(machine, "/etc/passwd", 65_536), ""),
    ]);
    const [sighted, containers, units] = await Promise.all([
        sightingsAmong(machine, processes, ground),
        allContainers(machine, processes, budget),
        budget.part("systemd's units", systemdSeconds, (signal) => allServices(machine, systemdSeconds, signal), []),
    ]);
    const running = new Set(sighted.flatMap(({ unit }) => unit ?? []));
    const idle = [
        ...(await idleUnits(
            machine,
            (units ?? []).filter(({ name }) => !running.has(name)),
        )),
        ...(await idleContainers(machine, containers)),
    ];
    const clients = clientsOfContainers(processes);
    const accounted = new Set([...[...sighted, ...idle].flatMap(({ unit }) => unit ?? []), ...clients.values()]);
    const around = { machine, budget, containers, passwd, unitsOfContainers: clients };
    const groups = homeserversAmong([...sighted, ...idle]);
    const read: ReadHomeserver[] = await Promise.all(groups.map((group) => lookAtHomeserver(group, around)));
    const homeservers = read.map(({ homeserver }) => homeserver);
    const proxies = await budget.part(
        "reverse proxies",
        proxySeconds,
        (signal) => reverseProxies(machine, processes, ground, wordsOf(read), signal),
        [],
    );
    const [repositories, services] = await Promise.all([
        mediaRepositories(machine, processes, ground),
        authenticationServices(machine, processes, ground),
    ]);
    const notSeen = [...budget.notSeen, ...withoutRights(asRoot, processes, sighted)];
    return {
        discovery: {
            ...{ version: discoveryVersion, machine: machine.name, asRoot, homeservers },
            seconds: Math.round((performance.now() - started) / 100) / 10,
            reverseProxies: proxies.filter(({ ports, mentions }) => !asRoot || ports.length + mentions.length > 0),
            mediaRepositories: repositories,
            authenticationServices: services,
            notSeen,
            notUnderstood: [...strangers(processes), ...unclearUnits(units ?? [], accounted)],
        },
        configs: read.map(({ config }) => config),
    };
}

/** Engines are asked only where they run already: one that is started by being asked would be left behind. */
async function allContainers(
    machine: Machine,
    processes: readonly ProcessFacts[],
    budget: Budget,
): Promise<Container[]> {
    const runs = (name: string): boolean => processes.some(({ argv }) => basename(argv[0] ?? "") === name);
    const ask = (engine: "docker" | "podman") =>
        budget.part(
            `containers of ${engine}`,
            engineSeconds,
            (signal) => askEngine(machine, engine, engineSeconds, signal),
            [] as Container[],
        );
    const asked = await Promise.all([
        ...(runs("dockerd") ? [ask("docker")] : []),
        ...(runs("conmon") ? [ask("podman")] : []),
    ]);
    return asked.flat();
}

/**
 * `docker start --attach NAME` and `docker run --name NAME` of a unit keep a container as a unit keeps a process; so does `conmon -n NAME`, which
 * Podman leaves there. Pure.
 */
export function clientsOfContainers(processes: readonly ProcessFacts[]): Map<string, string> {
    return new Map(
        processes.flatMap(({ argv, keeping }) => {
            const client = argv.findIndex((word) => /(^|\/)(docker|podman|nerdctl|conmon)$/.test(word));
            if (client < 0 || client > 1 || keeping.unit === undefined) return [];
            const isKeeper = /(^|\/)conmon$/.test(argv[client] ?? "");
            if (isKeeper && !keepsWhatItStarts(keeping.unit)) return [];
            const named = argv.findIndex((word) => word === (isKeeper ? "-n" : "--name"));
            const inline = argv.map((word) => /^--name=(.+)$/.exec(word)?.[1]).find((name) => name !== undefined);
            const started = argv[client + 1] === "start" ? argv.at(-1) : undefined;
            const name = inline ?? (named < 0 ? started : argv[named + 1]);
            return name === undefined ? [] : [[name, keeping.unit] as const];
        }),
    );
}

/** What a proxy's configuration would name: server names, and the ports of homeservers. */
function wordsOf(read: readonly ReadHomeserver[]): string[] {
    const words = read.flatMap(({ config }) => [
        ...(config === undefined ? [] : [config.serverName]),
        ...(config?.publicBaseUrl === undefined ? [] : [hostOf(config.publicBaseUrl)]),
        ...(config?.listeners ?? []).flatMap(({ port }) => (port === undefined || port === 0 ? [] : [`:${port}`])),
    ]);
    return [...new Set(words.filter((word) => word !== ""))];
}

const hostOf = (url: string): string => (URL.canParse(url) ? new URL(url).hostname : "");

function withoutRights(asRoot: boolean, processes: readonly ProcessFacts[], sighted: readonly Sighting[]): string[] {
    if (asRoot) return [];
    const hidden = processes.filter(({ workingDirectory }) => workingDirectory === undefined).length;
    const inContainers = sighted.filter(({ container }) => container !== undefined).length;
    return [
        ...(processes.some(({ pid }) => pid === 1)
            ? []
            : ["processes of other users: they are hidden from this user (hidepid)"]),
        `this is not root: directory, variables and sockets of ${hidden} processes of other users, and files that only they may read`,
        ...(inContainers === 0 ? [] : [`files of the ${inContainers} processes of Synapse that are in containers`]),
    ];
}

/**
 * Units that by their name or their command are about Synapse, and that nothing here accounts for. Pure.
 *
 * @param accounted  names of units whose processes or command lines are those of a homeserver
 */
export function unclearUnits(services: readonly UnitFacts[], accounted: ReadonlySet<string>): string[] {
    return services
        .filter(({ name, loadState }) => !accounted.has(name) && ["loaded", "masked"].includes(loadState))
        .filter(({ name, words }) => [name, ...words].some((word) => /synapse/i.test(word)))
        .map(({ name, activeState, words }) => `${name} (${activeState}): ${redact(words.join(" ")).slice(0, 160)}`);
}
