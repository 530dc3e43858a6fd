/** From where a homeserver's database is looked at: what a container calls `localhost` or `postgres` is another server outside of it, or none. */
import { join } from "node:path";
import type { Machine } from "../machines/machine.ts";
import { orElse } from "../machines/procText.ts";
import type { PostgresDatabase } from "../synapse/config/databaseSettings.ts";
import type { HomeserverConfig } from "../synapse/config/homeserverConfig.ts";
import type { Budget } from "./budget.ts";
import { addressInNetworks, onMachine, type Container } from "./containers.ts";
import { configuredDatabase, databaseOf } from "./database.ts";
import type { Database } from "./discovery.ts";
import type { Sighting } from "./sighting.ts";

export interface DatabaseSurroundings {
    readonly machine: Machine;
    readonly budget: Budget;
    readonly containers: readonly Container[];
    /** The homeserver's own. */
    readonly container: Container | undefined;
    readonly seconds: number;
}

/** @param config  with its files as the homeserver sees them */
export async function lookAtDatabase(
    first: Sighting,
    config: HomeserverConfig,
    around: DatabaseSurroundings,
): Promise<Database> {
    const { machine, budget, seconds } = around;
    const { database } = config;
    const isInside = first.container !== undefined;
    const place = database.kind === "postgres" && isInside ? await placeOutside(first, database, around) : {};
    if ("notSeen" in place) return { ...configuredDatabase(database), notSeen: place.notSeen };
    const user = first.uid === undefined ? undefined : { uid: first.uid };
    // A server is reached from the machine; a file is where the homeserver sees it.
    const from = database.kind === "postgres" && isInside ? { ...config, machine } : config;
    const timeoutSeconds = Math.min(seconds, budget.secondsLeft);
    const looked = await budget.attempt(timeoutSeconds, (signal) =>
        databaseOf({ config: from, user, hostOutside: place.host, timeoutSeconds }, signal),
    );
    return "value" in looked ? looked.value : { ...configuredDatabase(database), notSeen: looked.reason };
}

const loopback = /^(localhost|127\.\d+\.\d+\.\d+|::1)$/;

/** Where the server is from outside of the container; nothing where it has the same name there. */
async function placeOutside(
    { pid }: Sighting,
    { host }: PostgresDatabase,
    { machine, containers, container }: DatabaseSurroundings,
): Promise<{ readonly host?: string } | { readonly notSeen: string }> {
    if (host.startsWith("/")) {
        const outside = container === undefined ? undefined : onMachine(container, host);
        return outside === undefined ? { notSeen: "its socket is inside of the container" } : { host: outside };
    }
    if (loopback.test(host)) {
        const isShared =
            pid !== undefined && (await networkOf(machine, String(pid))) === (await networkOf(machine, "self"));
        return isShared ? {} : { notSeen: "its address is one of the container's own network" };
    }
    const inNetwork = container === undefined ? undefined : addressInNetworks(host, container, containers);
    return inNetwork === undefined ? {} : { host: inNetwork };
}

/** What tells network namespaces apart; whatever cannot be looked at is another one. */
async function networkOf({ files }: Machine, process: string): Promise<string> {
    return (await orElse(files.readLink(join("/proc", process, "ns/net")), undefined)) ?? `of ${process}`;
}
