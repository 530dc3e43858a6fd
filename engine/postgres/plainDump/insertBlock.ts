/** All rows of one table that come as INSERTs, handed on as a COPY block: counted, hashed and loaded like one. */
import { MigrationError } from "../../run/errors.ts";
import type { ByteSource } from "./byteSource.ts";
import type { PlainDumpTable } from "./content.ts";
import { CopyLines, largestScan } from "./copyLines.ts";
import { InsertRows, RowFault } from "./insertRows.ts";
import type { CopyBlock, PlainDumpSink } from "./sink.ts";
import { describeName } from "./statement.ts";
import { Utf8Check } from "./utf8Check.ts";

export interface InsertBlockOptions {
    readonly onRows: (rows: number) => void;
    /** The error for a dump that ends here. */
    readonly cutOff: (found: string) => MigrationError;
}

/** An INSERT has a few hundred bytes mostly: they are handed on together. */
const handedOn = 256 * 1024;

export class InsertBlock {
    public readonly block: CopyBlock;
    private readonly sink: PlainDumpSink;
    private readonly options: InsertBlockOptions;
    private readonly lines: CopyLines;
    private readonly values: InsertRows;
    private readonly characters = new Utf8Check();
    private rows = 0;
    private bytes = 0;

    constructor(block: CopyBlock, sink: PlainDumpSink, options: InsertBlockOptions) {
        this.block = block;
        this.sink = sink;
        this.options = options;
        this.lines = new CopyLines(block.columns.length, false);
        this.values = new InsertRows(block.columns.length);
    }

    public begin(): Promise<void> {
        return this.sink.beginRows(this.block);
    }

    /**
     * Reads one statement.
     *
     * @param source  behind the word VALUES
     * @throws MigrationError SM-E0936 for what pg_dump does not write, SM-E0901 where the dump ends in it, SM-E0904 for what is not UTF-8
     */
    public async statement(source: ByteSource): Promise<void> {
        for (;;) {
            if (source.at === source.buffer.length && !(await source.next()))
                throw this.options.cutOff(`it ends inside of an INSERT of table ${describeName(this.block)}`);
            const end = this.scan(source);
            const data = source.buffer.subarray(source.at, end);
            const fault = this.characters.firstFault(data);
            if (fault !== undefined)
                throw new MigrationError("SM-E0904", {
                    where: this.place(source, source.at + Math.max(0, fault)),
                    found: "a byte that is not UTF-8 there",
                });
            source.moveTo(end ?? source.buffer.length);
            if (this.values.size >= handedOn) await this.handOn();
            if (end !== undefined) return;
        }
    }

    /** What the dump has of the table. */
    public async end(): Promise<PlainDumpTable> {
        await this.handOn();
        if (!this.lines.complete) throw new Error(`rows of ${describeName(this.block)} end inside of one`);
        await this.sink.endRows();
        const { schema, name, columns } = this.block;
        const { rows, bytes } = this;
        return { schema, name, columns, rows, bytes, digest: this.lines.sum.toString() };
    }

    private async handOn(): Promise<void> {
        const data = this.values.take();
        for (let at = 0; at < data.length; at += largestScan) {
            const piece = data.subarray(at, at + largestScan);
            const { lineEnd = 0, rows } = this.lines.scan(piece, 0);
            await this.sink.rows(piece, lineEnd, rows);
            this.rows += rows;
            this.bytes += piece.length;
            this.options.onRows(rows);
        }
    }

    private scan(source: ByteSource): number | undefined {
        try {
            return this.values.scan(source.buffer, source.at);
        } catch (error) {
            if (!(error instanceof RowFault)) throw error;
            throw new MigrationError("SM-E0936", { where: this.place(source, error.offset), found: error.message });
        }
    }

    private place(source: ByteSource, index: number): string {
        source.moveTo(index);
        return `line ${source.line} of the dump, an INSERT of table ${describeName(this.block)}, byte ${source.offsetOf(index)}`;
    }
}
