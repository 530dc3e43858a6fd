/** Rows into a table, by `COPY … FROM STDIN`. */
import { once } from "node:events";
import { from as copyFrom } from "pg-copy-streams";
import type { Client } from "./connection.ts";

/** Rows as COPY writes them that are on their way, also in the stream that they are taken from. */
export const copyStreamBytes = 256 * 1024;

/**
 * Sends what is given, as it comes; where that fails, the server's COPY is made to fail, too. Nothing is committed.
 *
 * A stream whose connection has gone, or whose COPY the server has refused, is not written to any more: the library would throw what says
 * nothing of the reason, out of an event that nobody waits for. The reason is what this ends with.
 *
 * @param chunks  buffers; where a row ends does not matter
 * @returns how many rows the server has taken
 * @throws the server's error, or the connection's
 */
export async function copyIn(
    client: Client,
    statement: string,
    chunks: AsyncIterable<unknown> | Iterable<unknown>,
    signal?: AbortSignal,
): Promise<number> {
    const sink = client.query(copyFrom(statement, { highWaterMark: copyStreamBytes }));
    const sunk: { failure?: Error } = {};
    // Not `pipeline`, which waits for a stream of a connection that is gone to be destroyed: it never says that it is.
    const taken = new Promise<void>((resolve, reject) => {
        sink.once("finish", resolve);
        sink.on("error", (error: Error) => {
            sunk.failure ??= error;
            // What waits in it is dropped.
            sink.destroy();
            reject(error);
        });
    });
    // Reported by whichever wait comes next.
    taken.catch(() => undefined);
    const refuseSunk = (): void => {
        if (sunk.failure !== undefined) throw sunk.failure;
    };
    try {
        for await (const chunk of chunks) {
            if (!Buffer.isBuffer(chunk)) throw new Error("rows of a COPY that are no bytes");
            refuseSunk();
            if (!sink.write(chunk))
                await Promise.race([taken, once(sink, "drain", signal === undefined ? {} : { signal })]);
        }
        refuseSunk();
        sink.end();
        await taken;
        return sink.rowCount;
    } catch (error) {
        // The server is told that the rows are not all.
        sink.destroy(error instanceof Error ? error : new Error(String(error)));
        throw sunk.failure ?? error;
    }
}
