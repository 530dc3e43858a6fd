/** The `database:` section of homeserver.yaml, with what libpq adds where it is silent. */
import { z } from "zod";
import { MigrationError } from "../../run/errors.ts";
import { registerSecret } from "../../run/redaction.ts";

export interface PostgresDatabase {
    readonly kind: "postgres";
    /** `file:line` of the section. */
    readonly where: string;
    /** Host name, address, or the directory of the server's socket. */
    readonly host: string;
    readonly port: number;
    readonly name: string;
    /** Undefined when the section names none: libpq then takes the name of the system user that Synapse runs as. */
    readonly user: string | undefined;
    /** Secret. Undefined where the server asks for none, or it is in a password file. */
    readonly password: string | undefined;
    /** All arguments as Synapse hands them to psycopg2 and its pool (`cp_min`, `sslmode`, …); the password is among them. */
    readonly args: Readonly<Record<string, unknown>>;
}

export type HomeserverDatabase =
    | PostgresDatabase
    | { readonly kind: "sqlite"; readonly where: string; readonly path: string }
    /** `databases:`: Synapse's stores in more than one database. */
    | { readonly kind: "several"; readonly where: string; readonly names: readonly string[] };

/** Where Debian's libpq looks for the server when no host is given. */
const defaultSocketDirectory = "/var/run/postgresql";
const defaultPort = 5432;

const connection = z.looseObject({
    name: z.enum(["psycopg2", "sqlite3"]),
    args: z
        .looseObject({
            host: z.string().nullish(),
            port: z.union([z.number().int(), z.string().regex(/^\d{1,5}$/)]).nullish(),
            database: z.string().nullish(),
            dbname: z.string().nullish(),
            user: z.string().nullish(),
            password: z.string().nullish(),
        })
        .nullish(),
});
const section = z.looseObject({
    database: connection.nullish(),
    databases: z.record(z.string(), connection).nullish(),
    /** Of old: the path of an SQLite file. */
    database_path: z.string().nullish(),
});

/**
 * Reads `database`, `databases` or `database_path` (synapse/config/database.py).
 *
 * @throws MigrationError SM-E0206 when there is none, or one that Synapse could not use
 */
export function databaseOf(
    sections: Readonly<Record<string, unknown>>,
    where: string,
    absolute: (path: string, setting: string) => string,
): HomeserverDatabase {
    const parsed = section.safeParse(sections);
    if (!parsed.success) {
        const issue = parsed.error.issues[0];
        throw unusable(where, `${issue?.path.join(".") ?? "database"}: ${issue?.message ?? "not valid"}`);
    }
    const { database, databases, database_path: path } = parsed.data;
    const several = Object.keys(databases ?? {});
    if (database && several.length > 0) throw unusable(where, "both `database` and `databases`");
    if (several.length > 0) return { kind: "several", where, names: several };
    if (database?.name === "psycopg2") return postgres(database.args ?? {}, where);
    const file = database?.args?.database ?? path;
    if (file === null || file === undefined) throw unusable(where, "no database");
    return { kind: "sqlite", where, path: file === ":memory:" ? file : absolute(file, "database.args.database") };
}

function postgres(args: NonNullable<z.infer<typeof connection>["args"]>, where: string): PostgresDatabase {
    const user = args.user ?? undefined;
    const name = args.dbname ?? args.database ?? user;
    if (name === undefined) throw unusable(where, "neither `database` (or `dbname`) nor `user` in database.args");
    if (args.dbname && args.database) throw unusable(where, "both `database` and `dbname` in database.args");
    if (typeof args.password === "string") registerSecret(args.password);
    return {
        kind: "postgres",
        where,
        host: args.host ?? defaultSocketDirectory,
        port: Number(args.port ?? defaultPort),
        name,
        user,
        password: args.password ?? undefined,
        args,
    };
}

function unusable(where: string, found: string): MigrationError {
    return new MigrationError("SM-E0206", {
        where,
        found,
        expected: "`database: {name: psycopg2, args: {host, port, database, user, password}}`",
    });
}
