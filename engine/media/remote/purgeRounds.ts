/** Calls Synapse's clean-up of cached media until none is left: a few thousand at a time, as it answers only when all of them are gone. */
import type { Client } from "../../postgres/connection.ts";
import { describeAnswer, type MatrixAnswer, type MatrixApi } from "../../synapse/api/matrixApi.ts";
import { MigrationError } from "../../run/errors.ts";
import { boundaryOf, countRemoteRows, type RemoteRowCounts } from "./remoteRows.ts";

export interface PurgeRounds {
    readonly left: RemoteRowCounts;
    /** Why it was given up; undefined when nothing is left that the clean-up takes. */
    readonly refused: string | undefined;
}

/** Some milliseconds each; an answer must come within 30 s. */
const rowsAtOnce = 2000;
const roundsWithoutProgress = 3;

/** Synapse admin API, "Purge remote media": `POST` with the time in milliseconds that media must have been accessed before. */
export const purgePath = (beforeTs: number): string => `/_synapse/admin/v1/purge_media_cache?before_ts=${beforeTs}`;

/** @param token  for the next request */
export async function purgeRounds(
    { api, client, token }: { readonly api: MatrixApi; readonly client: Client; readonly token: () => Promise<string> },
    { signal, onRound }: { readonly signal: AbortSignal; readonly onRound: (left: number) => void },
): Promise<PurgeRounds> {
    let left = await countRemoteRows(client);
    let still = 0;
    for (;;) {
        signal.throwIfAborted();
        const before = await boundaryOf(client, rowsAtOnce);
        if (before === undefined) return { left, refused: undefined };
        const answer = await call(api, purgePath(before), await token());
        const now = await countRemoteRows(client);
        if (answer !== undefined && answer.status !== 200)
            return { left: now, refused: `it answered ${describeAnswer(answer)}` };
        still = now.askable < left.askable ? 0 : still + 1;
        left = now;
        onRound(left.askable);
        if (still >= roundsWithoutProgress)
            return {
                left,
                refused: answer === undefined ? "it does not answer" : "it answered 200 and purged nothing",
            };
    }
}

/** Undefined when no answer came in time: Synapse goes on with what it has begun, and the rows say how far it got. */
async function call(api: MatrixApi, path: string, accessToken: string): Promise<MatrixAnswer | undefined> {
    return api.ask(path, { method: "POST", accessToken, body: {} }).catch((error: unknown) => {
        if (error instanceof MigrationError && error.code === "SM-E1106") return undefined;
        throw error;
    });
}
