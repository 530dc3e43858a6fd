/** An account of the homeserver that may use its admin API for a few minutes, and belongs to no user. */
import { randomBytes, randomInt } from "node:crypto";
import { z } from "zod";
import { queryOne, withClient, type Client, type DatabaseAddress } from "../postgres/connection.ts";
import type { MatrixApi } from "../synapse/api/matrixApi.ts";
import { MigrationError } from "../run/errors.ts";
import { registerSecret } from "../run/redaction.ts";
import type { StepRun } from "../run/step.ts";

/** A token is good for so long, whatever happens to who made it: Synapse looks at the time with each request. */
const tokenMinutes = 10;
/** A request takes 30 s at most. */
const renewBeforeMinutes = 2;

export interface TemporaryAdminArgs {
    /** The homeserver's database, under the name that Synapse uses. */
    readonly address: DatabaseAddress;
    readonly serverName: string;
    readonly api: MatrixApi;
    /** For the session's name in the database. */
    readonly step: string;
}

/**
 * Makes rows for an account and its token, has the work use them, and removes both, also when the work fails.
 *
 * The account has no password, no device and no profile, and is of type `support`, which Synapse counts nowhere and shows to no user. No
 * user is impersonated: the entry that Synapse may make of its address (`user_ips`) carries a name that says what it was. The name is the run's
 * and journaled before its rows are made, so that another attempt, or the undo, removes what a kill has left; its token is worth nothing
 * ten minutes later.
 *
 * Synapse numbers tokens in its memory: the number of this one is negative, so that it is never given out a second time.
 *
 * @param work  gets a function that gives a token for the next request
 * @throws MigrationError those of `withClient`
 */
export async function withTemporaryAdmin<T>(
    args: TemporaryAdminArgs,
    run: StepRun,
    work: (token: () => Promise<string>) => Promise<T>,
): Promise<T> {
    const userId = await run.recorded("temporary-account", () => Promise.resolve(accountOf(run.id, args.serverName)));
    await inDatabase(args, (client) => removeAccount(client, userId));
    let current: { readonly token: string; readonly until: number } | undefined;
    const renewed = async (): Promise<string> => {
        if (current !== undefined && Date.now() < current.until - renewBeforeMinutes * 60_000) return current.token;
        const token = `syt_${randomBytes(32).toString("hex")}`;
        registerSecret(token);
        const until = Date.now() + tokenMinutes * 60_000;
        await inDatabase(args, (client) => insertAdmin(client, userId, token, until));
        if (current !== undefined) await forget(args.api, current.token);
        current = { token, until };
        return token;
    };
    try {
        return await work(renewed);
    } finally {
        // Also takes it out of Synapse's memory, which the removal of its row would not.
        if (current !== undefined) await forget(args.api, current.token);
        await inDatabase(args, (client) => removeAccount(client, userId));
    }
}

/** Removes what a run that was killed has left of its account. */
export function removeTemporaryAdmin(args: Omit<TemporaryAdminArgs, "api">, run: StepRun): Promise<void> {
    return inDatabase(args, (client) => removeAccount(client, accountOf(run.id, args.serverName)));
}

const accountOf = (runId: string, serverName: string): string => `@synapse-migration-${runId}:${serverName}`;

function inDatabase<T>(
    { address, step }: Omit<TemporaryAdminArgs, "api">,
    work: (client: Client) => Promise<T>,
): Promise<T> {
    return withClient(address, { step }, work);
}

async function insertAdmin(client: Client, userId: string, token: string, until: number): Promise<void> {
    // Since schema version 73; where new accounts have to be approved, others may do nothing.
    const { approves } = await queryOne(
        client,
        z.object({ approves: z.boolean() }),
        `SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'public.users'::regclass AND attname = 'approved'
            AND NOT attisdropped) AS approves`,
    );
    await client.query("BEGIN");
    try {
        await client.query(
            `INSERT INTO public.users (name, creation_ts, admin, is_guest, deactivated, user_type${approves ? ", approved" : ""})
                VALUES ($1, $2, 1, 0, 0, 'support'${approves ? ", true" : ""}) ON CONFLICT (name) DO NOTHING`,
            [userId, Math.floor(Date.now() / 1000)],
        );
        await client.query(
            "INSERT INTO public.access_tokens (id, user_id, device_id, token, valid_until_ms) VALUES ($1, $2, NULL, $3, $4)",
            [-randomInt(1, 2 ** 47), userId, token, until],
        );
        await client.query("COMMIT");
    } catch (error) {
        await client.query("ROLLBACK").catch(() => undefined);
        throw error;
    }
}

/** @throws MigrationError SM-E0607 when somebody has an account of this name */
async function removeAccount(client: Client, userId: string): Promise<void> {
    const { taken } = await queryOne(
        client,
        z.object({ taken: z.boolean().nullable() }),
        `SELECT bool_or(user_type IS DISTINCT FROM 'support' OR password_hash IS NOT NULL) AS taken
            FROM public.users WHERE name = $1`,
        [userId],
    );
    // There is none: nothing is written, which a database that is read only would refuse.
    if (taken === null) return;
    if (taken)
        throw new MigrationError("SM-E0607", {
            where: "table users",
            found: `an account ${userId} that is not ours`,
            expected: "none of this name",
        });
    for (const statement of [
        "DELETE FROM public.access_tokens WHERE user_id = $1",
        "DELETE FROM public.user_ips WHERE user_id = $1",
        "DELETE FROM public.users WHERE name = $1",
    ])
        await client.query(statement, [userId]);
}

async function forget(api: MatrixApi, accessToken: string): Promise<void> {
    // A server that is gone has nothing in its memory.
    await api.ask("/_matrix/client/v3/logout", { method: "POST", accessToken, body: {} }).catch(() => undefined);
}
