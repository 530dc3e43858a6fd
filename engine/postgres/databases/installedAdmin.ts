/** Who creates, renames and drops databases on the server of an installed homeserver, and how that role is let in. */
import { dirname, join } from "node:path";
import { z } from "zod";
import type { SelfHostedSource } from "../../../contract/source.ts";
import type { DatabaseAdmin } from "../../../contract/targetDatabase.ts";
import type { Machine, Reachable } from "../../machines/machine.ts";
import { sourceMachine } from "../../machines/sourceMachine.ts";
import { MigrationError } from "../../run/errors.ts";
import { containerAt, containerNamed, serverSocket } from "../../services/containers/serverContainer.ts";
import { queryOne, withClient } from "../connection.ts";
import { describeAddress, isAtHome, type DatabaseAddress } from "../databaseAddress.ts";
import { readPassword } from "../server/passwordFile.ts";
import { placeOfServer, sourceAddress } from "./sourceDatabase.ts";

type Peer = Extract<DatabaseAdmin, { kind: "peer" }>;

/** Where statements about other databases are run. */
export const maintenanceDatabase = "postgres";
/** As Debian's packages and PostgreSQL's official images have it. */
const usualDirectory = "/var/run/postgresql";
const usualRole = "postgres";
const step = "installed-admin";
const rights = z.object({ may: z.boolean() });
const started = z.object({ at: z.string() });

/**
 * The one that the stack names; else Synapse's own role where it may create databases, else the server's first one, by its socket on its machine
 * or in its container.
 *
 * @throws MigrationError SM-E1608 where it cannot be told, or what the stack names leads to another server
 */
export async function decidedAdmin({
    deployment,
    admin,
}: {
    readonly deployment: SelfHostedSource;
    readonly admin?: DatabaseAdmin | undefined;
}): Promise<DatabaseAdmin> {
    const decided = admin ?? (await foundAdmin(deployment));
    if (decided.kind === "peer") await requireSameServer(deployment, decided);
    return decided;
}

/**
 * By the way that Synapse takes, or by the server's own socket.
 *
 * @throws MigrationError those of {@link sourceAddress}; SM-E1442 where the server does not let that user in; SM-E1608 for a container without a
 *     socket
 */
export async function adminOf(
    { deployment, admin }: { readonly deployment: SelfHostedSource; readonly admin: DatabaseAdmin },
    name = maintenanceDatabase,
): Promise<DatabaseAddress> {
    const owner = { ...(await sourceAddress(deployment)), name };
    if (admin.kind === "owner") return owner;
    if (admin.kind === "password")
        return { ...owner, user: admin.role, password: await readPassword(admin.passwordFile) };
    const machine = sourceMachine(deployment);
    const { socket, user } = await peerSocket(machine, admin, owner.port);
    const near = await machine.reachAs(socket, user);
    return {
        ...{ host: admin.socketDirectory, port: owner.port, name, user: admin.role },
        ...(machine.isHere ? {} : { machine: machine.name }),
        via: { host: dirname(near.socket), port: portIn(near.socket), withoutTls: true, user: near.user },
    };
}

async function peerSocket(
    machine: Machine,
    { role, user, socketDirectory, container }: Peer,
    port: number,
): Promise<{ readonly socket: string; readonly user: string | number }> {
    if (container === undefined) return { socket: join(socketDirectory, `.s.PGSQL.${port}`), user: user ?? role };
    const facts = await containerNamed(machine, container);
    const found = facts === undefined ? undefined : await serverSocket(machine, facts, socketDirectory);
    if (found !== undefined) return { socket: found.socket, user: user ?? found.uid };
    throw new MigrationError("SM-E1608", {
        where: `container ${container} on ${machine.name}`,
        found:
            facts === undefined ? "no such container runs" : `no socket of a PostgreSQL server in ${socketDirectory}`,
        changed: "nothing",
    });
}

const portIn = (socket: string): number => Number(/\.(\d+)$/.exec(socket)?.[1]);

async function foundAdmin(deployment: SelfHostedSource): Promise<DatabaseAdmin> {
    const owner = await sourceAddress(deployment);
    const { may } = await withClient(owner, { step, readOnly: true }, (client) =>
        queryOne(client, rights, "SELECT rolsuper OR rolcreatedb AS may FROM pg_roles WHERE rolname = current_user"),
    );
    if (may) return { kind: "owner" };
    const found = await peerAt(sourceMachine(deployment), await placeOfServer(deployment));
    if (found !== undefined) return found;
    throw new MigrationError("SM-E1608", {
        where: describeAddress(owner),
        found: `role "${owner.user}" may not create databases, and the server is not on the machine of its homeserver`,
        changed: "nothing",
    });
}

async function peerAt(machine: Machine, place: Reachable): Promise<Peer | undefined> {
    const peer = { kind: "peer" as const, role: usualRole };
    if (place.socket !== undefined) return { ...peer, socketDirectory: dirname(place.socket) };
    const container = await containerAt(machine, place);
    if (container !== undefined)
        return {
            ...{ ...peer, role: container.databaseRole ?? usualRole },
            ...{ socketDirectory: usualDirectory, container: container.name },
        };
    return isAtHome(place) ? { ...peer, socketDirectory: usualDirectory } : undefined;
}

/**
 * A socket is chosen by its directory: another server on the machine may have it. Every role may ask when its server was started, to the
 * microsecond; two servers from one image have that apart, and not their system identifier.
 */
async function requireSameServer(deployment: SelfHostedSource, admin: DatabaseAdmin): Promise<void> {
    const address = await adminOf({ deployment, admin });
    const [ofSynapse, ofAdmin] = [await startOf(await sourceAddress(deployment)), await startOf(address)];
    if (ofSynapse === ofAdmin) return;
    throw new MigrationError("SM-E1608", {
        where: describeAddress(address),
        found: `a server that was started at ${ofAdmin}; the one that Synapse connects to was at ${ofSynapse}`,
        expected: "the same server",
        changed: "nothing",
    });
}

async function startOf(address: DatabaseAddress): Promise<string> {
    const { at } = await withClient(address, { step, readOnly: true }, (client) =>
        queryOne(client, started, "SELECT (pg_postmaster_start_time() AT TIME ZONE 'UTC')::text AS at"),
    );
    return at;
}
