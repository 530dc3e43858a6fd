/** One backslash sequence of COPY's text format (PostgreSQL manual, COPY, "Text Format"), in the form that `COPY … TO` would write it. */

const backslash = 92;
const newline = 10;
const carriageReturn = 13;
const tab = 9;
const letterN = 78;
const letterX = 120;

/** What COPY TO writes with a backslash: byte -> letter. */
const letters = new Map([
    [8, 98],
    [tab, 116],
    [newline, 110],
    [11, 118],
    [12, 102],
    [carriageReturn, 114],
    [backslash, backslash],
]);
const escapedLetters = new Set(letters.values());

export type EscapeStep =
    /** The sequence goes on. */
    | "more"
    /** The sequence is over; `used`: the byte given last was part of it. */
    | { readonly bytes: readonly number[]; readonly used: boolean }
    | { readonly fault: string };

/** The bytes that stand for one byte of data. */
export function canonicalByte(byte: number): readonly number[] {
    const letter = letters.get(byte);
    return letter === undefined ? [byte] : [backslash, letter];
}

/** Whether `\` and this byte are written by COPY TO itself. */
function isPlainEscape(byte: number): boolean {
    return escapedLetters.has(byte);
}

/** Takes the bytes behind a backslash one at a time: they may be spread over buffers. */
export class CopyEscape {
    private readonly seen: number[] = [];
    private readonly atFieldStart: boolean;

    constructor(atFieldStart: boolean) {
        this.atFieldStart = atFieldStart;
    }

    public step(byte: number): EscapeStep {
        const [kind] = this.seen;
        if (kind === undefined) return this.first(byte);
        if (kind === letterN) {
            const isNull = byte === tab || byte === newline;
            return { bytes: isNull ? [backslash, letterN] : [letterN], used: false };
        }
        const digits = this.seen.slice(kind === letterX ? 1 : 0);
        const [base, length] = kind === letterX ? [16, 2] : [8, 3];
        const value = digitValue(byte, base);
        if (value === undefined) {
            return digits.length === 0 ? { bytes: [letterX], used: false } : this.number(digits, base, false);
        }
        this.seen.push(byte);
        return digits.length + 1 === length ? this.number([...digits, byte], base, true) : "more";
    }

    private first(byte: number): EscapeStep {
        if (byte === newline || byte === carriageReturn) return { fault: "a backslash at the end of a line" };
        if (isPlainEscape(byte)) return { bytes: [backslash, byte], used: true };
        const isNumber = byte === letterX || digitValue(byte, 8) !== undefined;
        if (isNumber || (byte === letterN && this.atFieldStart)) {
            this.seen.push(byte);
            return "more";
        }
        return byte === 0 ? { fault: "a NUL byte" } : { bytes: canonicalByte(byte), used: true };
    }

    private number(digits: readonly number[], base: number, used: boolean): EscapeStep {
        const value = digits.reduce((sum, digit) => sum * base + (digitValue(digit, base) ?? 0), 0) & 0xff;
        return value === 0 ? { fault: "a NUL byte" } : { bytes: canonicalByte(value), used };
    }
}

function digitValue(byte: number, base: number): number | undefined {
    const value = Number.parseInt(String.fromCharCode(byte), base);
    return Number.isNaN(value) ? undefined : value;
}
