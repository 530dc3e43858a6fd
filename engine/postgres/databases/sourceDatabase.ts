/** Where the source homeserver's database is: from its own configuration, single fields overridden by the stack's. */
import { dirname, join } from "node:path";
import type { SelfHostedSource } from "../../../contract/source.ts";
import type { Machine, Reachable } from "../../machines/machine.ts";
import { thisMachine } from "../../machines/local/localMachine.ts";
import { throwAll } from "../../run/errors.ts";
import { undefinedUnlessLost } from "../../machines/unlessLost.ts";
import { sourceService } from "../../services/service.ts";
import type { ContainerView } from "../../services/containers/containerView.ts";
import type { PostgresDatabase } from "../../synapse/config/databaseSettings.ts";
import { readHomeserverConfig, requirePostgres, type HomeserverConfig } from "../../synapse/config/homeserverConfig.ts";
import type { DatabaseTls } from "../../synapse/config/databaseTls.ts";
import { readSourceConfig } from "../../synapse/config/sourceConfig.ts";
import { readSourceSecret } from "../../synapse/secrets/readSecretFile.ts";
import type { DatabaseAddress } from "../databaseAddress.ts";
import { passwordIn, readPassword } from "../server/passwordFile.ts";
import { withPeerAccess, type PeerUsers } from "./peerAccess.ts";

/**
 * @throws MigrationError those of the configuration's reader, SM-E0505 for SQLite, SM-E0704 for several databases, those of
 *     {@link databaseAddress}
 */
export async function sourceAddress(source: SelfHostedSource): Promise<DatabaseAddress> {
    const config = await readSourceConfig(source);
    // What the stack says of the host is where its machine reaches it, not the container.
    const view = source.database?.host === undefined ? config.view : undefined;
    return databaseAddress(requirePostgres(config), config.machine, {
        ownPasswordFile: source.database?.passwordFile,
        view,
        users: () => usersOf(source, config),
    });
}

/** Its server as its machine reaches it: of one in a container, by that container's view. */
export async function placeOfServer(source: SelfHostedSource): Promise<Reachable> {
    const config = await readSourceConfig(source);
    return placed(requirePostgres(config), source.database?.host === undefined ? config.view : undefined);
}

/** Whom the homeserver may run as: of one that is stopped, who owns what it writes and what it is known by. */
async function* usersOf(source: SelfHostedSource, config: HomeserverConfig): AsyncGenerator<string | number> {
    const { mediaStorePath, signingKey, machine } = config;
    for (const { uid } of (await sourceService(source).status()).processes) yield uid;
    for (const path of [mediaStorePath, ...("path" in signingKey ? [signingKey.path] : [])]) {
        const facts = await machine.files.stat(path).catch(undefinedUnlessLost);
        if (facts !== undefined) yield facts.uid;
    }
}

/** The database that a homeserver's configuration names, without a stack. @throws MigrationError as {@link sourceAddress} */
export async function configuredAddress(
    homeserverConfig: readonly string[],
    ownPasswordFile?: string,
): Promise<DatabaseAddress> {
    return databaseAddress(requirePostgres(await readHomeserverConfig(homeserverConfig)), thisMachine, {
        ownPasswordFile,
    });
}

interface AddressOptions {
    /** Has the password in place of the configuration. */
    readonly ownPasswordFile?: string | undefined;
    /** Of the homeserver, whose words the configuration's are. */
    readonly view?: ContainerView | undefined;
    /** Who may be let in by a server that asks the system, beside the user who is called as the role. */
    readonly users?: PeerUsers | undefined;
}

/**
 * A database as its homeserver's machine reaches it.
 *
 * A server that asks the system who connects is tried, and reached as whom it lets in.
 *
 * @throws MigrationError SM-E0230, SM-E0232 where we cannot connect as Synapse does; SM-E1442 where its server lets in nobody whom we know;
 *     SM-E1003 for a file with a password
 */
export async function databaseAddress(
    database: PostgresDatabase,
    machine: Machine,
    options: AddressOptions = {},
): Promise<DatabaseAddress> {
    throwAll(database.problems);
    const { view } = options;
    const { host, port, user = "" } = database;
    const place = await placed(database, view);
    const isPlain = machine.isHere && view === undefined;
    const reached = isPlain ? { tls: database.tls } : await reachedThrough(machine, database, place);
    const address = await withPassword(
        { host, port, name: database.name ?? user, user, ...reached },
        database,
        machine,
        options,
    );
    if (place.socket === undefined) return address;
    const users: PeerUsers = async function* () {
        yield user;
        yield* options.users?.() ?? [];
    };
    return withPeerAccess(address, { machine, socket: place.socket, users });
}

async function placed({ host, port }: PostgresDatabase, view: ContainerView | undefined): Promise<Reachable> {
    const named: Reachable = host.startsWith("/") ? { socket: join(host, `.s.PGSQL.${port}`) } : { host, port };
    return view === undefined ? named : view.place(named);
}

async function withPassword(
    address: DatabaseAddress,
    { password, passfile }: PostgresDatabase,
    machine: Machine,
    { ownPasswordFile }: AddressOptions,
): Promise<DatabaseAddress> {
    if (ownPasswordFile !== undefined) return { ...address, password: await readPassword(ownPasswordFile) };
    if (passfile === undefined) return { ...address, password };
    const { text } = await readSourceSecret(machine, passfile, "database.args.passfile");
    return { ...address, password: passwordIn(text, address) };
}

const loopback = new Set(["localhost", "127.0.0.1", "::1"]);

/**
 * A server as its machine reaches it. A socket has no TLS: where TLS is a matter of taste and the server is that machine's own, the connection
 * to it, which is encrypted already, does without.
 */
async function reachedThrough(
    machine: Machine,
    { host, port, tls }: PostgresDatabase,
    place: Reachable,
): Promise<Pick<DatabaseAddress, "machine" | "via" | "tls">> {
    const isOptional = ["allow", "prefer"].includes(tls.mode) && loopback.has(host);
    const isWithout = place.socket !== undefined || tls.mode === "disable" || isOptional;
    const near = await machine.reach(place, isWithout ? "socket" : "port");
    const { host: nearHost, port: nearPort } = near.socket === undefined ? near : { host: dirname(near.socket), port };
    const via = { host: nearHost, port: nearPort, withoutTls: isWithout };
    if (isWithout) return { machine: machine.name, via, tls };
    const here = async (path: string | undefined) => (path === undefined ? undefined : machine.here(path));
    const files: Omit<DatabaseTls, "mode"> = {
        rootCertificate: await here(tls.rootCertificate),
        certificate: await here(tls.certificate),
        key: await here(tls.key),
    };
    return { machine: machine.name, via, tls: { mode: tls.mode, ...files } };
}
