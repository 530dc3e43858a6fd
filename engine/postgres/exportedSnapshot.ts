/** A snapshot of a database that other connections and programs read as well, for as long as it is held. */
import { z } from "zod";
import { inSnapshot, queryOne, type Client } from "./connection.ts";

/** @param work  is given the snapshot's name, which is good until it returns */
export function inExportedSnapshot<T>(client: Client, work: (snapshot: string) => Promise<T>): Promise<T> {
    return inSnapshot(client, undefined, async () => {
        const shape = z.object({ snapshot: z.string() });
        return work((await queryOne(client, shape, "SELECT pg_export_snapshot() AS snapshot")).snapshot);
    });
}
