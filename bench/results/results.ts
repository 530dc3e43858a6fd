/** What a bench has found out: the shape of its JSON. */
import { z } from "zod";

const seconds = z.number().min(0);
const count = z.number().int().min(0);

export const measurement = z.strictObject({
    seconds,
    /** Where the seconds went: one after the other, unless the way says that they overlap. */
    parts: z.record(z.string(), seconds),
    /** Size of the files that it left behind, where it makes some. */
    fileBytes: count.optional(),
    /** Peak resident memory of our own process. */
    peakBytes: count.optional(),
});
export type Measurement = z.infer<typeof measurement>;

/** Core-seconds of one run, as the kernel counts them. */
const processor = z.strictObject({
    source: seconds,
    target: seconds,
    /** All else: clients, compression, our own process. */
    programs: seconds,
});
export type Processor = z.infer<typeof processor>;

const measuredMethod = z.strictObject({
    id: z.string(),
    title: z.string(),
    runs: z.array(measurement),
    /** One for each run. */
    processor: z.array(processor),
    /** Seconds of collecting the statistics that the way itself does not collect; not part of its runs. */
    statistics: z.array(seconds),
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
    /** Of hashing every row, on one side. */
    hashes: seconds,
    indexes: seconds,
    /** Of rows as COPY writes them. */
    rowBytes: count,
    indexBytes: count,
});
export type Limits = z.infer<typeof limits>;

/** One replication under a writer. */
export const downtimeRun = z.strictObject({
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
    /** With every row compared within the downtime. */
    strictDowntime: z.array(downtimeRun),
});
export type SizeResult = z.infer<typeof sizeResult>;

/** A media store that is copied over ssh to loopback. */
const mediaSshPass = z.strictObject({
    seconds,
    /** Core-seconds of both ends and of ssh between them. */
    processor: seconds,
    peakBytes: count.optional(),
});
export type MediaSshPass = z.infer<typeof mediaSshPass>;
/** A pass that copies everything, and one that finds everything copied. */
const mediaSshRun = z.strictObject({ first: mediaSshPass, unchanged: mediaSshPass });
export type MediaSshRun = z.infer<typeof mediaSshRun>;
const mediaSsh = z.strictObject({
    files: count,
    bytes: count,
    ways: z.array(z.strictObject({ way: z.string(), runs: z.array(mediaSshRun) })),
});
export type MediaSshResult = z.infer<typeof mediaSsh>;

export const benchResult = z.strictObject({
    format: z.literal(1),
    at: z.iso.datetime(),
    machine: z.strictObject({ cores: count, model: z.string(), memoryBytes: count }),
    versions: z.record(z.string(), z.string()),
    jobs: count,
    rounds: count,
    /** Smallest first. */
    sizes: z.array(sizeResult),
    /** What the assessment's calibration finds here, bytes a second: its reference. */
    calibration: z.strictObject({ copyIn: z.number(), index: z.number() }).optional(),
    mediaSsh: mediaSsh.optional(),
});
export type BenchResult = z.infer<typeof benchResult>;
