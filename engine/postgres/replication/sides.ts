/** The databases between which a run replicates. */
import type { StepRun } from "../../run/step.ts";
import { withClient, type Client, type DatabaseAddress } from "../connection.ts";
import { replicationName } from "./names.ts";
import type { Sides } from "./progress.ts";

export interface Replication {
    readonly run: Pick<StepRun, "id" | "directory" | "signal" | "progress">;
    /** Names the sessions. */
    readonly step: string;
    /** The homeserver's database, as a role with REPLICATION that owns its tables. */
    readonly source: DatabaseAddress;
    /** The incoming database, as a role that may make subscriptions there. */
    readonly target: DatabaseAddress;
    /** The incoming database as Synapse's role, which will own all that is in it. */
    readonly owner: DatabaseAddress;
    /** Where the target's server finds the source's, if not where we do. */
    readonly seenFromTarget?: { readonly host: string; readonly port: number } | undefined;
    /** A file with the source's password that the target's server can read: only where that is our own. */
    readonly passwordFile?: string | undefined;
}

/** A session in the source's database that may write, also when the database is fenced. */
export function onSource<T>(
    { source, step, run }: Replication,
    work: (client: Client) => Promise<T>,
    signal = run.signal,
): Promise<T> {
    return withClient(source, { step, statementSeconds: 600, signal }, async (client) => {
        await client.query("SET default_transaction_read_only = off");
        return work(client);
    });
}

export function onTarget<T>(
    { target, step, run }: Replication,
    work: (client: Client) => Promise<T>,
    signal = run.signal,
): Promise<T> {
    return withClient(target, { step, statementSeconds: 600, signal }, work);
}

/** Sessions on both sides at once. */
export function onBoth<T>(replication: Replication, work: (sides: Sides) => Promise<T>): Promise<T> {
    return onSource(replication, (source) =>
        onTarget(replication, (target) => work({ source, target, name: replicationName(replication.run.id) })),
    );
}
