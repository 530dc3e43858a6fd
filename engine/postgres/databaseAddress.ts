/** Where a database is and who connects to it. */
import type { DatabaseTls } from "../synapse/config/databaseTls.ts";

interface ConnectedPlace {
    readonly host: string;
    readonly port: number;
    /** The connection is encrypted on its way already, and leads to a server that asks for nothing else: {@link DatabaseAddress.tls} is passed over. */
    readonly withoutTls: boolean;
    /** Of the server's machine: whom the server sees there, and lets in by its name alone. */
    readonly user?: string | undefined;
}

/** Registered as a secret by who reads the password. */
export interface DatabaseAddress {
    /** Host name, IP address, or the directory of a Unix socket. */
    readonly host: string;
    readonly port: number;
    readonly name: string;
    readonly user: string;
    /** Absent where the server asks for none: `peer`, `trust`. */
    readonly password?: string | undefined;
    /** Name of the machine that reaches it under this address, where that is another one than this; for messages. */
    readonly machine?: string | undefined;
    /** Where a connection is really made to, when that is another place: the near end of a forwarded port, a directory for that of a socket. */
    readonly via?: ConnectedPlace | undefined;
    /** Absent for none. */
    readonly tls?: DatabaseTls | undefined;
}

/** For messages: `name@host:port`, and on which machine. */
export function describeAddress({ host, port, name, machine }: DatabaseAddress): string {
    return `${name}@${host}:${port}${machine === undefined ? "" : ` on ${machine}`}`;
}

/** Whether the server is on this machine. */
export function isHere(address: DatabaseAddress): boolean {
    return address.machine === undefined && isAtHome(address);
}

/** Whether the address means another server on each machine. */
export function isAtHome({ host }: Pick<DatabaseAddress, "host">): boolean {
    return host.startsWith("/") || ["localhost", "127.0.0.1", "::1"].includes(host);
}
