/** Whether bytes that come in pieces are UTF-8: a server told so by the dump would keep what is not (reliability: M12). */
import { isUtf8 } from "node:buffer";

/** Longest sequence of one character. */
const longest = 4;

export class Utf8Check {
    private carried: Buffer = Buffer.alloc(0);

    /** @returns offset in the piece of the first byte that cannot be, negative for one in the piece before; undefined when all is well */
    public firstFault(piece: Buffer): number | undefined {
        const carried = this.carried.length;
        const bytes = carried === 0 ? piece : Buffer.concat([this.carried, piece]);
        const end = bytes.length - unfinished(bytes);
        const whole = bytes.subarray(0, end);
        this.carried = Buffer.from(bytes.subarray(end));
        return isUtf8(whole) ? undefined : firstInvalid(whole) - carried;
    }
}

/** Bytes of a character at the end that goes on behind it. */
function unfinished(bytes: Buffer): number {
    for (let back = 1; back < longest && back <= bytes.length; back += 1) {
        const byte = bytes[bytes.length - back] ?? 0;
        if (byte < 0x80) return 0;
        if (byte >= 0xc0) return back < sequenceLength(byte) ? back : 0;
    }
    return 0;
}

function sequenceLength(first: number): number {
    return first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
}

/** Of bytes that are known not to be UTF-8: the beginning of the first character that is none. */
function firstInvalid(bytes: Buffer): number {
    let [valid, invalid] = [0, bytes.length];
    while (valid < invalid) {
        const middle = Math.floor((valid + invalid) / 2) + 1;
        const prefix = bytes.subarray(0, middle);
        if (isUtf8(prefix.subarray(0, middle - unfinished(prefix)))) valid = middle;
        else invalid = middle - 1;
    }
    return valid - unfinished(bytes.subarray(0, valid));
}
