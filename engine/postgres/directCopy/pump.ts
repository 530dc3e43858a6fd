/** Rows of one part of a table, from one connection to another: never a prefix of them. */
import { once } from "node:events";
import { DatabaseError } from "pg";
import { from as copyFrom } from "pg-copy-streams";
import { MigrationError } from "../../run/errors.ts";
import type { Client } from "../connection.ts";
import { CopyOut } from "./copyOut.ts";
import type { RateLimit } from "./rateLimit.ts";
import { copyStatements, describePart, type TablePart } from "./tableParts.ts";

export interface PumpOptions {
    readonly limit?: RateLimit | undefined;
    readonly onBytes: (bytes: number) => void;
    readonly signal: AbortSignal;
}

const streamBytes = 256 * 1024;

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
    const rows = source.query(new CopyOut(out, streamBytes));
    const sink = target.query(copyFrom(into, { highWaterMark: streamBytes }));
    // Not `pipeline`, which waits for a stream of a connection that is gone to be destroyed: it never says that it is.
    const taken = new Promise<void>((resolve, reject) => {
        sink.once("finish", resolve);
        sink.on("error", reject);
    });
    // Reported by whichever wait comes next.
    taken.catch(() => undefined);
    try {
        for await (const chunk of rows) {
            if (!Buffer.isBuffer(chunk)) throw new Error("rows of a COPY that are no bytes");
            onBytes(chunk.length);
            if (limit !== undefined) await limit.pass(chunk.length, signal);
            if (!sink.write(chunk)) await Promise.race([taken, once(sink, "drain", { signal })]);
        }
        sink.end();
        await taken;
    } catch (error) {
        // The server is told that the rows are not all. Whatever becomes of that, nothing of this transaction is committed.
        sink.destroy(error instanceof Error ? error : new Error(String(error)));
        throw withoutValues(error, where);
    }
    if (rows.rowCount === sink.rowCount) return sink.rowCount;
    throw new MigrationError("SM-E0912", {
        where,
        found: `${sink.rowCount} rows taken by the target`,
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
