/** Bytes that came in and are not taken yet, as they came: none is copied before somebody needs it in one piece. */
export class ByteQueue {
    #chunks: Buffer[] = [];
    #length = 0;

    public get length(): number {
        return this.#length;
    }

    public push(chunk: Buffer): void {
        this.#chunks.push(chunk);
        this.#length += chunk.length;
    }

    /** @param bytes  no more than there are */
    public take(bytes: number): Buffer {
        return joined(this.takeParts(bytes));
    }

    /** As {@link take}, in as many pieces as they came in. */
    public takeParts(bytes: number): Buffer[] {
        const parts: Buffer[] = [];
        for (let wanted = bytes; wanted > 0;) {
            const chunk = this.#chunks[0];
            if (chunk === undefined) throw new RangeError("more bytes than there are");
            const part = chunk.length <= wanted ? chunk : chunk.subarray(0, wanted);
            if (part === chunk) this.#chunks.shift();
            else this.#chunks[0] = chunk.subarray(wanted);
            parts.push(part);
            wanted -= part.length;
        }
        this.#length -= bytes;
        return parts;
    }

    public clear(): void {
        this.#chunks = [];
        this.#length = 0;
    }
}

export function joined(parts: readonly Buffer[]): Buffer {
    const [first] = parts;
    return parts.length === 1 && first !== undefined ? first : Buffer.concat(parts);
}
