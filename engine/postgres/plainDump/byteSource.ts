/** The bytes of a dump as they come, counted, hashed and with their place for messages. */
import { createHash } from "node:crypto";
import { largestScan } from "./copyLines.ts";

const newline = 10;

export class ByteSource {
    /** What is at hand; {@link at} is where reading goes on. */
    public buffer: Buffer = Buffer.alloc(0);
    public at = 0;
    /** Of the byte at {@link at}, counted from 1. */
    public line = 1;
    /** Fetched so far. */
    public bytes = 0;
    private readonly hash = createHash("sha256");
    private readonly iterator: AsyncIterator<Buffer>;
    private rest: Buffer = Buffer.alloc(0);
    private readonly signal: AbortSignal | undefined;

    constructor(dump: AsyncIterable<Buffer>, signal?: AbortSignal) {
        this.iterator = dump[Symbol.asyncIterator]();
        this.signal = signal;
    }

    /** Offset in the dump of a place in {@link buffer}. */
    public offsetOf(index: number): number {
        return this.bytes - this.buffer.length + index;
    }

    /** Counts the lines that are passed. */
    public moveTo(index: number): void {
        this.line += countNewlines(this.buffer, this.at, index);
        this.at = index;
    }

    /** Replaces what has been read by what comes next. @returns false at the end of the dump */
    public async next(): Promise<boolean> {
        const fetched = await this.fetch();
        if (fetched === undefined) return false;
        this.buffer = fetched;
        this.at = 0;
        return true;
    }

    /** Appends what comes next to what is not read yet. @returns false at the end of the dump */
    public async extend(): Promise<boolean> {
        const unread = this.buffer.subarray(this.at);
        if (!(await this.next())) return false;
        if (unread.length > 0) this.buffer = Buffer.concat([unread, this.buffer]);
        return true;
    }

    /** SHA-256 of what was fetched; once. */
    public digest(): string {
        return this.hash.digest("hex");
    }

    /** Lets go of the dump: files and programs behind it are closed. */
    public async close(): Promise<void> {
        await this.iterator.return?.();
    }

    private async fetch(): Promise<Buffer | undefined> {
        while (this.rest.length === 0) {
            this.signal?.throwIfAborted();
            const next = await this.iterator.next();
            this.signal?.throwIfAborted();
            if (next.done === true) return undefined;
            this.rest = next.value;
        }
        const piece = this.rest.subarray(0, largestScan);
        this.rest = this.rest.subarray(piece.length);
        this.bytes += piece.length;
        this.hash.update(piece);
        return piece;
    }
}

export function countNewlines(buffer: Buffer, from: number, to: number): number {
    let count = 0;
    for (let at = buffer.indexOf(newline, from); at >= 0 && at < to; at = buffer.indexOf(newline, at + 1)) count += 1;
    return count;
}
