/** Contracts of the steps about media that Synapse's own store does not hold: other servers' media, and media of another repository. */
import { z } from "zod";
import type { StepContract } from "../run/step.ts";
import { absolutePath, check, count, instant, runReference, seconds, targetDatabase } from "./shared.ts";

const contract = <Spec, Result>(contract: StepContract<Spec, Result>): StepContract<Spec, Result> => contract;

/** Has the started target forget the cached media of other servers that did not come along: their rows did, with the database. */
export const purgeRemoteMediaContract = contract({
    name: "purge-remote-media",
    phase: "migrate",
    version: 1,
    spec: z.strictObject({
        run: runReference,
        serverName: z.string(),
        database: targetDatabase,
        mediaStore: absolutePath,
        baseUrl: z.url(),
        startedAt: instant,
        /** What the test account left on the source; its token is used where the account is an administrator of the homeserver. */
        canaryFile: absolutePath.optional(),
        /** Name of the test account, to log in as where it has left no file. */
        canaryUser: z.string().optional(),
        canaryPassword: z.string().optional(),
    }),
    result: z.strictObject({
        /** Rows that went. */
        purged: count,
        /** Rows that stay without a file and may be asked for. Quarantined ones stay on purpose, and are not counted. */
        withoutFile: count,
        quarantined: count,
        /** Whose token Synapse's admin API was asked with. */
        askedAs: z.enum(["nobody", "test account", "temporary account"]),
        checks: z.array(check),
        seconds,
    }),
});
