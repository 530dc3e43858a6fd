/** Frames the lines of a COPY block without decoding them: where they end, whether each has all its columns, and their digest. */
import { CopyEscape, canonicalByte, isPlainEscape } from "./copyEscape.ts";
import { LineSum, factorA, factorB, finishA, finishB, seedA, seedB } from "./lineHash.ts";

export interface ScannedLines {
    /** Was held back from the buffer before, because it might have been the end mark. */
    readonly before: Buffer | undefined;
    /** Data are the bytes from the beginning of the scan to here. */
    readonly dataEnd: number;
    /** Behind the last line that ended in this buffer; undefined when none did. */
    readonly lineEnd: number | undefined;
    /** Lines that ended in this buffer. */
    readonly rows: number;
    /** Behind the end mark `\.`; undefined when it has not come. */
    readonly end: number | undefined;
}

/** What cannot be in a COPY block of pg_dump. */
export class LineFault extends Error {
    public override readonly name = "LineFault";
    /** In the buffer that was being scanned. */
    public readonly offset: number;
    /** Whether characters are at fault, and not the frame of the line. */
    public readonly encoding: boolean;

    constructor(message: string, offset: number, encoding = false) {
        super(message);
        this.offset = offset;
        this.encoding = encoding;
    }
}

/** A buffer given to {@link CopyLines.scan} may have this many bytes: sums of that many lines are exact. */
export const largestScan = 1024 * 1024;

const tab = 9;
const newline = 10;
const carriageReturn = 13;
const backslash = 92;
const dot = 46;
const letterN = 78;
const heldBackslash = Buffer.from("\\");

/**
 * Scans the data of one COPY block, buffer by buffer, cut anywhere. One pass over the bytes does everything: it is the hot loop of the
 * loader, about 1.3 ns a byte.
 */
export class CopyLines {
    /** Of the lines that have ended. */
    public readonly sum = new LineSum();
    private readonly tabs: number;
    private a = seedA;
    private b = seedB;
    private seenTabs = 0;
    private atLineStart = true;
    private atFieldStart = true;
    private escape: CopyEscape | undefined;
    /** How much of `\.` has been seen at the beginning of a line at the end of the buffer. */
    private marker: 0 | 1 | 2 = 0;
    private readonly hasEndMark: boolean;

    /** @param hasEndMark  a dump's block ends with `\.`, what a server sends does not */
    constructor(columns: number, hasEndMark = true) {
        this.tabs = Math.max(0, columns - 1);
        this.hasEndMark = hasEndMark;
    }

    /** Whether no line is open: nothing but the end may follow, or another line. */
    public get complete(): boolean {
        return this.atLineStart && this.marker === 0 && this.escape === undefined;
    }

