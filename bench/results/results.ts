/** What a bench has found out: the shape of its JSON. */
import { z } from "zod";

const seconds = z.number().min(0);
const count = z.number().int().min(0);

const measurement = z.strictObject({
    seconds,
    parts: z.record(z.string(), seconds),
    fileBytes: count.optional(),
    peakBytes: count.optional(),
});

const measuredMethod = z.strictObject({
    id: z.string(),
    title: z.string(),
    runs: z.array(measurement),
    /** Seconds of comparing every row of its result with the source, both sides in parallel; one for each run. */
    checks: z.array(seconds),
    /** Why there are no runs. */
    missing: z.string().optional(),
});
export type MeasuredMethod = z.infer<typeof measuredMethod>;

/** Processor seconds of one server process each, on the same data: what no way can do without. */
const limits = z.strictObject({
    copyOut: seconds,
    copyIn: seconds,
    indexes: seconds,
    /** Of rows as COPY writes them. */
    rowBytes: count,
    indexBytes: count,
});
export type Limits = z.infer<typeof limits>;

const downtimeRun = z.strictObject({
    /** Seconds before the homeserver was stopped. */
    before: z.record(z.string(), seconds),
    /** Seconds from the stop of the writer to a target that may start. */
    downtime: z.record(z.string(), seconds),
    seconds,
    /** Events of the writer, and errors that it met: there must be none. */
    events: count,
    errors: count,
    peakBytes: count.optional(),
});
export type DowntimeRun = z.infer<typeof downtimeRun>;

const sizeResult = z.strictObject({
    events: count,
    databaseBytes: count,
    methods: z.array(measuredMethod),
    limits: limits.optional(),
    downtime: z.array(downtimeRun),
});
export type SizeResult = z.infer<typeof sizeResult>;

export const benchResult = z.strictObject({
    format: z.literal(1),
    at: z.iso.datetime(),
    machine: z.strictObject({ cores: count, model: z.string(), memoryBytes: count }),
    versions: z.record(z.string(), z.string()),
    jobs: count,
    rounds: count,
    /** Smallest first. */
    sizes: z.array(sizeResult),
    /** Reference of the assessment's calibration: rows and index of a temporary table, bytes a second. */
    calibration: z.strictObject({ copyInBytesPerSecond: z.number(), indexBytesPerSecond: z.number() }).optional(),
});
export type BenchResult = z.infer<typeof benchResult>;
