/** TLS of our connections to PostgreSQL: as libpq would for the same arguments (PostgreSQL manual 32.19). */
import { readFile } from "node:fs/promises";
import { isIP } from "node:net";
import { checkServerIdentity, type ConnectionOptions } from "node:tls";
import { Client, DatabaseError, type ClientConfig } from "pg";
import { MigrationError } from "../run/errors.ts";
import type { DatabaseTls } from "../synapse/config/databaseTls.ts";
import { describeAddress, isHere, type DatabaseAddress } from "./databaseAddress.ts";

/** Without TLS, or with these options of it. */
type Way = false | ConnectionOptions;

/**
 * Connects, with TLS or without it: where the configuration leaves that open, in the second way if the server refuses the first one.
 *
 * @throws MigrationError SM-E0233 where TLS was asked for and there is none, or not with this server; else what the library throws
 */
export async function openClient(address: DatabaseAddress, settings: ClientConfig): Promise<Client> {
    const ways = await waysTo(address);
    for (const [index, ssl] of ways.entries()) {
        const { name: database, user, password } = address;
        const { host, port } = address.via ?? address;
        // An empty string keeps the library from looking into PGPASSWORD and ~/.pgpass.
        const client = new Client({ ...settings, host, port, database, user, password: password ?? "", ssl });
        // A connection that breaks between two statements reports it here; the next statement fails then.
        client.on("error", () => undefined);
        try {
            await client.connect();
            return client;
        } catch (error) {
            await client.end().catch(() => undefined);
            if (index < ways.length - 1 && mayNeedOtherWay(error)) continue;
            throw ssl !== false && isOfTls(error) ? unprotected(address, error) : error;
        }
    }
    throw new Error("there is no way to connect");
}

/**
 * Place and TLS for PostgreSQL's own programs, as variables of their environment. The name stays the one that a certificate is compared with
 * (PostgreSQL manual 34.1.2, `hostaddr`).
 */
export function connectionEnvironment(address: DatabaseAddress): Record<string, string> {
    const { host, port } = address.via ?? address;
    const place =
        address.via === undefined || host.startsWith("/")
            ? { PGHOST: host, PGPORT: String(port) }
            : { PGHOST: address.host, PGHOSTADDR: host, PGPORT: String(port) };
    const asked = address.via?.withoutTls === true ? { mode: "disable" as const } : address.tls;
    const tls = Object.entries(tlsParameters(asked)).map(
        ([name, value]) => [`PG${name.toUpperCase()}`, value] as const,
    );
    return { ...place, ...Object.fromEntries<string>(tls) };
}

/** The same as parameters of libpq. */
export function tlsParameters(tls: DatabaseTls | undefined): Record<string, string> {
    const parameters = {
        sslmode: tls?.mode,
        sslrootcert: tls?.rootCertificate,
        sslcert: tls?.certificate,
        sslkey: tls?.key,
    };
    return Object.fromEntries(
        Object.entries(parameters).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
    );
}

/**
 * `prefer` asks for no proof of who answers, so it protects from nobody on this machine: rows take the faster way there. libpq tries TLS
 * first everywhere.
 */
async function waysTo(address: DatabaseAddress): Promise<readonly Way[]> {
    const { tls } = address;
    if (tls === undefined || tls.mode === "disable" || address.via?.withoutTls === true) return [false];
    const withTls = await tlsOptions(address, tls);
    if (tls.mode === "allow" || (tls.mode === "prefer" && isHere(address))) return [false, withTls];
    return tls.mode === "prefer" ? [withTls, false] : [withTls];
}

/** A root certificate is compared with in every mode, the server's name in `verify-full` alone. */
async function tlsOptions(address: DatabaseAddress, tls: DatabaseTls): Promise<ConnectionOptions> {
    const content = async (name: string, path: string | undefined): Promise<Buffer | undefined> =>
        path === undefined
            ? undefined
            : readFile(path).catch((cause: unknown) => {
                  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "unknown reason";
                  throw new MigrationError("SM-E0233", {
                      where: describeAddress(address),
                      found: `${name} ${path} cannot be read: ${code}`,
                      cause,
                  });
              });
    const [ca, cert, key] = [
        await content("sslrootcert", tls.rootCertificate),
        await content("sslcert", tls.certificate),
        await content("sslkey", tls.key),
    ];
    return {
        ...(ca === undefined ? {} : { ca }),
        ...(cert === undefined || key === undefined ? {} : { cert, key }),
        rejectUnauthorized: ca !== undefined,
        // The name is the server's own, wherever the connection is made to.
        ...(isIP(address.host) === 0 ? { servername: address.host } : {}),
        checkServerIdentity: (_, certificate) =>
            tls.mode === "verify-full" ? checkServerIdentity(address.host, certificate) : undefined,
    };
}

const codeOf = (error: unknown): string =>
    error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";

/** The library's words for a server without TLS, and Node's codes for certificates that do not fit. */
function isOfTls(error: unknown): boolean {
    // What the server itself says, it says once they are connected.
    if (error instanceof DatabaseError) return false;
    const message = error instanceof Error ? error.message : "";
    return (
        /SSL|TLS/.test(message) ||
        /^ERR_(SSL|TLS|OSSL)_|CERT|SELF_SIGNED|^UNABLE_TO_(GET|VERIFY)|^HOSTNAME_MISMATCH$/.test(codeOf(error))
    );
}

/** 28000: the server's pg_hba.conf has no line for a connection with TLS, or without it. */
function mayNeedOtherWay(error: unknown): boolean {
    return codeOf(error) === "28000" || isOfTls(error);
}

function unprotected(address: DatabaseAddress, cause: unknown): MigrationError {
    return new MigrationError("SM-E0233", {
        where: describeAddress(address),
        found: `sslmode ${address.tls?.mode ?? ""}: ${cause instanceof Error ? (cause.message.split("\n")[0] ?? "") : String(cause)}`,
        cause,
    });
}