    /** @throws LineFault */
    public scan(buffer: Buffer, from: number): ScannedLines {
        const end = buffer.length;
        let at = from;
        let before: Buffer | undefined;
        if (this.marker > 0 && at < end) {
            if (this.marker === 1 && buffer[at] === dot) {
                this.marker = 2;
                at += 1;
            }
            if (this.marker === 2) {
                if (at === end) return { before, dataEnd: from, lineEnd: undefined, rows: 0, end: undefined };
                if (buffer[at] !== newline) throw new LineFault("an end mark \\. with more behind it", at);
                return { before, dataEnd: from, lineEnd: undefined, rows: 0, end: at + 1 };
            }
            this.marker = 0;
            before = heldBackslash;
            this.escape = new CopyEscape(true);
            this.atLineStart = this.atFieldStart = false;
        }
        let { a, b, seenTabs } = this;
        let escaping = this.escape !== undefined;
        let rows = 0;
        let sumA = 0;
        let sumB = 0;
        let lineEnd: number | undefined;
        let lineStart = this.atLineStart ? at : -1;
        let fieldStart = this.atFieldStart ? at : -1;
        for (; at < end; at += 1) {
            const byte = buffer[at] ?? 0;
            if (escaping) {
                [this.a, this.b] = [a, b];
                const used = this.continueEscape(byte, at);
                escaping = this.escape !== undefined;
                ({ a, b } = this);
                if (used) continue;
            }
            if (byte === newline) {
                if (seenTabs !== this.tabs) throw wrongColumns(seenTabs, this.tabs, at);
                rows += 1;
                sumA += finishA(a, b);
                sumB += finishB(a, b);
                a = seedA;
                b = seedB;
                seenTabs = 0;
                lineEnd = lineStart = fieldStart = at + 1;
                continue;
            }
            if (byte > carriageReturn && byte !== backslash) {
                a = Math.imul(a ^ byte, factorA);
                b = (Math.imul(b, factorB) + byte) | 0;
                continue;
            }
            if (byte === backslash) {
                const next = buffer[at + 1] ?? -1;
                if (at === lineStart && this.hasEndMark && (next === dot || next === -1)) {
                    this.keep(a, b, seenTabs, true, true, sumA, sumB);
                    return this.endMark(buffer, at, { before, lineEnd, rows });
                }
                const following = buffer[at + 2];
                const isNull = next === letterN && at === fieldStart && (following === tab || following === newline);
                if (!isNull && !isPlainEscape(next)) {
                    this.escape = new CopyEscape(at === fieldStart);
                    escaping = true;
                    continue;
                }
                a = Math.imul(a ^ backslash, factorA);
                b = (Math.imul(b, factorB) + backslash) | 0;
                a = Math.imul(a ^ next, factorA);
                b = (Math.imul(b, factorB) + next) | 0;
                at += 1;
                continue;
            }
            if (byte === tab) {
                seenTabs += 1;
                fieldStart = at + 1;
                a = Math.imul(a ^ tab, factorA);
                b = (Math.imul(b, factorB) + tab) | 0;
                continue;
            }
            if (byte === 0) throw new LineFault("a NUL byte", at, true);
            if (byte === carriageReturn) throw new LineFault("a carriage return that pg_dump would have escaped", at);
            [this.a, this.b] = [a, b];
            this.mix(canonicalByte(byte));
            ({ a, b } = this);
        }
        this.keep(a, b, seenTabs, lineStart === end, fieldStart === end, sumA, sumB);
        return { before, dataEnd: end, lineEnd, rows, end: undefined };
    }

    private keep(
        a: number,
        b: number,
        tabs: number,
        lineStart: boolean,
        fieldStart: boolean,
        x: number,
        y: number,
    ): void {
        this.a = a;
        this.b = b;
        this.seenTabs = tabs;
        this.atLineStart = lineStart;
        this.atFieldStart = fieldStart;
        this.sum.add(x, y);
    }

    private endMark(
        buffer: Buffer,
        at: number,
        scanned: Pick<ScannedLines, "before" | "lineEnd" | "rows">,
    ): ScannedLines {
        if (at + 2 >= buffer.length) {
            this.marker = at + 1 >= buffer.length ? 1 : 2;
            return { ...scanned, dataEnd: at, end: undefined };
        }
        if (buffer[at + 2] !== newline) throw new LineFault("an end mark \\. with more behind it", at);
        return { ...scanned, dataEnd: at, end: at + 3 };
    }

    private continueEscape(byte: number, at: number): boolean {
        const step = this.escape?.step(byte) ?? "more";
        if (step === "more") return true;
        if ("fault" in step) throw new LineFault(step.fault, at, step.fault.includes("NUL"));
        this.escape = undefined;
        this.mix(step.bytes);
        return step.used;
    }

    private mix(bytes: readonly number[]): void {
        for (const byte of bytes) {
            this.a = Math.imul(this.a ^ byte, factorA);
            this.b = (Math.imul(this.b, factorB) + byte) | 0;
        }
    }
}

function wrongColumns(tabs: number, expected: number, at: number): LineFault {
    return new LineFault(`a line of ${tabs + 1} columns and not of ${expected + 1}`, at);
}
