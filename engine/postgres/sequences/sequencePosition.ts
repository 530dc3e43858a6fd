/** Whether a sequence may hand out its next number. Pure. */

/** `last_value` and `is_called` of a sequence. */
export interface SequenceState {
    readonly lastValue: bigint;
    /** False when `last_value` itself is handed out next. */
    readonly isCalled: boolean;
}

/** A column that holds numbers of the sequence. */
export interface StreamUse {
    readonly table: string;
    readonly column: string;
    /** Streams that count down hold the negated numbers. */
    readonly direction: "up" | "down";
    /** The highest id in the column, or the lowest where ids count down; undefined when there is none. */
    readonly furthest: bigint | undefined;
}

/** A row of `stream_positions`. */
export interface StreamPosition {
    readonly stream: string;
    readonly instance: string;
    /** Negative for streams that count down. */
    readonly position: bigint;
}

/**
 * Synapse's generators take 1 as seen before anything was written (`MultiWriterIdGenerator.__init__`): a stream that stands at 1 has
 * not been used.
 */
const unused = 1n;

/**
 * Whether a stream's sequence is safe to hand out ids from.
 *
 * Synapse refuses to start when it is behind its tables, and never recovers when it is behind `stream_positions`.
 * Streams that count downwards (backfill) compare by magnitude.
 *
 * A sequence of a used stream whose `is_called` is false is not safe either, wherever it stands: Synapse reads `last_value` alone and takes
 * the number that is handed out next for one it has seen, so that what gets it never reaches a client. `synapse_port_db` leaves
 * sequences so.
 *
 * ```
 *   ids in tables     1 2 3 4 5
 *   stream position   ............. 7
 *   last_value        ......... 5            behind: setval(seq, 7) makes the next id 8
 * ```
 *
 * Not covered: gaps, and ids that were handed out and whose rows are gone without a trace in `stream_positions`.
 *
 * @param sequence  `last_value` and `is_called` of the sequence, ids
 * @returns the smallest value `setval` may be given (with `is_called` true), or undefined when the sequence is fine
 */
export function repairedPosition(
    sequence: SequenceState,
    tables: readonly StreamUse[],
    positions: readonly StreamPosition[],
): bigint | undefined {
    const needed = furthestPosition(tables, positions);
    const handedOut = sequence.isCalled ? sequence.lastValue : sequence.lastValue - 1n;
    if (handedOut < needed) return needed;
    if (!sequence.isCalled && needed > unused) return handedOut;
    return undefined;
}

/** The magnitude that the sequence must have reached; 0 when nothing was numbered yet. */
export function furthestPosition(tables: readonly StreamUse[], positions: readonly StreamPosition[]): bigint {
    const inTables = tables.map(({ direction, furthest = 0n }) => (direction === "up" ? furthest : -furthest));
    const inPositions = positions.map(({ position }) => (position < 0n ? -position : position));
    return [...inTables, ...inPositions].reduce((highest, value) => (value > highest ? value : highest), 0n);
}
