/** Where a server is that a container calls by a name or an address of its own networks. Pure. */
import { isIP } from "node:net";
import { MigrationError } from "../../run/errors.ts";
import { describeContainer, shortId, type ContainerFacts } from "./containerFacts.ts";

/** What is known of the machine's containers. */
export interface Surroundings {
    readonly machine: string;
    readonly all: readonly ContainerFacts[];
    /** The machine's own address for containers that say nothing else. */
    readonly gateway: string | undefined;
}

const loopback = new Set(["localhost", "127.0.0.1", "::1"]);

/**
 * A host as the container's machine reaches it: a container's address on a bridge is one of the machine's own network, too.
 *
 * @param of  the container that calls it so; undefined where it is gone, as one made with `--rm` is when it has ended: then its name is looked
 *     for on all networks
 * @throws MigrationError SM-E1475 for a container that does not run, or cannot be told
 */
export function placeOnMachine(host: string, of: ContainerFacts | undefined, around: Surroundings): string {
    const self = of === undefined ? undefined : whoseNetwork(of, around.all);
    if (self?.networkMode === "host") return host;
    if (loopback.has(host)) return self === undefined ? host : addressOf(self, host, self, around);
    const given = of?.extraHosts
        .map((line) => /^([^:=]+)[:=](.*)$/.exec(line) ?? [])
        .find(([, name]) => name === host)?.[2];
    if (given !== undefined && given !== "host-gateway") return given;
    if (given !== undefined || host === "host.docker.internal" || host === "host.containers.internal")
        return around.gateway ?? "127.0.0.1";
    if (isIP(host) !== 0) return host;
    const shared = new Set(self?.networks.map(({ name }) => name));
    const called = around.all.filter(
        (one) => one.id !== of?.id && isCalled(one, host, self === undefined ? undefined : shared),
    );
    const running = called.filter(({ status }) => status === "running");
    const [found = called[0], another] = running;
    // A name of another machine, which this one knows as well.
    if (found === undefined && host.includes(".")) return host;
    if (found === undefined || another !== undefined)
        throw new MigrationError("SM-E1475", {
            where: `${host}, as ${of?.name ?? "the container"} on ${around.machine} calls it`,
            found:
                found === undefined
                    ? `no container of that name on ${[...shared].join(", ") || "any network"}`
                    : `several of that name: ${running.map(describeContainer).join("; ")}`,
        });
    return addressOf(found, host, self, around);
}

/** With `--network container:<id>` it has no network of its own. */
export function whoseNetwork(of: ContainerFacts, all: readonly ContainerFacts[]): ContainerFacts {
    const other = /^container:(.+)$/.exec(of.networkMode)?.[1];
    if (other === undefined) return of;
    return all.find(({ id, name }) => id === other || name === other) ?? of;
}

function isCalled(
    { name, id, networks }: ContainerFacts,
    host: string,
    shared: ReadonlySet<string> | undefined,
): boolean {
    const there = networks.filter((network) => shared?.has(network.name) ?? true);
    return there.some(({ aliases }) => [name, shortId(id), ...aliases].includes(host));
}

function addressOf(
    found: ContainerFacts,
    host: string,
    self: ContainerFacts | undefined,
    { machine }: Surroundings,
): string {
    const shared = self?.networks.map(({ name }) => name);
    const at = found.networks.find(({ name, address }) => address !== "" && (shared?.includes(name) ?? true));
    if (at !== undefined) return at.address;
    throw new MigrationError("SM-E1475", {
        where: `${host} on ${machine}`,
        found: `${describeContainer(found)}: it has no address`,
        expected: "a container that runs, on a network that the machine reaches",
    });
}
