/** The rows of one COPY block, from the line behind the statement to `\.`. */
import { MigrationError } from "../../run/errors.ts";
import { countNewlines, type ByteSource } from "./byteSource.ts";
import type { PlainDumpTable } from "./content.ts";
import { CopyLines, LineFault, type ScannedLines } from "./copyLines.ts";
import type { CopyBlock, PlainDumpSink } from "./sink.ts";
import { describeName } from "./statement.ts";
import { Utf8Check } from "./utf8Check.ts";

export interface BlockOptions {
    readonly onRows: (rows: number) => void;
    /** The error for a dump that ends here. */
    readonly cutOff: (found: string) => MigrationError;
}

const newline = 10;

/**
 * @param named  the source stands behind its statement's semicolon
 * @throws MigrationError SM-E0901 for a line that lost columns or its end, or rows that do not end; SM-E0904 for what is not UTF-8
 */
export async function readCopyBlock(
    source: ByteSource,
    named: Omit<CopyBlock, "firstLine">,
    sink: PlainDumpSink,
    options: BlockOptions,
): Promise<PlainDumpTable> {
    const name = describeName(named);
    if (source.at === source.buffer.length) await source.next();
    if (source.buffer[source.at] !== newline) throw options.cutOff(`no line end behind the COPY of table ${name}`);
    source.moveTo(source.at + 1);
    const block = { ...named, firstLine: source.line };
    const lines = new CopyLines(block.columns.length);
    const characters = new Utf8Check();
    let [rows, bytes] = [0, 0];
    await sink.beginRows(block);
    for (;;) {
        if (source.at === source.buffer.length && !(await source.next()))
            throw options.cutOff(`it ends inside of the rows of table ${name}, after ${rows} whole ones`);
        const scanned = scan(source, lines, block, rows);
        const { before, dataEnd, lineEnd, end } = scanned;
        const data = source.buffer.subarray(source.at, dataEnd);
        const fault = characters.firstFault(data);
        if (fault !== undefined) throw notUtf8(source, block, rows, source.at + fault);
        if (before !== undefined) await sink.rows(before, 0, 0);
        if (data.length > 0) await sink.rows(data, lineEnd === undefined ? 0 : lineEnd - source.at, scanned.rows);
        rows += scanned.rows;
        bytes += data.length + (before?.length ?? 0);
        source.line += scanned.rows + (end === undefined ? 0 : 1);
        source.at = end ?? source.buffer.length;
        options.onRows(scanned.rows);
        if (end === undefined) continue;
        await sink.endRows();
        return {
            schema: block.schema,
            name: block.name,
            columns: block.columns,
            rows,
            bytes,
            digest: lines.sum.toString(),
        };
    }
}

function scan(source: ByteSource, lines: CopyLines, block: CopyBlock, rows: number): ScannedLines {
    try {
        return lines.scan(source.buffer, source.at);
    } catch (error) {
        if (!(error instanceof LineFault)) throw error;
        const where = place(source, block, rows, error.offset);
        if (error.encoding) throw new MigrationError("SM-E0904", { where, found: error.message });
        const expected = `lines of ${block.columns.length} columns, and \\. after the last`;
        throw new MigrationError("SM-E0901", { where, found: error.message, expected });
    }
}

function notUtf8(source: ByteSource, block: CopyBlock, rows: number, index: number): MigrationError {
    return new MigrationError("SM-E0904", {
        where: place(source, block, rows, index),
        found: "a byte that is not UTF-8 there",
    });
}

function place(source: ByteSource, block: CopyBlock, rows: number, index: number): string {
    const before = countNewlines(source.buffer, source.at, index);
    const [line, row] = [source.line + before, rows + before + 1];
    return `line ${line} of the dump, row ${row} of table ${describeName(block)}, byte ${source.offsetOf(index)}`;
}
