/** A digest of lines that does not depend on their order: what went into a table is compared with what comes out of it. */

/** The two 32-bit halves of a line's running hash begin with these. */
export const seedA = 0x811c9dc5 | 0;
export const seedB = 0x2545f491;
/** FNV's prime, and an odd multiplier near 2^32 divided by the golden ratio. */
export const factorA = 0x01000193;
export const factorB = 0x9e3779b1 | 0;

const mask = (1n << 64n) - 1n;

/**
 * Sums, modulo 2^64 each, of both halves of the lines' 64-bit hashes, so that a line that is there twice counts twice.
 *
 * Finds corruption and loss; it is not made against someone who wants to deceive.
 */
export class LineSum {
    private a = 0n;
    private b = 0n;

    /** Sums of unsigned 32-bit numbers, at most 2^20 of them: exact as doubles. */
    public add(a: number, b: number): void {
        this.a = (this.a + BigInt(a)) & mask;
        this.b = (this.b + BigInt(b)) & mask;
    }

    /** 32 hexadecimal digits. */
    public toString(): string {
        return [this.a, this.b].map((half) => half.toString(16).padStart(16, "0")).join("");
    }
}

/** Mixes both halves at the end of a line, so that every bit of each depends on every byte: of murmur3's finaliser. */
export function finishA(a: number, b: number): number {
    let h = a ^ (b >>> 15);
    h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
    return (h ^ (h >>> 16)) >>> 0;
}

export function finishB(a: number, b: number): number {
    let h = b ^ (a >>> 11);
    h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d);
    h = Math.imul(h ^ (h >>> 12), 0x297a2d39);
    return (h ^ (h >>> 15)) >>> 0;
}
