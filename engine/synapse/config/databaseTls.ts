/** TLS of a connection to PostgreSQL, as libpq's arguments ask for it (PostgreSQL manual 32.19). */
import { MigrationError } from "../../run/errors.ts";
import { sslModes, type SslMode } from "../../../contract/source.ts";

export interface DatabaseTls {
    readonly mode: SslMode;
    /** Absolute paths. Where there is a root certificate, the server's has to be signed with it, in every mode. */
    readonly rootCertificate?: string | undefined;
    readonly certificate?: string | undefined;
    readonly key?: string | undefined;
}

interface Asked extends Omit<DatabaseTls, "mode"> {
    readonly mode: string | undefined;
    readonly host: string;
    readonly where: string;
}

/**
 * @returns with a problem SM-E0230 where libpq would take files out of the home directory of the user that Synapse runs as, or the
 *     certificates of the system
 * @throws MigrationError SM-E0206 for a mode that libpq does not know
 */
export function tlsOf(asked: Asked): { readonly tls: DatabaseTls; readonly problem?: MigrationError } {
    const { mode: text = "prefer", host, where, rootCertificate, certificate, key } = asked;
    const mode = sslModes.find((known) => known === text);
    if (mode === undefined)
        throw new MigrationError("SM-E0206", {
            where,
            found: "database.args.sslmode: a mode that PostgreSQL does not know",
            expected: sslModes.join(", "),
        });
    // No server takes TLS on a socket, and libpq does not ask for it there.
    if (host.startsWith("/") || mode === "disable") return { tls: { mode: "disable" } };
    const tls: DatabaseTls = { mode, rootCertificate, certificate, key };
    const problem = (found: string, expected: string): { tls: DatabaseTls; problem: MigrationError } => ({
        tls,
        problem: new MigrationError("SM-E0230", {
            where,
            found,
            expected,
            fix: "write the absolute path into homeserver.yaml, or set it as source.database.sslrootcert, sslcert, sslkey of the stack",
        }),
    });
    if (rootCertificate === "system")
        return problem(
            "sslrootcert: system",
            "a file of certificates; those of the system are in /etc/ssl/certs/ca-certificates.crt on Debian",
        );
    if (mode.startsWith("verify-") && rootCertificate === undefined)
        return problem(
            `sslmode: ${mode} without sslrootcert`,
            "the file that libpq finds in ~/.postgresql/root.crt of the user that Synapse runs as",
        );
    if ((certificate === undefined) !== (key === undefined))
        return problem(
            certificate === undefined ? "sslkey without sslcert" : "sslcert without sslkey",
            "both; libpq finds the other one in ~/.postgresql of the user that Synapse runs as",
        );
    return { tls };
}
