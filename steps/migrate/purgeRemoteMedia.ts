/** Has the started target forget cached media of other servers that did not come along, and sees that they are fetched again. */
import { z } from "zod";
import { purgeRemoteMediaContract, type Check } from "../../contract/index.ts";
import { thisMachine } from "../../engine/machines/local/localMachine.ts";
import { remoteMediaChecks } from "../../engine/media/remote/remoteChecks.ts";
import { purgePath, purgeRounds, type PurgeRounds } from "../../engine/media/remote/purgeRounds.ts";
import {
    boundaryOf,
    countRemoteRows,
    newestRemoteMedia,
    rowsWithoutFile,
} from "../../engine/media/remote/remoteRows.ts";
import { storeRoot } from "../../engine/media/mediaStore.ts";
import { withClient, type Client } from "../../engine/postgres/connection.ts";
import { readMarker, requireMarker } from "../../engine/postgres/databases/marker.ts";
import { ownerAddress } from "../../engine/postgres/databases/targetAddress.ts";
import { readCanaryTraces } from "../../engine/probe/canaryFile.ts";
import { logIn } from "../../engine/synapse/api/login.ts";
import { targetBaseUrl } from "../../engine/installed/askInstalled.ts";
import { MatrixApi } from "../../engine/synapse/api/matrixApi.ts";
import { MigrationError } from "../../engine/run/errors.ts";
import { registerSecret } from "../../engine/run/redaction.ts";
import { defineStep, type StepRun } from "../../engine/run/step.ts";
import { removeTemporaryAdmin, withTemporaryAdmin } from "../../engine/probe/temporaryAdmin.ts";
import { deviceNames } from "../../engine/probe/traces.ts";

type PurgeSpec = z.infer<typeof purgeRemoteMediaContract.spec>;
type AskedAs = z.infer<typeof purgeRemoteMediaContract.result>["askedAs"];

const step = "purge-remote-media";
const everything = Number.MAX_SAFE_INTEGER;

/** What was done, and what a token was good for while there was one. */
interface Purge extends PurgeRounds {
    readonly askedAs: AskedAs;
    /** How the target answers who asks for media that it has forgotten; undefined when nobody asked. */
    readonly fetched: number | undefined;
}

export const purgeRemoteMedia = defineStep(
    purgeRemoteMediaContract,
    async (spec, run) => {
        registerSecret(spec.canaryPassword ?? "");
        const began = performance.now();
        const address = await ownerAddress(spec.database, spec.database.name);
        const root = await storeRoot(thisMachine, spec.mediaStore);
        return withClient(address, { step, statementSeconds: 0, signal: run.signal }, async (client) => {
            requireMarker(await readMarker(client), run.id, ["swapped", "committed"], `database ${address.name}`);
            const before = await run.recorded("rows-before", () => countRemoteRows(client));
            const sample = await run.recorded("sample", async () => (await newestRemoteMedia(client)) ?? null);
            const purge = await run.progress.during("purging cached media of other servers", () =>
                purgeWithSomebodysToken({ spec, run, client, sample }),
            );
            const withoutFile = await rowsWithoutFile(client, root, run.signal);
            // What the administrator is told to call takes all of them at once.
            const last = (await boundaryOf(client, everything)) ?? Date.now();
            const call = `POST ${spec.baseUrl.replace(/\/+$/, "")}${purgePath(last)}`;
            const checks: Check[] = remoteMediaChecks({ ...purge, before, withoutFile, sample, call });
            await run.evidence({ before, left: purge.left, askedAs: purge.askedAs, withoutFile, sample, checks });
            return {
                purged: Math.max(0, before.askable - purge.left.askable),
                withoutFile: withoutFile.count,
                quarantined: purge.left.quarantined,
                askedAs: purge.askedAs,
                checks,
                seconds: (performance.now() - began) / 1000,
            };
        });
    },
    async (spec, run) => {
        const { database, serverName } = spec;
        const address = await ownerAddress(database, database.name);
        await removeTemporaryAdmin({ address, serverName, step }, run).catch((error: unknown) => {
            // Undone with its database: the token was good for minutes, and the account for nothing else.
            if (!(error instanceof MigrationError)) throw error;
            run.progress.note(`the temporary account could not be looked for: ${error.message}`);
        });
    },
);

