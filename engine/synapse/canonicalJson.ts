/** Canonical JSON of the Matrix specification (appendices, "Canonical JSON"): the bytes that are signed. */

/**
 * Encodes a JSON value: keys sorted by code point, no white space, UTF-8.
 *
 * @throws TypeError for what canonical JSON cannot hold: floats, integers beyond 2^53 - 1, undefined, functions
 */
export function canonicalJson(value: unknown): Buffer {
    return Buffer.from(encode(value), "utf8");
}

function encode(value: unknown): string {
    if (value === null || typeof value === "boolean" || typeof value === "string") return JSON.stringify(value);
    if (typeof value === "number") {
        if (!Number.isSafeInteger(value)) throw new TypeError("canonical JSON has whole numbers up to 2^53 - 1 only");
        return String(value);
    }
    if (Array.isArray(value)) return `[${value.map(encode).join(",")}]`;
    if (typeof value === "object") {
        const entries = Object.entries(value).sort(([a], [b]) => byCodePoint(a, b));
        return `{${entries.map(([key, entry]) => `${JSON.stringify(key)}:${encode(entry)}`).join(",")}}`;
    }
    throw new TypeError(`canonical JSON has no ${typeof value}`);
}

/** JavaScript compares UTF-16 units, which puts U+1F600 before U+FF01; the order of UTF-8 bytes is that of code points. */
function byCodePoint(a: string, b: string): number {
    return Buffer.compare(Buffer.from(a, "utf8"), Buffer.from(b, "utf8"));
}
