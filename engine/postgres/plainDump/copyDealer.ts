/** Deals the lines of COPY blocks in chunks to several connections, so that one large table keeps all of them busy. */
import { escapeIdentifier } from "pg";
import { MigrationError } from "../../run/errors.ts";
import { quotedName, type Client } from "../connection.ts";
import { copyIn } from "../copyIn.ts";
import type { CopyBlock } from "./sink.ts";
import { explainCopy } from "./statementError.ts";
import type { WorkQueue } from "./workQueue.ts";

/** A chunk is over at the first line end behind this size. A COPY statement for each costs about a millisecond. */
const chunkBytes = 2 * 1024 * 1024;
/** Bytes that wait for a connection, for each of them: back-pressure to the reader, whatever the size of a row. */
const waitingBytesPerJob = 4 * 1024 * 1024;

/** Whole lines of one table, still being filled while a connection sends them. */
interface Chunk {
    readonly block: CopyBlock;
    /** In the dump, of the first line. */
    readonly firstLine: number;
    readonly pieces: Buffer[];
    bytes: number;
    rows: number;
    ended: boolean;
}

export class CopyDealer {
    private readonly queue: WorkQueue;
    private readonly largestWaiting: number;
    private waitingBytes = 0;
    private chunk: Chunk | undefined;
    private block: CopyBlock | undefined;
    private line = 0;

    constructor(queue: WorkQueue, jobs: number) {
        this.queue = queue;
        this.largestWaiting = jobs * waitingBytesPerJob;
    }

    public begin(block: CopyBlock): void {
        this.block = block;
        this.line = block.firstLine;
    }

    /** As `PlainDumpSink.rows`. */
    public async rows(data: Buffer, lineEnd: number, rows: number): Promise<void> {
        const chunk = (this.chunk ??= this.open());
        if (lineEnd > 0 && chunk.bytes + lineEnd >= chunkBytes) {
            this.put(chunk, data.subarray(0, lineEnd), rows);
            this.end();
            if (lineEnd < data.length) this.put((this.chunk = this.open()), data.subarray(lineEnd), 0);
        } else this.put(chunk, data, rows);
        while (this.waitingBytes > this.largestWaiting) await this.queue.change();
    }

    /** The last chunk of a block goes its way; it may still be under way when this returns. */
    public end(): void {
        if (this.chunk === undefined) return;
        this.chunk.ended = true;
        this.chunk = undefined;
        this.queue.notify();
    }

    private open(): Chunk {
        if (this.block === undefined) throw new Error("rows outside of a COPY block");
        const chunk = { block: this.block, firstLine: this.line, pieces: [], bytes: 0, rows: 0, ended: false };
        this.queue.submit((client) => this.send(client, chunk));
        return chunk;
    }

    private put(chunk: Chunk, piece: Buffer, rows: number): void {
        chunk.pieces.push(piece);
        chunk.bytes += piece.length;
        chunk.rows += rows;
        this.line += rows;
        this.waitingBytes += piece.length;
        this.queue.notify();
    }

    private async send(client: Client, chunk: Chunk): Promise<void> {
        const { block } = chunk;
        const columns = block.columns.map((column) => escapeIdentifier(column)).join(", ");
        const statement = `COPY ${quotedName(block.schema, block.name)} (${columns}) FROM STDIN`;
        const taken = await copyIn(client, statement, this.pieces(chunk)).catch((error: unknown) => {
            throw explainCopy(error, block, chunk.firstLine);
        });
        if (taken === chunk.rows) return;
        throw new MigrationError("SM-E0912", {
            where: `lines ${chunk.firstLine} to ${chunk.firstLine + chunk.rows} of the dump, table ${block.schema}.${block.name}`,
            found: `${taken} rows taken by the server`,
            expected: `${chunk.rows} rows`,
        });
    }

    private async *pieces(chunk: Chunk): AsyncGenerator<Buffer> {
        for (let piece = await this.take(chunk); piece !== undefined; piece = await this.take(chunk)) yield piece;
    }

    private async take(chunk: Chunk): Promise<Buffer | undefined> {
        while (chunk.pieces.length === 0) {
            if (chunk.ended) return undefined;
            await this.queue.change();
        }
        const piece = chunk.pieces.shift();
        this.waitingBytes -= piece?.length ?? 0;
        this.queue.notify();
        return piece;
    }
}
