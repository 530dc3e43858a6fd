/** Where a homeserver's own client API, past every proxy in front of it, is reached from here. */
import type { Reachable } from "../../machines/machine.ts";
import type { HomeserverConfig } from "../config/homeserverConfig.ts";
import { socketScheme } from "../config/listeners.ts";

/**
 * The base URL of its first listener with the resource `client`; undefined without one.
 *
 * @throws MigrationError those of a connection that is lost, and of a container that has no address
 */
export async function ownBaseUrl({
    machine,
    clientBaseUrl,
    view,
}: Pick<HomeserverConfig, "machine" | "clientBaseUrl" | "view">): Promise<string | undefined> {
    if (clientBaseUrl === undefined || (machine.isHere && view === undefined)) return clientBaseUrl;
    const isTls = clientBaseUrl.startsWith("https:");
    const named = placeOf(clientBaseUrl);
    const there = view === undefined ? named : await view.place(named);
    const near = await machine.reach(there, isTls ? "port" : "socket");
    if (near.socket !== undefined) return `${socketScheme}${encodeURIComponent(near.socket)}`;
    return `${isTls ? "https" : "http"}://${near.host}:${near.port}`;
}

function placeOf(url: string): Reachable {
    if (url.startsWith(socketScheme)) return { socket: decodeURIComponent(url.slice(socketScheme.length)) };
    const { protocol, hostname, port } = new URL(url);
    // Left out where it is the scheme's own.
    return { host: hostname.replace(/^\[|\]$/g, ""), port: Number(port || (protocol === "https:" ? 443 : 80)) };
}
