/** Connections to PostgreSQL: one at a time, with deadlines, the same session settings everywhere, and errors that say where. */
import { DatabaseError, escapeIdentifier, type Client } from "pg";
import type { z } from "zod";
import { MigrationError } from "../run/errors.ts";
import { describeAddress, type DatabaseAddress } from "./databaseAddress.ts";
import { openClient } from "./databaseTls.ts";

export { describeAddress, type DatabaseAddress } from "./databaseAddress.ts";

export interface ConnectionOptions {
    /** Shown in `pg_stat_activity` as `synapse-migration <step>`. */
    readonly step: string;
    /** Every transaction is read only: for the source, always. */
    readonly readOnly?: boolean;
    /** A statement that runs longer is cancelled by the server; 60 when absent, 0 for no limit. */
    readonly statementSeconds?: number;
    /** How long a server that is just starting is waited for; 0 when absent. A wrong password is never tried again. */
    readonly patienceSeconds?: number;
    /** Ends the connection, and with it the statement that runs. */
    readonly signal?: AbortSignal;
}

export type { Client };

const connectMilliseconds = 10_000;
const keepAliveMilliseconds = 60_000;
const defaultStatementSeconds = 60;
/** The largest value of `statement_timeout`. A zero is left out by the library, and what the database or the role has set would hold. */
const noStatementMilliseconds = 2_147_483_647;

/**
 * Where the names in our own statements are looked up: nowhere but in PostgreSQL's own schema. With `public` anywhere in it, a function or an
 * operator there that fits a call better is taken instead of PostgreSQL's (manual 10.2, 10.3), and runs with our rights or answers in its
 * place. Tables of the homeserver are named with their schema.
 */
const ownNames = "pg_catalog, pg_temp";

/**
 * First of all `search_path`, whatever the database's owner has set for the database or the role. Then settings that make the text of a
 * value the same on every server: row hashes are made of it (PostgreSQL manual 20.11). Then those under which a session that waits for
 * another one would be ended, or a statement would wait for or fail by what others write.
 * `row_security` turns rows that a policy would hide into an error. The last line is for settings that not every version has: it ends
 * statements of a caller that is gone.
 */
const sessionSettings = `
    SET search_path = ${ownNames}; SET standard_conforming_strings = on; SET quote_all_identifiers = off; SET transform_null_equals = off;
    SET bytea_output = hex; SET extra_float_digits = 1; SET DateStyle = ISO; SET IntervalStyle = postgres;
    SET TimeZone = 'UTC'; SET client_encoding = 'UTF8'; SET lc_monetary = 'C'; SET array_nulls = on; SET xmloption = content;
    SET row_security = off; SET lock_timeout = '30s'; SET idle_in_transaction_session_timeout = 0; SET idle_session_timeout = 0;
    SET default_transaction_isolation = 'read committed'; SET default_transaction_deferrable = off; SET client_min_messages = warning;
    SELECT set_config(name, CASE name WHEN 'transaction_timeout' THEN '0' ELSE '5000' END, false)
    FROM pg_settings WHERE name IN ('client_connection_check_interval', 'transaction_timeout')`;

/**
 * Connects, runs the work, disconnects.
 *
 * @throws MigrationError SM-E1102 when the server does not answer, SM-E1004 when it refuses the login, SM-E0516 when there is no such
 *     database, SM-E0515 when the role may not do what the work needs
 */
export async function withClient<T>(
    address: DatabaseAddress,
    options: ConnectionOptions,
    work: (client: Client) => Promise<T>,
): Promise<T> {
    options.signal?.throwIfAborted();
    const client = await connect(address, options);
    let onAbort = (): void => undefined;
    const aborted = new Promise<never>((_, reject) => {
        onAbort = () => reject(asError(options.signal?.reason));
        options.signal?.addEventListener("abort", onAbort, { once: true });
    });
    try {
        return await Promise.race([prepared(client, options, work), aborted]);
    } catch (error) {
        throw explain(error, address);
    } finally {
        options.signal?.removeEventListener("abort", onAbort);
        // Destroys the socket when a statement is still running.
        await client.end().catch(() => undefined);
    }
}

/** Has the names in our own statements looked up in PostgreSQL's own schema again: `RESET` would ask the database's owner. */
export async function resetSearchPath(client: Client): Promise<void> {
    await client.query(`SET search_path = ${ownNames}`);
}

/** Runs a statement and checks the shape of its rows. */
export async function query<Row>(
    client: Client,
    shape: z.ZodType<Row>,
    sql: string,
    values: readonly unknown[] = [],
): Promise<Row[]> {
    const { rows } = await client.query<Record<string, unknown>>(sql, [...values]);
    return rows.map((row) => shape.parse(row));
}

/** Like {@link query} for a statement that yields exactly one row. */
export async function queryOne<Row>(
    client: Client,
    shape: z.ZodType<Row>,
    sql: string,
    values: readonly unknown[] = [],
): Promise<Row> {
    const [row, ...more] = await query(client, shape, sql, values);
    if (row === undefined || more.length > 0) throw new Error(`expected one row, got ${more.length} of: ${sql}`);
    return row;
}

/** One consistent, read-only view of the whole database; of another transaction's snapshot where one is given. */
export async function inSnapshot<T>(client: Client, snapshot: string | undefined, work: () => Promise<T>): Promise<T> {
    await client.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    try {
        if (snapshot !== undefined) await client.query(`SET TRANSACTION SNAPSHOT '${snapshot.replaceAll("'", "''")}'`);
        const result = await work();
        await client.query("COMMIT");
        return result;
    } catch (error) {
        await client.query("ROLLBACK").catch(() => undefined);
        throw error;
    }
}

