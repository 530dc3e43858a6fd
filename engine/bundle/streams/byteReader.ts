/** Reads a stream of chunks by amounts: what tells formats apart is a few bytes at places that chunks do not keep to. */

/** Bytes as they come: what every layer of an input takes and gives. */
export type Bytes = AsyncIterable<Buffer>;

/**
 * Amounts of bytes from a stream of chunks.
 *
 * Leaving it unfinished does not end the stream behind it; whoever made that stream ends it.
 */
export class ByteReader {
    private readonly source: AsyncIterator<Buffer>;
    private held: Buffer[] = [];
    private heldBytes = 0;

    constructor(source: Bytes) {
        this.source = source[Symbol.asyncIterator]();
    }

    /** Up to this many bytes, fewer only at the end of the stream. They stay unread. */
    public async peek(bytes: number): Promise<Buffer> {
        while (this.heldBytes < bytes) if (!(await this.more())) break;
        const all = this.held.length === 1 ? this.held[0] : Buffer.concat(this.held);
        if (all === undefined) return Buffer.alloc(0);
        this.held = all.length === 0 ? [] : [all];
        return all.subarray(0, bytes);
    }

    /** Up to this many bytes, fewer only at the end of the stream. */
    public async take(bytes: number): Promise<Buffer> {
        const taken = await this.peek(bytes);
        const [all] = this.held;
        this.held = all === undefined || all.length === taken.length ? [] : [all.subarray(taken.length)];
        this.heldBytes -= taken.length;
        return taken;
    }

    /** The next chunk, whatever its size; undefined at the end. */
    public async next(): Promise<Buffer | undefined> {
        if (this.held.length === 0 && !(await this.more())) return undefined;
        const chunk = this.held.shift();
        this.heldBytes -= chunk?.length ?? 0;
        return chunk;
    }

    /** Gives back bytes that were taken and not used. */
    public putBack(bytes: Buffer): void {
        if (bytes.length === 0) return;
        this.held.unshift(bytes);
        this.heldBytes += bytes.length;
    }

    /** Everything that is left. */
    public async *rest(): AsyncGenerator<Buffer, void> {
        for (let chunk = await this.next(); chunk !== undefined; chunk = await this.next()) yield chunk;
    }

    private async more(): Promise<boolean> {
        for (;;) {
            const next = await this.source.next();
            if (next.done === true) return false;
            if (next.value.length === 0) continue;
            this.held.push(next.value);
            this.heldBytes += next.value.length;
            return true;
        }
    }
}
