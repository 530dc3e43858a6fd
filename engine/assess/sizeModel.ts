/**
 * How long a move takes, from what there is to move and what it is moved with. Pure: no clock, no server.
 *
 * Work is counted in core-seconds, as a move is bound by processors, not by disks (docs/performance.md). What several cores share is divided
 * by their number; what they cannot share is not: the largest index is built by one session and its helpers, and what surrounds the move takes
 * as long on any machine.
 */

export type CopyMode = "archive" | "direct" | "replicate" | "import";

/** What is moved, with what. */
export interface Move {
    /**
     * `archive`: dump, then restore. `direct`: from server to server. `replicate`: copied before the downtime. `import`: a plain dump that is
     * there already.
     */
    readonly mode: CopyMode;
    /** `pg_database_size`. */
    readonly databaseBytes: number;
    readonly mediaBytes: number;
    /** At least 1. */
    readonly sourceCores: number;
    readonly targetCores: number;
    /** Whether both servers share the source's cores. */
    readonly sameMachine: boolean;
    /** Connections or processes that work at a time, at least 1. */
    readonly jobs: number;
    /** Between both servers; absent, it is no limit. */
    readonly networkBytesPerSecond?: number;
    /** `replicate` only: every row is compared within the downtime. */
    readonly strict?: boolean;
}

/** What a target did, bytes a second; see calibration.ts. */
export interface Speed {
    /** Of rows as COPY reads them. */
    readonly copyIn: number;
    /** Of a finished index. */
    readonly index: number;
}

/** How fast the target was found to be, as a multiple of the machine that the coefficients were measured on. */
export interface Calibration {
    readonly copyIn: number;
    readonly index: number;
}

export interface Prediction {
    /** From the fence to the opening of the gateway. */
    readonly downtimeSeconds: number;
    /** Sum to the downtime. Parts that the mode does not have are 0. */
    readonly parts: Readonly<Record<PredictedPart, number>>;
    /** Of copying while the homeserver still runs: `replicate` only. */
    readonly beforeSeconds: number;
    /** What holds up the rows. */
    readonly bottleneck: Bottleneck;
}

type Bottleneck = "source processors" | "target processors" | "processors" | "network" | "one stream";

type PredictedPart = "fixed" | "definitions" | "rows" | "indexes" | "verification" | "cutOver" | "media";

/**
 * Each says where it comes from: a part of `npm run bench`, three rounds at sizes S and L on two idle cores, whose figures are in
 * docs/performance.md; or `assumed`, which this project's bench has not measured.
 */
export const coefficients = {
    /** Share of `pg_database_size` that rows are, as COPY writes them (limits). */
    rowShare: 0.52,
    /** Share of `pg_database_size` that indexes are (limits). */
    indexShare: 0.35,
    /** Of rows, bytes a second, by one server process (limits). */
    copyOut: 455e6,
    copyIn: 176e6,
    /** Of rows, hashed (limits). */
    hash: 485e6,
    /** Of finished indexes and checked keys (limits). */
    index: 72e6,
    /** Share of the largest index in all indexes: that of `state_groups_state` (assumed: it grows with the age of a homeserver; 0.2 at size L). */
    largestIndex: 0.4,
    /** Share of an index build that its helpers can do beside each other (assumed: 2.5 s alone, 1.75 s with two workers, on another database). */
    parallelIndex: 0.6,
    /** What calibration.ts finds on the same machine (calibration). */
    reference: { copyIn: 148e6, index: 107e6 },
    /** How much of the processors' time a copy turns into the work above; statistics, clients and waiting have the rest (direct, S and L). */
    efficiency: 0.64,
    /** Reading one stream of SQL, with the decompression before it: no third core helps (load, L: 703 MB in 7.3 s). */
    decompress: 100e6,
    /** Read on both sides in the final pass (assumed). */
    media: 200e6,
    /** Of the schema's dump, and of hundreds of tables, keys and small indexes: as long on any machine, and at any size (direct, S and L). */
    definitionsSeconds: 0.9,
    /** Stopping, proving, swapping, starting, probing (assumed). */
    fixedSeconds: 20,
    /** `replicate`: the last changes, sequences, tables compared at their ends (downtime, S and L). */
    cutOverSeconds: 1,
} as const;

