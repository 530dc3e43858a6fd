/** Where the parts of a dump go as they are read. */
import type { PlacedStatement } from "./statement.ts";

export interface CopyBlock {
    readonly schema: string;
    readonly name: string;
    readonly columns: readonly string[];
    /** Line of the dump in which its data begin. */
    readonly firstLine: number;
}

/** Called in the order of the dump. A promise that is not settled holds up the reading. */
export interface PlainDumpSink {
    /** A statement to be run; never COPY, SET, or what is left out. */
    statement(statement: PlacedStatement): Promise<void>;
    beginRows(block: CopyBlock): Promise<void>;
    /** Lines or parts of lines; `rows` lines end in it, the last of them before `lineEnd`, which is 0 when there is none. */
    rows(data: Buffer, lineEnd: number, rows: number): Promise<void>;
    endRows(): Promise<void>;
}

/** Takes nothing. */
export const noSink: PlainDumpSink = {
    statement: () => Promise.resolve(),
    beginRows: () => Promise.resolve(),
    rows: () => Promise.resolve(),
    endRows: () => Promise.resolve(),
};
