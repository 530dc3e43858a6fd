/** The `database:` section of homeserver.yaml, with what libpq adds where it is silent. */
import { z } from "zod";
import type { DatabaseOverrides } from "../../../contract/source.ts";
import { MigrationError } from "../../run/errors.ts";
import { registerSecret } from "../../run/redaction.ts";
import { isMapping } from "./configTree.ts";
import { connectionProblems } from "./connectionArguments.ts";
import { tlsOf, type DatabaseTls } from "./databaseTls.ts";

export interface PostgresDatabase {
    readonly kind: "postgres";
    /** `file:line` of the section. */
    readonly where: string;
    /** Host name, address, or the directory of the server's socket. */
    readonly host: string;
    readonly port: number;
    /** Undefined, as the user, when the section names neither. */
    readonly name: string | undefined;
    /** Undefined when the section names none: libpq then takes the name of the system user that Synapse runs as. */
    readonly user: string | undefined;
    /** Secret. Undefined where the server asks for none, or it is in a password file. */
    readonly password: string | undefined;
    /** libpq's own kind of password file, of many servers and roles. */
    readonly passfile: string | undefined;
    readonly tls: DatabaseTls;
    /** Why we cannot connect as Synapse does: SM-E0230, SM-E0232. Who connects throws them. */
    readonly problems: readonly MigrationError[];
}

export type HomeserverDatabase =
    | PostgresDatabase
    | { readonly kind: "sqlite"; readonly where: string; readonly path: string }
    /** `databases:`: Synapse's stores in more than one database. */
    | { readonly kind: "several"; readonly where: string; readonly names: readonly string[] };

/** Where Debian's libpq looks for the server when no host is given. */
const defaultSocketDirectory = "/var/run/postgresql";
const defaultPort = "5432";

const connection = z.looseObject({
    name: z.enum(["psycopg2", "sqlite3"]).default("sqlite3"),
    args: z.record(z.string(), z.unknown()).nullish(),
});
const section = z.looseObject({
    database: connection.nullish(),
    databases: z.record(z.string(), connection).nullish(),
    /** Of old: the path of an SQLite file. */
    database_path: z.string().nullish(),
});

/** What the section is read with. */
export interface DatabaseReading {
    /** The sections, each plain word as the text that Python makes of it. */
    readonly texts: Readonly<Record<string, unknown>>;
    readonly where: string;
    readonly absolute: (path: string, setting: string) => string;
    /** What is said of the connection in the section's place. */
    readonly overrides?: DatabaseOverrides | undefined;
}

/**
 * Reads `database`, `databases` or `database_path` (synapse/config/database.py).
 *
 * @throws MigrationError SM-E0206 when there is none, or one that Synapse could not use
 */
export function databaseOf(sections: Readonly<Record<string, unknown>>, reading: DatabaseReading): HomeserverDatabase {
    const { where, absolute, texts } = reading;
    const parsed = section.safeParse(sections);
    if (!parsed.success) {
        const issue = parsed.error.issues[0];
        throw unusable(where, `${issue?.path.join(".") ?? "database"}: ${issue?.message ?? "not valid"}`);
    }
    const { database, databases, database_path: path } = parsed.data;
    const several = Object.keys(databases ?? {});
    if (database && several.length > 0) throw unusable(where, "both `database` and `databases`");
    if (several.length > 0) return { kind: "several", where, names: several };
    const args = textsOf(database?.args ?? {}, argsIn(texts["database"]), where);
    if (database?.name === "psycopg2") return postgres(args, reading);
    const file = args["database"] ?? path;
    if (file === null || file === undefined) throw unusable(where, "no database");
    return { kind: "sqlite", where, path: file === ":memory:" ? file : absolute(file, "database.args.database") };
}

/** `databases:` with one entry is the same as `database:`, whatever its name. */
export function withOneDatabase(sections: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
    const { databases, ...others } = sections;
    const [only, ...more] = isMapping(databases) ? Object.values(databases) : [];
    return only === undefined || more.length > 0 || sections["database"] ? sections : { ...others, database: only };
}

function argsIn(database: unknown): Readonly<Record<string, unknown>> {
    const args = isMapping(database) ? database["args"] : undefined;
    return isMapping(args) ? args : {};
}

/** The arguments as psycopg2 hands them to libpq: what is null is not there, and an empty text is libpq's default. */
function textsOf(
    args: Readonly<Record<string, unknown>>,
    texts: Readonly<Record<string, unknown>>,
    where: string,
): Record<string, string> {
    const entries = Object.entries(args).flatMap(([name, value]) => {
        // The pool's own settings are no arguments of libpq.
        if (value === null || value === "" || name.startsWith("cp_")) return [];
        const text = texts[name] ?? value;
        if (typeof text === "string") return [[name, text] as const];
        if (typeof text === "number" || typeof text === "boolean") return [[name, String(text)] as const];
        throw unusable(where, `database.args.${name}: neither a text nor a number`);
    });
    return Object.fromEntries(entries);
}

function postgres(args: Readonly<Record<string, string>>, reading: DatabaseReading): PostgresDatabase {
    const { where, absolute, overrides = {} } = reading;
    if (args["dbname"] !== undefined && args["database"] !== undefined)
        throw unusable(where, "both `database` and `dbname` in database.args");
    const { password } = args;
    if (password !== undefined) registerSecret(password);
    const user = overrides.user ?? args["user"];
    const host = overrides.host ?? args["host"] ?? defaultSocketDirectory;
    const port = String(overrides.port ?? args["port"] ?? defaultPort);
    const isList = host.includes(",") || port.includes(",");
    if (!isList && !/^\d{1,5}$/.test(port)) throw unusable(where, "database.args.port: not the number of a port");
    const file = (name: "passfile" | "sslrootcert" | "sslcert" | "sslkey"): string | undefined =>
        args[name] === undefined ? undefined : absolute(args[name], `database.args.${name}`);
    const { tls, problem } = tlsOf({
        ...{ host, where, mode: overrides.sslmode ?? args["sslmode"] },
        rootCertificate: overrides.sslrootcert ?? (args["sslrootcert"] === "system" ? "system" : file("sslrootcert")),
        certificate: overrides.sslcert ?? file("sslcert"),
        key: overrides.sslkey ?? file("sslkey"),
    });
    return {
        kind: "postgres",
        ...{ where, host, user, password, tls },
        port: isList ? Number(defaultPort) : Number(port),
        name: overrides.name ?? args["dbname"] ?? args["database"] ?? user,
        passfile: password === undefined ? file("passfile") : undefined,
        problems: [...connectionProblems(args, overrides, where), ...(problem === undefined ? [] : [problem])],
    };
}

function unusable(where: string, found: string): MigrationError {
    return new MigrationError("SM-E0206", {
        where,
        found,
        expected: "`database: {name: psycopg2, args: {host, port, database, user, password}}`",
    });
}