/** The speed of a target as a multiple of the one that was measured. */
export function calibrationOf({ copyIn, index }: Speed): Calibration {
    const { reference } = coefficients;
    return { copyIn: copyIn / reference.copyIn, index: index / reference.index };
}

/** A uniformly fast machine: that of the {@link coefficients}. */
const uncalibrated: Calibration = { copyIn: 1, index: 1 };

export function predict(move: Move, calibration: Calibration = uncalibrated): Prediction {
    const { mode, mediaBytes, strict = false } = move;
    const { media, fixedSeconds, definitionsSeconds, cutOverSeconds } = coefficients;
    const { rows, indexes, verification, bottleneck } = copySeconds(move, calibration);
    const replicated = mode === "replicate";
    const parts = {
        fixed: fixedSeconds,
        definitions: replicated ? 0 : definitionsSeconds,
        rows: replicated ? 0 : rows,
        indexes: replicated ? 0 : indexes,
        // A copy has hashed its source already. One that followed hashes both sides at the same time.
        verification: !replicated ? verification : strict ? verification * (move.sameMachine ? 2 : 1) : 0,
        cutOver: replicated ? cutOverSeconds : 0,
        media: mediaBytes / media,
    };
    return {
        downtimeSeconds: Object.values(parts).reduce((sum, seconds) => sum + seconds, 0),
        parts,
        beforeSeconds: replicated ? definitionsSeconds + rows + indexes + verification : 0,
        bottleneck,
    };
}

/** Work that goes on beside other work; the slowest holds up the others. */
interface Stage {
    readonly name: Bottleneck;
    readonly seconds: number;
}

interface CopySeconds {
    readonly rows: number;
    readonly indexes: number;
    readonly verification: number;
    readonly bottleneck: Bottleneck;
}

function copySeconds(move: Move, calibration: Calibration): CopySeconds {
    const { databaseBytes, mode, sameMachine, sourceCores, targetCores, jobs } = move;
    const c = coefficients;
    const rowBytes = databaseBytes * c.rowShare;
    const source = Math.min(sourceCores, jobs) * c.efficiency;
    const target = Math.min(sameMachine ? sourceCores : targetCores, jobs) * c.efficiency;
    // The source's rows are hashed while they are copied.
    const out = rowBytes / c.copyOut + rowBytes / c.hash;
    const into = rowBytes / (c.copyIn * calibration.copyIn);
    const reading: Stage = { name: "source processors", seconds: out / source };
    const writing: Stage = { name: "target processors", seconds: into / target };
    const sending: Stage = { name: "network", seconds: rowBytes / (move.networkBytesPerSecond ?? Infinity) };
    const unpacking: Stage = { name: "one stream", seconds: rowBytes / c.decompress };
    const shared: Stage = { name: "processors", seconds: (out + into) / source };
    // One after the other, or beside each other.
    const passes: Stage[][] =
        mode === "import"
            ? [[unpacking, writing]]
            : sameMachine
              ? [[shared, sending]]
              : mode === "archive"
                ? [[reading, sending], [writing]]
                : [[reading, sending, writing]];
    const slowest = passes.map((stages) => stages.reduce(slower));
    const build = (databaseBytes * c.indexShare) / (c.index * calibration.index);
    const largest = build * c.largestIndex * (1 - c.parallelIndex + c.parallelIndex / target);
    return {
        rows: slowest.reduce((sum, { seconds }) => sum + seconds, 0),
        indexes: Math.max(build / target, largest),
        verification: rowBytes / (c.hash * calibration.copyIn) / target,
        bottleneck: slowest.reduce(slower).name,
    };
}

const slower = (a: Stage, b: Stage): Stage => (b.seconds > a.seconds ? b : a);
