/** Reading tables as a dump reads them. */
import type { Client } from "../postgres/connection.ts";

const settings = ["enable_indexscan", "enable_indexonlyscan", "enable_bitmapscan"];

/**
 * Runs the work without the help of indexes: one that is damaged, for example by another collation, hides rows from whoever
 * reads through it, and a dump does not read through it.
 */
export async function withTableScans<T>(client: Client, work: () => Promise<T>): Promise<T> {
    await client.query(settings.map((name) => `SET ${name} = off`).join("; "));
    try {
        return await work();
    } finally {
        await client.query(settings.map((name) => `RESET ${name}`).join("; ")).catch(() => undefined);
    }
}
