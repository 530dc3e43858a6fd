/** Contracts of the steps that open, clear up and report: phases `cutover` and `finish`. */
import { z } from "zod";
import { contract } from "./define.ts";
import { absolutePath, check, count, instant, runReference, seconds, sha256 } from "./shared.ts";
import { targetDatabase } from "./targetDatabase.ts";
import { selfHostedSource, source } from "./source.ts";
import { safeguardCopy } from "./migrate.ts";

/** The point of no return: from here on the source must never serve again. */
export const commitContract = contract({
    name: "commit",
    phase: "cutover",
    version: 1,
    irrevocable: true,
    spec: z.strictObject({
        run: runReference,
        database: targetDatabase,
        probe: sha256,
        fenceToken: sha256.optional(),
        source,
    }),
    result: z.strictObject({ committedAt: instant }),
});

/** Lets traffic through the gateway. */
export const openContract = contract({
    name: "open",
    phase: "cutover",
    version: 1,
    // Where the gateway is reached may be changed at any time; it is open.
    immaterial: ["gatewayUrl", "publicBaseUrl"],
    spec: z.strictObject({
        run: runReference,
        serverName: z.string(),
        gatewayDirectory: absolutePath,
        gatewayUrl: z.url(),
        committedAt: instant,
        /** What clients use; its name, certificate and well-known are checked where it is given. */
        publicBaseUrl: z.url().optional(),
        verifyKeys: z.record(z.string(), z.string()),
    }),
    result: z.strictObject({ openedAt: instant, downtimeSeconds: seconds.optional(), checks: z.array(check) }),
});

/** Removes what the test account has left for the probe to find, of earlier moves too, from the homeserver that serves now. */
export const clearTracesContract = contract({
    name: "clear-traces",
    phase: "cutover",
    version: 1,
    // What is gone is gone; what could not be removed is tried again with the next phase.
    repeatable: "always",
    spec: z.strictObject({
        run: runReference,
        /** Of one that is installed: it is asked through its machine, where it listens now. */
        deployment: selfHostedSource.optional(),
        serverName: z.string(),
        database: targetDatabase,
        /** Of Synapse itself, behind the gateway. */
        baseUrl: z.url(),
        openedAt: instant,
        /** The test account. */
        canaryUser: z.string(),
    }),
    /** What is left is not known where the homeserver or its database could not be asked. */
    result: z.strictObject({ removed: count, left: count.optional() }),
});

/** Until when a database that was replaced, and its copy, are kept at least. */
export function keptUntil(openedAt: string, safeguardHours: number): string {
    return new Date(Date.parse(openedAt) + safeguardHours * 3_600_000).toISOString();
}

/** Removes the run's working files and what the swap put aside; data only when its copy has been kept long enough. */
export const cleanupContract = contract({
    name: "cleanup",
    phase: "finish",
    version: 1,
    // What is kept now is due later; what is gone is gone, so that doing it twice does no more than doing it once.
    repeatable: "always",
    spec: z.strictObject({
        run: runReference,
        database: targetDatabase,
        openedAt: instant,
        previous: z.string().optional(),
        /** Of the previous database, when it held data. */
        copy: safeguardCopy.optional(),
        safeguardHours: z.number().int().min(24),
        /** Of a target that is installed: what was made here to be put there. */
        workplace: z.strictObject({ directory: absolutePath, mediaStore: absolutePath }).optional(),
    }),
    result: z.strictObject({
        removedBytes: count,
        removedDatabases: z.array(z.string()),
        /** Put aside and still there, with its copy. */
        kept: z
            .array(
                z.strictObject({
                    name: z.string(),
                    /** The first `pulumi up` after it removes both. */
                    until: instant,
                    /** Present when nothing removes it any more but a person, and why. */
                    reason: z.string().max(500).optional(),
                }),
            )
            .default([]),
    }),
});

/** Renders the report out of journal and evidence. */
export const reportContract = contract({
    name: "report",
    phase: "assess",
    version: 1,
    repeatable: "always",
    spec: z.strictObject({
        run: runReference,
        /** Where `report.json`, `report.md` and `report.html` are written. */
        directory: absolutePath,
        phase: z.string(),
        /** Facts of the control plane: program and plugin versions, whether stand-ins are in use. */
        environment: z.record(z.string(), z.string()),
        /** Orders the report after what it reports: a digest of each result. */
        after: z.array(z.string()),
    }),
    result: z.strictObject({ json: absolutePath, markdown: absolutePath, html: absolutePath }),
});
