/** Where a database is and who connects to it. */
import type { DatabaseTls } from "../synapse/config/databaseTls.ts";

/** Registered as a secret by who reads the password. */
export interface DatabaseAddress {
    /** Host name, IP address, or the directory of a Unix socket. */
    readonly host: string;
    readonly port: number;
    readonly name: string;
    readonly user: string;
    /** Absent where the server asks for none: `peer`, `trust`. */
    readonly password?: string | undefined;
    /** Absent for none. */
    readonly tls?: DatabaseTls | undefined;
}

/** For messages: `name@host:port`. */
export function describeAddress({ host, port, name }: DatabaseAddress): string {
    return `${name}@${host}:${port}`;
}

/** Whether the server is on this machine. */
export function isHere({ host }: DatabaseAddress): boolean {
    return host.startsWith("/") || ["localhost", "127.0.0.1", "::1"].includes(host);
}