interface PurgeArgs {
    readonly spec: PurgeSpec;
    readonly run: StepRun;
    readonly client: Client;
    readonly sample: { readonly origin: string; readonly mediaId: string } | null;
}

/** The test account's, if it is an administrator; or else that of an account that is there for as long as it takes. */
async function purgeWithSomebodysToken({ spec, run, client, sample }: PurgeArgs): Promise<Purge> {
    const left = await countRemoteRows(client);
    if (left.askable === 0 && sample === null)
        return { left, refused: undefined, askedAs: "nobody", fetched: undefined };
    const api = new MatrixApi(await targetBaseUrl(spec));
    const purged = async (askedAs: AskedAs, token: () => Promise<string>): Promise<Purge> => {
        const onRound = (rows: number): void => run.progress.say(`${rows} rows left`);
        const rounds = await purgeRounds({ api, client, token }, { signal: run.signal, onRound });
        const isGone = rounds.refused === undefined && sample !== null;
        return { ...rounds, askedAs, fetched: isGone ? await fetchAgain(api, sample, await token()) : undefined };
    };
    const byTestAccount = await withTestAccount(api, spec, run, (token) =>
        purged("test account", () => Promise.resolve(token)),
    );
    if (byTestAccount !== undefined) return byTestAccount;
    const args = {
        address: await ownerAddress(spec.database, spec.database.name),
        ...{ serverName: spec.serverName, api, step },
    };
    return withTemporaryAdmin(args, run, (token) => purged("temporary account", token));
}

/** Undefined when there is no test account, when it cannot log in, or when it is no administrator. */
async function withTestAccount<T>(
    api: MatrixApi,
    { canaryFile, canaryUser, canaryPassword }: PurgeSpec,
    { progress }: StepRun,
    work: (token: string) => Promise<T>,
): Promise<T | undefined> {
    const traces = canaryFile === undefined ? undefined : await readCanaryTraces(canaryFile);
    const login =
        traces === undefined && canaryUser !== undefined && canaryPassword !== undefined
            ? await logIn(api, { user: canaryUser, password: canaryPassword, device: deviceNames.cleanUp })
            : undefined;
    const account = traces ?? login;
    if (account === undefined) return undefined;
    try {
        return (await isAdministrator(api, account)) ? await work(account.accessToken) : undefined;
    } finally {
        if (login !== undefined) {
            const { accessToken } = login;
            // What was done, or why it failed, is worth more than a session of the test account that is left.
            await api.ask("/_matrix/client/v3/logout", { method: "POST", accessToken, body: {} }).catch(() => {
                progress.note(
                    `the test account could not be logged out: its device "${deviceNames.cleanUp}" is still there`,
                );
            });
        }
    }
}

/** Synapse tells only administrators who is one. */
async function isAdministrator(
    api: MatrixApi,
    { userId, accessToken }: { readonly userId: string; readonly accessToken: string },
): Promise<boolean> {
    const answer = await api.ask(`/_synapse/admin/v1/users/${encodeURIComponent(userId)}/admin`, { accessToken });
    return answer.status === 200 && z.object({ admin: z.literal(true) }).safeParse(answer.json).success;
}

/** @returns the status of the answer */
async function fetchAgain(
    api: MatrixApi,
    { origin, mediaId }: { readonly origin: string; readonly mediaId: string },
    accessToken: string,
): Promise<number> {
    const path = [origin, mediaId].map(encodeURIComponent).join("/");
    const answer = await api.ask(`/_matrix/client/v1/media/download/${path}?timeout_ms=5000`, { accessToken });
    return answer.status;
}
