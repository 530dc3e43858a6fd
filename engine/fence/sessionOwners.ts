/** Which sessions on a running source's database are its homeserver's own, and which are somebody else's. */
import { z } from "zod";
import type { SelfHostedSource } from "../../contract/index.ts";
import { connectionsOf, holderOfConnection } from "../machines/heldSockets.ts";
import type { Machine } from "../machines/machine.ts";
import { readProcess, type ProcessFacts } from "../machines/procfs.ts";
import { clientsOfSockets } from "../machines/unixPeers.ts";
import { sourceMachine } from "../machines/sourceMachine.ts";
import { queryOne, type Client } from "../postgres/connection.ts";
import { until } from "../run/until.ts";
import { describeKept } from "../services/keeper.ts";
import { sourceView } from "../services/containers/sourceView.ts";
import { sourceService } from "../services/service.ts";
import type { ServiceControl } from "../services/serviceControl.ts";
import { describe, looksLikeSynapse } from "../services/synapseProcess.ts";
import { readHomeserverConfig, requirePostgres } from "../synapse/config/homeserverConfig.ts";
import { describeSession, foreignSessions, type Session } from "./writingSessions.ts";

/** What is known of the homeserver that the sessions are compared with. */
export interface HomeserverEnds {
    /** The role that it connects as. */
    readonly role: string | undefined;
    /** Client ports of its processes' connections to the database's server. */
    readonly ports: ReadonlySet<number>;
    /** Server processes whose client is one of its processes, by a local socket. */
    readonly backends?: ReadonlySet<number>;
}

export interface SessionOwners {
    readonly own: Session[];
    readonly foreign: { readonly session: Session; readonly reason: string }[];
    /** Neither can be shown. */
    readonly unknown: Session[];
    /** Ports of the server, as clients and as itself has them. */
    readonly serverPorts: ReadonlySet<number>;
}

/**
 * Judges sessions by who holds the other end of their connection. Pure.
 *
 * Only what is certain is called foreign, as a fence refuses because of it: another role than Synapse's, where sessions of that one show that
 * no pooler gives them another; or another client port than those of Synapse's connections, where at least one of these is found among the
 * sessions. Behind a pooler, a container's proxy, or a local socket of which the machine does not tell the other end none is: nothing is
 * certain then.
 */
export function sessionOwners(
    sessions: readonly Session[],
    { role, ports, backends = new Set() }: HomeserverEnds,
): Omit<SessionOwners, "serverPorts"> {
    const isOwn = ({ pid, port, role: sessionRole }: Session): boolean =>
        (port === null || port < 0 ? backends.has(pid) : ports.has(port)) &&
        (role === undefined || sessionRole === role);
    const own = sessions.filter(isOwn);
    const hasRole = sessions.some((session) => session.role === role);
    const foreign: SessionOwners["foreign"] = [];
    const unknown: Session[] = [];
    for (const session of sessions) {
        if (isOwn(session)) continue;
        if (hasRole && session.role !== null && session.role !== role)
            foreign.push({ session, reason: `the homeserver connects as ${role}` });
        else if (own.length > 0 && session.port !== null)
            foreign.push({ session, reason: "no connection of the homeserver's processes has this end" });
        else unknown.push(session);
    }
    return { own, foreign, unknown };
}

/**
 * Looks who is connected, again and again until nobody foreign is there or the time is over: a short look by a person, or a connection that
 * Synapse has just opened, is gone or recognised at the next one.
 */
export async function lookAtSessions(
    client: Client,
    source: SelfHostedSource,
    seconds: number,
    signal?: AbortSignal,
): Promise<SessionOwners> {
    // The homeserver's own settings: what the stack overrides is how we connect.
    const machine = sourceMachine(source);
    const view = await sourceView(source, machine);
    const config = requirePostgres(
        await readHomeserverConfig(source.homeserverConfig, { machine, view, paths: source.paths }),
    );
    const { host, port, user } = source.database ?? {};
    const us = await queryOne(
        client,
        z.object({ role: z.string(), port: z.number().nullable() }),
        "SELECT session_user::text AS role, inet_server_port() AS port",
    );
    const sameWay = host === undefined && port === undefined && user === undefined;
    const role = sameWay ? us.role : config.user;
    const serverPorts = new Set([config.port, port, us.port].flatMap((known) => known ?? []));
    const service = sourceService(source, signal);
    let seen: SessionOwners = { own: [], foreign: [], unknown: [], serverPorts };
    await until(
        async () => {
            const before = await endsOf(service, machine, serverPorts);
            const sessions = await foreignSessions(client);
            const after = await endsOf(service, machine, serverPorts);
            const ports = new Set([...before.ports, ...after.ports]);
            const backends = new Set([...before.backends, ...after.backends]);
            seen = { ...sessionOwners(sessions, { role, ports, backends }), serverPorts };
            return seen.foreign.length === 0 || undefined;
        },
        { seconds, everyMilliseconds: 200, signal },
    );
    return seen;
}

/** A session and, where its machine tells it, the process at its other end. */
export async function describeWithHolder(
    machine: Machine,
    session: Session,
    serverPorts: ReadonlySet<number>,
): Promise<string> {
    const holder = await holderOf(machine, session, serverPorts);
    if (holder === undefined) return describeSession(session);
    // A worker with a configuration of its own is stopped where its unit is named.
    const kept = looksLikeSynapse(holder.argv) ? await describeKept(machine, holder) : describe(holder);
    return `${describeSession(session)}, held by ${kept}`;
}

async function holderOf(
    machine: Machine,
    { pid, port }: Session,
    serverPorts: ReadonlySet<number>,
): Promise<ProcessFacts | undefined> {
    if (port !== null && port >= 0) return holderOfConnection(machine, port, serverPorts);
    const [client] = (await clientsOfSockets(machine)).get(pid) ?? [];
    return client === undefined ? undefined : readProcess(machine, client);
}

/** Client ports of all that is known of the service's processes, of workers too, and the server's processes that they reach by a socket. */
async function endsOf(
    service: ServiceControl,
    machine: Machine,
    serverPorts: ReadonlySet<number>,
): Promise<{ readonly ports: readonly number[]; readonly backends: readonly number[] }> {
    const pids = (await service.status()).processes.map(({ pid }) => pid);
    const [ends, sockets] = await Promise.all([
        Promise.all(pids.map((pid) => connectionsOf(machine, pid))),
        clientsOfSockets(machine),
    ]);
    return {
        ports: ends
            .flat()
            .filter(({ remotePort }) => serverPorts.has(remotePort))
            .map(({ localPort }) => localPort),
        backends: [...sockets].flatMap(([backend, clients]) =>
            clients.some((client) => pids.includes(client)) ? [backend] : [],
        ),
    };
}
