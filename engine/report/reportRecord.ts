/** The shape of `report.json`: everything that the Markdown and the HTML report show, and nothing else. */
import { z } from "zod";
import { check, count, finding, instant, seconds } from "../../contract/index.ts";

/** How one attempt at a step, or at taking it back, ended. `interrupted`: killed; its end was never written. */
const attempt = z.strictObject({
    kind: z.enum(["do", "undo"]),
    /** Counts from 1 within the step, attempts of both kinds together. */
    number: z.number().int().min(1),
    state: z.enum(["done", "failed", "interrupted", "unfinished"]),
    startedAt: instant,
    /** Of the last record of the attempt; of an attempt that did not end, the last sign of life. */
    endedAt: instant,
    seconds,
    error: z.strictObject({ code: z.string(), message: z.string() }).optional(),
});

const step = z.strictObject({
    name: z.string(),
    phase: z.string(),
    /** Where the step stands now. `undone`: taken back since. */
    state: z.enum(["done", "failed", "unfinished", "undone", "undo-failed"]),
    attempts: z.array(attempt),
    /**
     * Where its attempts have worked: `user@host` of other machines, and `this machine`, which runs the program. Absent where no attempt has told,
     * as after a kill.
     */
    machines: z.array(z.string()).optional(),
});

const downtimeWindow = z.strictObject({
    from: instant,
    /** Absent while the service is still down. */
    until: instant.optional(),
    seconds: seconds.optional(),
    end: z.enum(["opened", "rolled-back", "ongoing"]),
});

const comparedTable = z.strictObject({
    name: z.string(),
    sourceRows: count.optional(),
    targetRows: count.optional(),
    /** Sum of the row hashes, as the database wrote it. */
    sourceHash: z.string().optional(),
    targetHash: z.string().optional(),
    /** `emptied`: one-time keys that must not be handed out twice. `added`: rows of media that came with an archive of them. */
    state: z.enum(["equal", "different", "emptied", "added", "not-compared"]),
    /** False when the step that compared it was taken back after it. */
    stands: z.boolean(),
});

const outcome = z.strictObject({
    /**
     * `proven` only when nothing failed and every proof of identity ran, passed and stands; `moved` when nothing failed and some of them did
     * not run.
     */
    state: z.enum([
        "assessed",
        "blocked",
        "staged",
        "under-way",
        "proven",
        "moved",
        "unproven",
        "failed",
        "interrupted",
        "rolled-back",
    ]),
    headline: z.string(),
    /** The outcome in one sentence, then what it means for source and gateway. */
    sentences: z.array(z.string()),
    /** Of a server that was moved: each proof of identity that was not given, in words, and why. */
    notProven: z.array(z.strictObject({ what: z.string(), step: z.string(), check: z.string(), reason: z.string() })),
    /** Everything that would belong to a full proof and was not run: `step: check`. */
    notRun: z.array(z.string()),
});

const media = z.strictObject({
    step: z.string(),
    files: count,
    bytes: count,
    copied: count,
    missing: count,
    orphans: count,
    treeDigest: z.string(),
});

const raisedError = z.strictObject({
    step: z.string(),
    attempt: z.number().int().min(1),
    at: instant,
    code: z.string(),
    message: z.string(),
    /** From the error catalogue, where the code is in it. */
    title: z.string().optional(),
    why: z.string().optional(),
    fix: z.string().optional(),
    /** Whether the step was done, or taken back, after it. */
    resolved: z.boolean(),
});

/** One run as its journal and evidence tell it. Secrets are replaced before a record is made. */
export const runRecord = z.strictObject({
    format: z.literal("synapse-migration report"),
    version: z.literal(1),
    run: z.strictObject({ id: z.string(), phase: z.string(), disposable: z.boolean() }),
    /** The moment of the last journal record: the report says nothing of what came later. Absent before the first. */
    asOf: instant.optional(),
    serverName: z.string().optional(),
    source: z.string(),
    target: z.string(),
    outcome,
    /** One entry for each time the source was fenced. */
    downtime: z.array(downtimeWindow),
    /**
     * Each time that the clock of the machine was set while the run went on, seconds forward or back. All instants are as the clock had them
     * after the last time.
     */
    clockSet: z.array(z.strictObject({ before: instant, seconds: z.number() })),
    steps: z.array(step),
    /** `stands` is false when the step was taken back after the check. */
    checks: z.array(check.extend({ step: z.string(), stands: z.boolean() })),
    findings: z.array(finding.extend({ step: z.string() })),
    tables: z.array(comparedTable),
    media: z.array(media),
    sizes: z.strictObject({ databaseBytes: count, mediaBytes: count, mediaFiles: count, tables: count }).optional(),
    /** What the assessment expected the downtime to be. */
    predictedDowntimeSeconds: seconds.optional(),
    versions: z.record(z.string(), z.string()),
    environment: z.record(z.string(), z.string()),
    plugins: z.enum(["official", "offline", "unknown"]),
    errors: z.array(raisedError),
    /** What steps, and what took them back, have said must be done or known after the run. */
    leftToDo: z.array(z.strictObject({ step: z.string(), at: instant, undo: z.boolean(), text: z.string() })),
    /** Evidence that is there and could not be used. */
    unread: z.array(z.strictObject({ file: z.string(), reason: z.string(), stands: z.boolean() })),
});

export type RunRecord = z.infer<typeof runRecord>;
export type ReportedStep = RunRecord["steps"][number];
export type Attempt = ReportedStep["attempts"][number];
export type DowntimeWindow = RunRecord["downtime"][number];
export type ReportedCheck = RunRecord["checks"][number];
export type ReportedTable = RunRecord["tables"][number];
export type Outcome = RunRecord["outcome"];
