/** Which run an assessment belongs to: one that has begun already, or one named after what the source is. */
import { createHash } from "node:crypto";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { readFenceHolder } from "../fence/fenceHolder.ts";
import { queryOne, type Client } from "../postgres/connection.ts";
import { readJournal } from "../run/journal.ts";
import { runDirectoryPaths } from "../run/runDirectory.ts";
import { isCommitted, stepState } from "../run/stepState.ts";
import type { HomeserverConfig } from "../synapse/config/homeserverConfig.ts";
import type { HomeserverSecrets } from "../synapse/secrets/homeserverSecrets.ts";
import { verifyKeysOf } from "../synapse/secrets/signingKey.ts";

/** Changes when the source becomes another server or another database; ids of runs are made of it. */
export async function sourceFingerprint(
    client: Client,
    config: HomeserverConfig,
    secrets: HomeserverSecrets,
): Promise<string> {
    const { oid } = await queryOne(
        client,
        z.object({ oid: z.string() }),
        "SELECT oid::text FROM pg_database WHERE datname = current_database()",
    );
    return createHash("sha256")
        .update(JSON.stringify([config.serverName, oid, verifyKeysOf(secrets.signingKeys)]))
        .digest("hex");
}

/**
 * The run that has fenced the source, or committed, and must be gone on with whatever the fingerprint says.
 *
 * @param id  the run that is asked for. One that is committed is found whatever is asked for, unless the target may be destroyed whole
 */
export async function pinnedRun(
    runsDirectory: string,
    { id, disposable = false }: { readonly id?: string | undefined; readonly disposable?: boolean | undefined },
): Promise<{ id: string; committed: boolean } | undefined> {
    const entries = await readdir(runsDirectory, { withFileTypes: true }).catch(() => []);
    const holder = await readFenceHolder(runsDirectory);
    const runs = await Promise.all(
        entries
            .filter((entry) => entry.isDirectory())
            .map(async ({ name }) => {
                const records = await readJournal(runDirectoryPaths(join(runsDirectory, name)).journal);
                return {
                    id: name,
                    committed: isCommitted(records),
                    fenced: stepState(records, "fence").state !== "clean",
                };
            }),
    );
    const asked = runs.filter((run) => id === undefined || run.id === id);
    return (
        (disposable ? asked : runs).find(({ committed }) => committed) ??
        asked.find((run) => run.fenced && run.id === holder?.run)
    );
}
