/** Contracts of the steps that keep a copy close behind a running source, in place of dump and restore: phases `stage` and `migrate`. */
import { z } from "zod";
import { contract } from "./define.ts";
import { absolutePath, check, count, finding, port, runReference, seconds, sha256 } from "./shared.ts";
import { targetDatabase } from "./targetDatabase.ts";
import { selfHostedSource } from "./source.ts";

/** Where the target's PostgreSQL server finds the source's, if not where we do. */
export const replicationAddress = z.strictObject({ host: z.string().min(1), port });
export type ReplicationAddress = z.infer<typeof replicationAddress>;

const common = {
    run: runReference,
    source: selfHostedSource,
    database: targetDatabase,
    replication: replicationAddress.optional(),
};

/** Copies the database while the homeserver runs, and has the target take over what is written afterwards. */
export const followContract = contract({
    name: "follow",
    phase: "stage",
    version: 1,
    spec: z.strictObject({
        ...common,
        /** Pairs of connections that copy at a time; 2 when absent. */
        jobs: z.number().int().min(1).max(64).optional(),
        /** Of rows; no limit when absent. */
        bytesPerSecond: z.number().int().min(1).optional(),
        /** Of a server of our own on this machine: the source's password is kept in a file there, and not in the subscription. */
        serverDirectory: absolutePath.optional(),
    }),
    result: z.strictObject({
        incoming: z.string(),
        /** Of slot and subscription. */
        slot: z.string(),
        publication: z.string(),
        /** SHA-256 of the record of what was copied. */
        digest: sha256,
        tables: count,
        rows: count,
        /** Of rows as they were sent. */
        bytes: count,
        /** Until the copy was complete and compared. */
        seconds,
        /** Tables of the source that have another replica identity for as long as they are followed. */
        identities: count,
        /** How long the target took to confirm what the source had just written. */
        lagSeconds: seconds,
        lagBytes: count,
        findings: z.array(finding),
    }),
});

/** The last look before the source is stopped: what would fail afterwards fails here, with the homeserver still running. */
export const settleContract = contract({
    name: "settle",
    phase: "migrate",
    version: 1,
    repeatable: "before-commit",
    spec: z.strictObject({ ...common, digest: sha256 }),
    result: z.strictObject({ lagSeconds: seconds, lagBytes: count }),
});

/** Takes over the last change of the fenced source, proves it, and ends the following. */
export const catchUpContract = contract({
    name: "catch-up",
    phase: "migrate",
    version: 1,
    spec: z.strictObject({
        ...common,
        fenceToken: sha256,
        /** Of {@link followContract}'s result. */
        digest: sha256,
        /** Orders the safeguard before the catch-up. */
        safeguard: z.string(),
        verify: z.enum(["quick", "strict"]),
        jobs: z.number().int().min(1).max(64).optional(),
    }),
    result: z.strictObject({
        incoming: z.string(),
        manifestFile: absolutePath,
        manifestDigest: sha256,
        oneTimeKeys: z.literal("kept"),
        /** Of the write-ahead log, after the source's last change. */
        position: z.string(),
        /** By part of the work, in the homeserver's downtime. */
        parts: z.record(z.string(), seconds),
        checks: z.array(check),
        /** What could not be removed from the source yet, one line each. */
        left: z.array(z.string()),
    }),
});
