/** Chance that comes out the same for the same seed, so that a failed rehearsal can be repeated. */
import { createHash } from "node:crypto";

/** Values that depend on nothing but the seed and their label: the order they are asked in, and by how many at once, is no matter. */
export class Chance {
    constructor(private readonly seed: string) {}

    /** @param count  at most 32 */
    public bytes(label: string, count: number): Buffer {
        return createHash("sha256").update(`${this.seed}\0${label}`).digest().subarray(0, count);
    }

    /** From 0 to `below` - 1. */
    public integer(label: string, below: number): number {
        return this.bytes(label, 6).readUIntBE(0, 6) % below;
    }

    /** Letters and digits. */
    public word(label: string, length: number): string {
        return this.bytes(label, 32).toString("hex").slice(0, length);
    }

    /** @throws RangeError when there is nothing to choose from */
    public pick<T>(label: string, from: readonly T[]): T {
        const picked = from[this.integer(label, from.length)];
        if (picked === undefined) throw new RangeError(`nothing to pick for ${label}`);
        return picked;
    }

    /** Any number of bytes that do not compress. */
    public stream(label: string, sizeBytes: number): Buffer {
        const blocks = Array.from({ length: Math.ceil(sizeBytes / 32) }, (_, index) =>
            this.bytes(`${label}/${index}`, 32),
        );
        return Buffer.concat(blocks).subarray(0, sizeBytes);
    }
}
