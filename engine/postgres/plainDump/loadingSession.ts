/** Sessions that load a dump. */
import { availableParallelism, freemem, totalmem } from "node:os";
import { escapeIdentifier, type QueryConfig } from "pg";
import { z } from "zod";
import { MigrationError } from "../../run/errors.ts";
import { describeAddress, query, queryOne, type Client, type DatabaseAddress } from "../connection.ts";
import { markerSchema } from "../databases/marker.ts";
import type { PlacedStatement } from "./statement.ts";
import { explainStatement } from "./statementError.ts";
import { isHere } from "../databaseAddress.ts";

const megabyte = 1024 * 1024;
/** For indexes, all sessions together, on a server whose memory is not known. */
const remoteBudget = 512 * megabyte;

/** @param jobs  sessions that build indexes at a time */
export async function prepareSession(client: Client, address: DatabaseAddress, jobs: number): Promise<void> {
    const budget = isHere(address) ? Math.min(totalmem() / 4, freemem()) : remoteBudget;
    // Each index has a connection already; more than the cores only wait for each other.
    const workers = isHere(address)
        ? `SET max_parallel_maintenance_workers = ${Math.floor(availableParallelism() / jobs)};`
        : "";
    const share = Math.round(Math.min(1024, Math.max(64, budget / jobs / megabyte)));
    await client.query(
        // Nobody else sees the database before all of it is checked, so nothing is lost with a commit that is.
        `SET synchronous_commit = off; SET maintenance_work_mem = '${share}MB'; ${workers} SET check_function_bodies = off;
        SET standard_conforming_strings = on; SET client_min_messages = warning; SET search_path = ''`,
    );
}

/** What a database holds can be a program (functions in indexes and checks). @throws Error for a session of a superuser */
export async function refuseSuperuser(client: Client): Promise<void> {
    const { superuser } = await queryOne(
        client,
        z.object({ superuser: z.boolean() }),
        "SELECT rolsuper AS superuser FROM pg_roles WHERE rolname = current_user",
    );
    if (superuser) throw new Error("a dump is untrusted input and never loaded by a superuser");
}

/**
 * A dump is only loaded into a database that holds nothing but our marker.
 *
 * @throws MigrationError SM-E0804
 */
export async function refuseUnfitDatabase(client: Client, address: DatabaseAddress): Promise<void> {
    await refuseSuperuser(client);
    const [found] = await query(
        client,
        z.object({ name: z.string() }),
        `SELECT n.nspname || '.' || c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname NOT IN ('information_schema', '${markerSchema}') LIMIT 1`,
    );
    if (found === undefined) return;
    throw new MigrationError("SM-E0804", { where: describeAddress(address), found: found.name });
}

/** The extended protocol takes one statement: what the lexer might have overlooked cannot hide behind a semicolon. */
interface SingleStatement extends QueryConfig {
    readonly queryMode: "extended";
}

const searchPaths = new WeakMap<Client, string>();

/** @throws MigrationError SM-E1104, SM-E0513, SM-E0515 with the line and the object */
export async function runPlaced(client: Client, placed: PlacedStatement): Promise<void> {
    const path =
        placed.searchPath.length === 0
            ? "''"
            : `${placed.searchPath.map((schema) => escapeIdentifier(schema)).join(", ")}, pg_catalog`;
    if (path !== (searchPaths.get(client) ?? "''")) {
        await client.query(`SET search_path = ${path}`);
        searchPaths.set(client, path);
    }
    const single: SingleStatement = { text: placed.text, queryMode: "extended" };
    try {
        await client.query(single);
    } catch (error) {
        throw explainStatement(error, placed);
    }
}