/** `schema.name`, each part quoted. */
export function quotedName(schema: string, name: string): string {
    return `${escapeIdentifier(schema)}.${escapeIdentifier(name)}`;
}

async function prepared<T>(
    client: Client,
    options: ConnectionOptions,
    work: (client: Client) => Promise<T>,
): Promise<T> {
    await client.query(sessionSettings);
    if (options.readOnly === true) await client.query("SET default_transaction_read_only = on");
    return work(client);
}

async function connect(address: DatabaseAddress, options: ConnectionOptions): Promise<Client> {
    const deadline = performance.now() + (options.patienceSeconds ?? 0) * 1000;
    const statementMilliseconds = (options.statementSeconds ?? defaultStatementSeconds) * 1000;
    for (;;) {
        try {
            return await openClient(address, {
                application_name: `synapse-migration ${options.step}`,
                connectionTimeoutMillis: connectMilliseconds,
                statement_timeout: statementMilliseconds === 0 ? noStatementMilliseconds : statementMilliseconds,
                keepAlive: true,
                // A peer that is gone without a word is noticed after a quarter of an hour, and not after two hours.
                keepAliveInitialDelayMillis: keepAliveMilliseconds,
            });
        } catch (error) {
            if (!isTransient(error) || performance.now() > deadline) throw connectionError(error, address);
            await new Promise((resolve) => setTimeout(resolve, 100 + Math.random() * 100));
            options.signal?.throwIfAborted();
        }
    }
}

function codeOf(error: unknown): string | undefined {
    return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

/** A server that starts or stops (57P03, 57P01) or is not listening yet. */
function isTransient(error: unknown): boolean {
    return ["57P03", "57P01", "ECONNREFUSED", "ECONNRESET", "ENOENT"].includes(codeOf(error) ?? "");
}

function connectionError(error: unknown, address: DatabaseAddress): MigrationError {
    if (error instanceof MigrationError) return error;
    const where = describeAddress(address);
    const found = firstLine(error);
    switch (codeOf(error)) {
        case "28P01":
        case "28000":
            return refusedLogin(error, address);
        case "3D000":
            return new MigrationError("SM-E0516", { where, found, cause: error });
        case "42501":
            return new MigrationError("SM-E0515", { where, found, cause: error });
        case "53100":
            return new MigrationError("SM-E1201", { where, found, cause: error });
        default:
            // A file that a login leaves for the next one (src/backend/utils/cache/relcache.c): PostgreSQL does not say what kept it from it.
            if (found.includes("could not write init file"))
                return new MigrationError("SM-E1201", {
                    where,
                    found: `${found}: the disk of the server's data is full, or may not be written`,
                    cause: error,
                });
            // The library's own complaint about a server that asks for a password when there is none.
            if (/client password must be a string|SASL/.test(found)) return refusedLogin(error, address);
            return new MigrationError("SM-E1102", {
                where,
                found,
                expected: "a PostgreSQL server that answers",
                ...(isUnknownWord(error, address.host) ? { fix: containerFix } : {}),
                cause: error,
            });
    }
}

function refusedLogin(error: unknown, address: DatabaseAddress): MigrationError {
    return new MigrationError("SM-E1004", {
        where: describeAddress(address),
        found: `role "${address.user}": ${firstLine(error)}`,
        cause: error,
    });
}

/** As containers of one network call each other: a name without a dot, which nobody outside knows. */
function isUnknownWord(error: unknown, host: string): boolean {
    return ["ENOTFOUND", "EAI_AGAIN"].includes(codeOf(error) ?? "") && /^[\w-]+$/.test(host);
}

const containerFix =
    "is this the name of a container in its own network? Set source.service to {kind: container, name: …} or {kind: compose, …}, and it is found; or set source.database.host and port to where this machine reaches the server";

/** What went wrong while connected, without the rows that PostgreSQL puts into `detail`. */
function explain(error: unknown, address: DatabaseAddress): unknown {
    if (error instanceof MigrationError) return error;
    const where = describeAddress(address);
    if (error instanceof DatabaseError) {
        if (error.code === "42501")
            return new MigrationError("SM-E0515", {
                where,
                found: error.message,
                expected: `rights of role "${address.user}"`,
            });
        if (error.code === "53100") return new MigrationError("SM-E1201", { where, found: error.message });
        if (error.code === "57014") return new MigrationError("SM-E1103", { where, found: error.message });
        if (error.code === "57P01" || error.code === "57P02")
            return new MigrationError("SM-E1102", { where, found: error.message });
        return new MigrationError("SM-E1104", {
            where,
            found: `${error.message} (SQLSTATE ${error.code ?? "unknown"})`,
        });
    }
    if (isConnectionLost(error))
        return new MigrationError("SM-E1102", { where, found: firstLine(error), cause: error });
    return error;
}

/** Whether nothing more can be asked in the session in which this was thrown. */
export function isConnectionLost(error: unknown): boolean {
    // SQLSTATE admin_shutdown, crash_shutdown; the others are the client's own words.
    if (error instanceof DatabaseError) return error.code === "57P01" || error.code === "57P02";
    return error instanceof Error && /Connection terminated|ECONNRESET|EPIPE|not queryable/.test(error.message);
}

function firstLine(error: unknown): string {
    if (error instanceof AggregateError && error.errors.length > 0) return firstLine(error.errors[0]);
    return error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error);
}

function asError(reason: unknown): Error {
    return reason instanceof Error ? reason : new Error("the step was stopped", { cause: reason });
}
