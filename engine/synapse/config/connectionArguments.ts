/** Arguments of `database.args` that say where and as whom Synapse connects, and that we do not follow. */
import type { DatabaseOverrides } from "../../../contract/source.ts";
import { MigrationError } from "../../run/errors.ts";

/** Followed: see databaseSettings.ts and databaseTls.ts. */
const followed = new Set(
    "host port dbname database user password passfile sslmode sslrootcert sslcert sslkey".split(" "),
);

/** How a connection is kept and named, not where it leads, as whom, and how well it is protected. */
const ofNoMatter =
    /^(connect_timeout|client_encoding|(fallback_)?application_name|keepalives(_\w+)?|tcp_user_timeout|sslcompression|sslsni|ssl_max_protocol_version|target_session_attrs|load_balance_hosts|krbsrvname|gsslib|gssdelegation)$/;

/** Values that ask for no more than we do in any case. */
const defaults: Readonly<Record<string, RegExp>> = {
    gssencmode: /^(disable|prefer)$/,
    channel_binding: /^(disable|prefer)$/,
    sslnegotiation: /^postgres$/,
    ssl_min_protocol_version: /^TLSv1(\.[12])?$/,
    // Other settings of the session are ours to choose; these would show other tables.
    options: /^(?!.*(search_path|\brole\b|session_authorization))/s,
};

/** @returns SM-E0230 for each argument that we would silently drop, SM-E0232 where nothing names the role */
export function connectionProblems(
    args: Readonly<Record<string, string>>,
    overrides: DatabaseOverrides,
    where: string,
): MigrationError[] {
    const isPlaced = overrides.host !== undefined;
    const isWhole = isPlaced && overrides.name !== undefined && overrides.user !== undefined;
    const problems: MigrationError[] = [];
    const host = overrides.host ?? args["host"] ?? "";
    const port = String(overrides.port ?? args["port"] ?? "");
    if (host.includes(",") || port.includes(","))
        problems.push(
            notFollowed(where, `several servers in database.args: host ${host}, port ${port}`, "one server", [
                "host",
                "port",
            ]),
        );
    if (host.startsWith("@"))
        problems.push(notFollowed(where, `host: ${host}, a socket without a file`, "a host or a directory", ["host"]));
    for (const [name, value] of Object.entries(args)) {
        if (followed.has(name) || ofNoMatter.test(name) || defaults[name]?.test(value) === true) continue;
        if (name === "hostaddr" && isPlaced) continue;
        if (name === "dsn" || name === "service") {
            if (isWhole) continue;
            problems.push(
                notFollowed(where, `database.args.${name}`, "host, port, database and user, each by itself", [
                    ...["host", "port", "name", "user", "passwordFile"],
                ]),
            );
        } else if (name === "hostaddr")
            problems.push(notFollowed(where, "database.args.hostaddr", "`host` alone", ["host"]));
        else problems.push(notFollowed(where, `database.args.${name}`, "a connection that does without it", []));
    }
    const isNamedElsewhere = args["dsn"] !== undefined || args["service"] !== undefined;
    if ((overrides.user ?? args["user"]) === undefined && !isNamedElsewhere)
        problems.push(new MigrationError("SM-E0232", { where, found: "no `user` in database.args" }));
    return problems;
}

function notFollowed(where: string, found: string, expected: string, settings: readonly string[]): MigrationError {
    return new MigrationError("SM-E0230", {
        where,
        found,
        expected,
        fix:
            settings.length === 0
                ? "take it out of homeserver.yaml if Synapse can do without; it is read when Synapse starts the next time"
                : `set ${settings.map((setting) => `source.database.${setting}`).join(", ")} of the stack, or write it so into homeserver.yaml`,
    });
}
