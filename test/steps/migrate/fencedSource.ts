/** A real source for tests of the fence: who connects to it, and how it is seen to be untouched. */
import { readFile } from "node:fs/promises";
import { Client } from "pg";
import type { z } from "zod";
import type { fenceContract } from "../../../contract/index.ts";
import { runOf, sourceOf } from "../../support/migrationSpecs.ts";
import type { TestSynapse } from "../../support/synapse.ts";
import { untilTrue } from "../../support/waiting.ts";

export type FencedSource = ReturnType<typeof fencedSource>;

export function fencedSource(synapse: TestSynapse) {
    /** A session of the source's own role, as a forgotten worker would have it. */
    async function withSession<T>(work: (client: Client) => Promise<T>): Promise<T> {
        const { host, port, name, user, password } = synapse.cluster.synapse;
        const client = new Client({ host, port, database: name, user, password, application_name: "forgotten worker" });
        await client.connect();
        try {
            return await work(client);
        } finally {
            await client.end();
        }
    }

    const processId = async (): Promise<string> => (await readFile(synapse.homeserver.files.pidFile, "utf8")).trim();

    return {
        withSession,
        processId,
        spec: (run: string): z.infer<typeof fenceContract.spec> => ({
            run: runOf(synapse, run),
            source: sourceOf(synapse),
        }),
        /** Settings that keep anybody from writing. */
        async settings(): Promise<unknown[]> {
            const { rows }: { rows: unknown[] } = await synapse.cluster.query(
                "SELECT 1 FROM pg_db_role_setting WHERE setconfig::text LIKE '%default_transaction_read_only%'",
            );
            return rows;
        },
        async commandLine(): Promise<string> {
            return (await readFile(`/proc/${await processId()}/cmdline`, "utf8")).replaceAll("\0", " ");
        },
        /** Moves a sequence, again and again, until the work has ended, well or not. */
        async writeUntilEnd(work: Promise<unknown>): Promise<void> {
            let over = false;
            const end = (): void => void (over = true);
            work.then(end, end);
            await withSession(async (client) => {
                await client.query("SET default_transaction_read_only = off");
                await untilTrue(async () => {
                    await client.query("SELECT nextval('events_stream_seq')");
                    return over;
                });
            });
        },
    };
}
