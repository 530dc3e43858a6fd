/** Cuts a text to a number of bytes: who reads it has a buffer of bytes, and a character may take four of them. */

const ellipsis = "…";

/** The text, or its beginning and `…` in at most so many bytes of UTF-8; never half a character. */
export function withinBytes(text: string, bytes: number): string {
    // A character takes at least one byte: what lies beyond need not be encoded to be cut.
    const encoded = Buffer.from(text.slice(0, bytes + 1), "utf8");
    if (text.length <= bytes && encoded.length <= bytes) return text;
    let end = Math.max(0, bytes - Buffer.byteLength(ellipsis));
    const isContinuation = (byte: number | undefined): boolean => byte !== undefined && (byte & 0xc0) === 0x80;
    while (end > 0 && isContinuation(encoded[end])) end--;
    return `${encoded.subarray(0, end).toString("utf8")}${ellipsis}`;
}
