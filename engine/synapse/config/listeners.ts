/** The `listeners:` section of homeserver.yaml (synapse/config/server.py, parse_listener_def). */
import { isIPv6 } from "node:net";
import { z } from "zod";
import { MigrationError } from "../../run/errors.ts";

/** What a base URL on a Unix socket begins with; the path of the socket follows, encoded. */
export const socketScheme = "http+unix://";

export interface Listener {
    readonly type: string;
    /** Undefined for a Unix socket. */
    readonly port: number | undefined;
    readonly socketPath: string | undefined;
    readonly bindAddresses: readonly string[];
    readonly tls: boolean;
    /** Names such as `client` and `federation`; empty for other types than http. */
    readonly resources: readonly string[];
}

const shape = z.array(
    z.looseObject({
        type: z.string(),
        port: z.number().int().min(0).max(65_535).optional(),
        path: z.string().optional(),
        tls: z.boolean().nullish(),
        bind_address: z.string().nullish(),
        bind_addresses: z.array(z.string()).nullish(),
        resources: z.array(z.looseObject({ names: z.array(z.string()).default([]) })).nullish(),
    }),
);

/** @throws MigrationError SM-E0206 for a listener that Synapse would refuse */
export function listenersOf(sections: Readonly<Record<string, unknown>>, where: string): Listener[] {
    const parsed = shape.safeParse(sections["listeners"] ?? []);
    if (!parsed.success) {
        const issue = parsed.error.issues[0];
        throw new MigrationError("SM-E0206", {
            where,
            found: `listeners.${issue?.path.join(".") ?? ""}: ${issue?.message ?? "not valid"}`,
        });
    }
    return parsed.data.map((listener) => ({
        type: listener.type,
        port: listener.port,
        socketPath: listener.path,
        bindAddresses: [...(listener.bind_addresses ?? []), ...(listener.bind_address ? [listener.bind_address] : [])],
        tls: listener.tls ?? false,
        resources: (listener.resources ?? []).flatMap(({ names }) => names),
    }));
}

/**
 * Where clients reach Synapse itself from the same machine: the first http listener with the resource `client` that has a port, else the
 * first on a Unix socket, as `http+unix://%2Frun%2Fsynapse.sock`.
 */
export function clientBaseUrl(listeners: readonly Listener[]): string | undefined {
    const ofClients = listeners.filter(({ type, resources }) => type === "http" && resources.includes("client"));
    const listener = ofClients.find(({ port }) => port !== undefined);
    if (listener?.port === undefined) {
        const socket = ofClients.find(({ socketPath }) => socketPath?.startsWith("/"))?.socketPath;
        return socket === undefined ? undefined : `${socketScheme}${encodeURIComponent(socket)}`;
    }
    const addresses = listener.bindAddresses;
    // Synapse lists ::1 first, and goes on without it where the machine has no IPv6.
    const address = addresses.find((candidate) => !candidate.includes(":")) ?? addresses[0] ?? "::";
    const reachable = { "": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "127.0.0.1" }[address] ?? address;
    const host = isIPv6(reachable) ? `[${reachable}]` : reachable;
    return `${listener.tls ? "https" : "http"}://${host}:${listener.port}`;
}

const wildcards: ReadonlySet<string> = new Set(["", "0.0.0.0", "::"]);

/**
 * The listener of a homeserver that something else would take the place of, once the homeserver is stopped: at the same port, and at an
 * address in common. An absent address is all of them.
 */
export function listenerAt(
    listeners: readonly Listener[],
    place: { readonly bindAddress: string; readonly port: number },
): Listener | undefined {
    return listeners.find(
        ({ port, bindAddresses }) =>
            port === place.port &&
            (wildcards.has(place.bindAddress) ||
                bindAddresses.length === 0 ||
                bindAddresses.some((address) => wildcards.has(address) || address === place.bindAddress)),
    );
}
