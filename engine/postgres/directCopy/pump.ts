/** Rows of one part of a table, from one connection to another: never a prefix of them. */
import { DatabaseError } from "pg";
import { MigrationError } from "../../run/errors.ts";
import type { Client } from "../connection.ts";
import { copyIn, copyStreamBytes } from "../copyIn.ts";
import { CopyOut } from "./copyOut.ts";
import type { RateLimit } from "../../run/rateLimit.ts";
import { copyStatements, describePart, type TablePart } from "./tableParts.ts";

export interface PumpOptions {
    readonly limit?: RateLimit | undefined;
    readonly onBytes: (bytes: number) => void;
    readonly signal: AbortSignal;
}

/**
 * Copies the rows within the target's transaction, which the caller commits: where the source fails, the target's COPY is made to fail too.
 * Values are not gathered: memory does not depend on their size.
 *
 * @returns how many rows
 * @throws MigrationError SM-E0912 when both servers count differently; SM-E1104 without the values that the server's message quotes
 */
export async function pump(
    source: Client,
    target: Client,
    part: TablePart,
    { limit, onBytes, signal }: PumpOptions,
): Promise<number> {
    const { out, into } = copyStatements(part);
    const where = describePart(part);
    const rows = source.query(new CopyOut(out, copyStreamBytes));
    const paced = async function* (): AsyncGenerator {
        for await (const chunk of rows) {
            const { length } = chunk as Buffer;
            onBytes(length);
            if (limit !== undefined) await limit.pass(length, signal);
            yield chunk;
        }
    };
    const taken = await copyIn(target, into, paced(), signal).catch((error: unknown) => {
        throw withoutValues(error, where);
    });
    if (rows.rowCount === taken) return taken;
    throw new MigrationError("SM-E0912", {
        where,
        found: `${taken} rows taken by the target`,
        expected: `the ${rows.rowCount} rows that the source gave`,
    });
}

/** The server's message about a value quotes it; connections and rights are told by who made the connection. */
function withoutValues(error: unknown, where: string): unknown {
    if (!(error instanceof DatabaseError) || error.code === undefined) return error;
    if (error.code.startsWith("57") || error.code === "42501") return error;
    const found = error.code.startsWith("22") ? "a value that the server refuses" : error.message;
    return new MigrationError("SM-E1104", { where, found: `${found} (SQLSTATE ${error.code})` });
}
