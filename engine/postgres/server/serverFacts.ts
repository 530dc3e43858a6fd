/** What a server says about itself and about the database one is connected to, and what rules one out. */
import { escapeIdentifier } from "pg";
import { z } from "zod";
import { MigrationError } from "../../run/errors.ts";
import { query, queryOne, type Client } from "../connection.ts";
import { readSystemIdentifier } from "./systemIdentifier.ts";

const factsShape = z.object({
    /** For example 150018. */
    versionNumber: z.number().int(),
    /** For example "15.18 (Debian 15.18-0+deb12u1)". */
    version: z.string(),
    /** Of the cluster, made by initdb; a physical copy has the same. Null where the role may not read it. */
    systemIdentifier: z.string().nullable(),
    /** Of the database; stays when it is renamed. */
    oid: z.string(),
    name: z.string(),
    encoding: z.string(),
    collate: z.string(),
    ctype: z.string(),
    /** What sorts where it is not the operating system's library: `icu en-US`. Null where LC_COLLATE tells. */
    otherProvider: z.string().nullable(),
    owner: z.string(),
    standby: z.boolean(),
    sizeBytes: z.coerce.number().int(),
});
export type DatabaseFacts = z.infer<typeof factsShape>;

/** Oldest server that Synapse starts on (synapse/storage/engines/postgres.py). */
const oldestServer = 140000;

/** Of `pg_database d`: PostgreSQL 14 has no such column, and the locale's name changed with 17. */
const otherProvider = `CASE coalesce(to_jsonb(d)->>'datlocprovider', 'c')
        WHEN 'i' THEN 'icu ' || coalesce(to_jsonb(d)->>'datlocale', to_jsonb(d)->>'daticulocale', '')
        WHEN 'b' THEN 'builtin ' || coalesce(to_jsonb(d)->>'datlocale', '') END`;

/** Reads {@link DatabaseFacts}. */
export async function readDatabaseFacts(client: Client): Promise<DatabaseFacts> {
    const facts = await queryOne(
        client,
        factsShape.omit({ systemIdentifier: true }),
        `SELECT current_setting('server_version_num')::int AS "versionNumber", current_setting('server_version') AS version,
            d.oid::text AS oid, d.datname AS name, pg_encoding_to_char(d.encoding) AS encoding,
            d.datcollate AS collate, d.datctype AS ctype, ${otherProvider} AS "otherProvider", pg_get_userbyid(d.datdba) AS owner,
            pg_is_in_recovery() AS standby, pg_database_size(d.oid)::text AS "sizeBytes"
        FROM pg_database d WHERE d.datname = current_database()`,
    );
    return { ...facts, systemIdentifier: await readSystemIdentifier(client) };
}

const schemaShape = z.object({ schemaVersion: z.number().int(), compatVersion: z.number().int().nullable() });
export type SchemaVersion = z.infer<typeof schemaShape>;

/**
 * Synapse's schema version and the oldest one that can still work with it.
 *
 * @throws MigrationError SM-E0508 when the database is not Synapse's
 */
export async function readSchemaVersion(client: Client): Promise<SchemaVersion> {
    const [tables] = await query(
        client,
        z.object({ version: z.boolean(), compat: z.boolean(), events: z.boolean() }),
        `SELECT to_regclass('public.schema_version') IS NOT NULL AS version,
            to_regclass('public.schema_compat_version') IS NOT NULL AS compat, to_regclass('public.events') IS NOT NULL AS events`,
    );
    const refuse = (found: string): MigrationError =>
        new MigrationError("SM-E0508", {
            where: `database ${client.database ?? ""}`,
            found,
            expected: "tables of Synapse",
        });
    if (tables?.version !== true || !tables.events)
        throw refuse(`no table ${tables?.events === true ? "schema_version" : "events"}`);
    const [row] = await query(
        client,
        schemaShape,
        `SELECT version AS "schemaVersion", ${tables.compat ? "(SELECT compat_version FROM public.schema_compat_version)" : "NULL"}
            AS "compatVersion" FROM public.schema_version`,
    );
    if (row === undefined) throw refuse("the table schema_version is empty");
    return row;
}

/** @throws MigrationError SM-E0502 for servers that Synapse does not start on */
export function refuseOldServer(facts: DatabaseFacts, where: string): void {
    if (facts.versionNumber >= oldestServer) return;
    throw new MigrationError("SM-E0502", {
        where,
        found: `PostgreSQL ${facts.version}`,
        expected: "PostgreSQL 14 or newer",
    });
}

/**
 * How a database sorts does not matter to a copy, whose own is UTF8 and C: rows, and what is compared of them, are bytes. Those of another
 * encoding are others; Synapse starts on none of them (synapse/storage/engines/postgres.py).
 *
 * @throws MigrationError SM-E0501 with the statement that makes a right database (B19)
 */
export function refuseWrongEncoding(facts: DatabaseFacts, where: string): void {
    const { encoding, name, owner, versionNumber } = facts;
    if (encoding === "UTF8") return;
    throw new MigrationError("SM-E0501", {
        where,
        found: `encoding ${encoding}`,
        expected: "encoding UTF8",
        fix:
            "dump it, restore it into a database made by the following, and let Synapse use that one:\n" +
            createDatabaseStatement(`${name}_utf8_c`, owner, versionNumber),
    });
}

/** From this version on a database sorts by what its template sorts by, whatever LC_COLLATE says. */
const firstWithProviders = 150000;

/**
 * The only way a database for Synapse is made: sorted by bytes, from the template that nobody has written to.
 *
 * @param version  `server_version_num`
 */
export function createDatabaseStatement(name: string, owner: string, version: number): string {
    const provider = version >= firstWithProviders ? " LOCALE_PROVIDER libc" : "";
    return (
        `CREATE DATABASE ${escapeIdentifier(name)} OWNER ${escapeIdentifier(owner)} TEMPLATE template0 ` +
        `ENCODING 'UTF8'${provider} LC_COLLATE 'C' LC_CTYPE 'C'`
    );
}

/** @throws MigrationError SM-E0806 */
export function refuseStandby(facts: DatabaseFacts, where: string): void {
    if (facts.standby)
        throw new MigrationError("SM-E0806", { where, found: "a server in recovery", expected: "a primary server" });
}

/** What tells one database from every other, whatever name or address leads to it. */
export type DatabaseIdentity = Pick<DatabaseFacts, "systemIdentifier" | "oid">;

/** @throws MigrationError SM-E0803 when both are one, also through another host name or a pooler (B15) */
export function refuseSameDatabase(source: DatabaseIdentity, target: DatabaseIdentity, where: string): void {
    if (
        target.systemIdentifier === null ||
        source.systemIdentifier !== target.systemIdentifier ||
        source.oid !== target.oid
    )
        return;
    throw new MigrationError("SM-E0803", {
        where,
        found: `system identifier ${target.systemIdentifier}, database oid ${target.oid}: those of the source`,
        expected: "another database than the source's",
    });
}

/**
 * For a database that would be put aside: where its server does not say which one it is, nobody can rule out that it is the source's.
 *
 * @throws MigrationError SM-E0803
 */
export function refusePossiblySame(source: DatabaseIdentity, target: DatabaseIdentity, where: string): void {
    if (target.systemIdentifier !== null || source.oid !== target.oid) return;
    throw new MigrationError("SM-E0803", {
        where,
        found: `database oid ${target.oid}, that of the source, on a server whose system identifier the role may not read`,
        expected: "a database that is certainly not the source's",
        fix: "let the role execute pg_control_system(), choose another database name, or put the database aside by hand",
    });
}
