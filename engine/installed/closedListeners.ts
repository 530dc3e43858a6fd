/** Where an installed homeserver listens while nobody but us is to find it: its proxy, and who knows its ports, meet nothing. */
import { isMapping } from "../synapse/config/configTree.ts";

/** What clients and other servers ask for; `replication`, `metrics` and `manhole` are of the homeserver's own. */
const publicResources: ReadonlySet<string> = new Set([
    "client",
    "federation",
    "keys",
    "media",
    "openid",
    "consent",
    "static",
    "health",
]);

export interface ClosedPlace {
    /** A port that nobody listens on and nobody asks, for the nth listener. */
    readonly port: (index: number) => number;
    /**
     * Whether it is in a network of its own, as in a container: it has to listen on all of its addresses to be reached from its machine, and
     * nothing leads to another port than the one that its installer has published. That one stays on loopback, where its engine may ask how it is.
     */
    readonly inOwnNetwork: boolean;
}

/** The section `listeners` with every public one somewhere else. */
export function closedListeners(listeners: unknown, place: ClosedPlace): unknown[] {
    return (Array.isArray(listeners) ? listeners : []).flatMap((listener: unknown, index) =>
        isMapping(listener) && isPublic(listener) ? closed(listener, index, place) : [listener],
    );
}

function isPublic({ resources, type }: Readonly<Record<string, unknown>>): boolean {
    const all: readonly unknown[] = type === "http" && Array.isArray(resources) ? resources : [];
    return all.some((one) => {
        const names: unknown = isMapping(one) ? one["names"] : undefined;
        return Array.isArray(names) && names.some((name) => publicResources.has(String(name)));
    });
}

function closed(
    listener: Readonly<Record<string, unknown>>,
    index: number,
    { port, inOwnNetwork }: ClosedPlace,
): Record<string, unknown>[] {
    const { path } = listener;
    if (typeof path === "string") return [{ ...listener, path: `${path}.closed` }];
    const onLoopback = { ...without(listener, "bind_address"), bind_addresses: ["127.0.0.1"] };
    // Who looks for a listener takes the first one.
    return inOwnNetwork ? [{ ...listener, port: port(index) }, onLoopback] : [{ ...onLoopback, port: port(index) }];
}

const without = (mapping: Readonly<Record<string, unknown>>, key: string): Record<string, unknown> =>
    Object.fromEntries(Object.entries(mapping).filter(([name]) => name !== key));
