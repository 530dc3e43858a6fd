/** Which sessions on a running source's database are its homeserver's own, and which are somebody else's. */
import { z } from "zod";
import type { SelfHostedSource } from "../../contract/index.ts";
import { connectionsOf, holderOfConnection } from "../machines/heldSockets.ts";
import { readProcess, type ProcessFacts } from "../machines/procfs.ts";
import { queryOne, type Client } from "../postgres/connection.ts";
import { until } from "../run/until.ts";
import { serviceControl } from "../services/service.ts";
import { describe, relatives } from "../services/synapseProcess.ts";
import { readHomeserverConfig, requirePostgres } from "../synapse/config/homeserverConfig.ts";
import { describeSession, foreignSessions, type Session } from "./writingSessions.ts";

/** What is known of the homeserver that the sessions are compared with. */
export interface HomeserverEnds {
    /** The role that it connects as. */
    readonly role: string | undefined;
    /** Client ports of its processes' connections to the database's server. */
    readonly ports: ReadonlySet<number>;
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
 * sessions. Behind a pooler, a container's proxy, or a local socket (whose other end Linux tells only by netlink) none is: nothing is certain then.
 */
export function sessionOwners(
    sessions: readonly Session[],
    { role, ports }: HomeserverEnds,
): Omit<SessionOwners, "serverPorts"> {
    const isOwn = (session: Session): boolean =>
        session.port !== null && ports.has(session.port) && (role === undefined || session.role === role);
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
    const config = requirePostgres(await readHomeserverConfig(source.homeserverConfig));
    const { host, port, user } = source.database ?? {};
    const us = await queryOne(
        client,
        z.object({ role: z.string(), port: z.number().nullable() }),
        "SELECT session_user::text AS role, inet_server_port() AS port",
    );
    const sameWay = host === undefined && port === undefined && user === undefined;
    const role = sameWay ? us.role : config.user;
    const serverPorts = new Set([config.port, port, us.port].flatMap((known) => known ?? []));
    let seen: SessionOwners = { own: [], foreign: [], unknown: [], serverPorts };
    await until(
        async () => {
            const before = await portsOf(source, serverPorts);
            const sessions = await foreignSessions(client);
            const after = await portsOf(source, serverPorts);
            seen = { ...sessionOwners(sessions, { role, ports: new Set([...before, ...after]) }), serverPorts };
            return seen.foreign.length === 0 || undefined;
        },
        { seconds, everyMilliseconds: 200, signal },
    );
    return seen;
}

/** A session and, where this machine tells it, the process at its other end. */
export async function describeWithHolder(session: Session, serverPorts: ReadonlySet<number>): Promise<string> {
    const holder =
        session.port === null || session.port < 0 ? undefined : await holderOfConnection(session.port, serverPorts);
    return describeSession(session) + (holder === undefined ? "" : `, held by ${describe(holder)}`);
}

/** Synapse's processes: the one of the pid file, those below it, and those beside it that share its configuration. */
export async function homeserverProcesses({ service }: SelfHostedSource): Promise<ProcessFacts[]> {
    const { record } = await serviceControl(service).status();
    const main = record.process === undefined ? undefined : await readProcess(record.process.pid);
    if (main === undefined) return [];
    const { below, beside } = await relatives(main);
    return [main, ...below, ...beside];
}

async function portsOf(source: SelfHostedSource, serverPorts: ReadonlySet<number>): Promise<number[]> {
    const ends = await Promise.all((await homeserverProcesses(source)).map(({ pid }) => connectionsOf(pid)));
    return ends
        .flat()
        .filter(({ remotePort }) => serverPorts.has(remotePort))
        .map(({ localPort }) => localPort);
}
