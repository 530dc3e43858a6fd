/**
 * The rows of an INSERT as `pg_dump --inserts` writes them, turned into lines of COPY's text format without being run: literals and nothing
 * else. One pass over the bytes, cut anywhere; nothing is kept but the word that is being read.
 */
import { canonicalByte } from "./copyEscape.ts";

/** What cannot be in an INSERT of pg_dump. Never quotes a value. */
export class RowFault extends Error {
    public override readonly name = "RowFault";
    /** In the buffer that was being scanned. */
    public readonly offset: number;

    constructor(message: string, offset: number) {
        super(message);
        this.offset = offset;
    }
}

/** A `numeric` has at most 147455 digits (manual 8.1.2). */
const longestWord = 160 * 1024;
/** The only thing that pg_dump writes behind rows. */
const behindRows = "on conflict do nothing";
const longestBehind = 64;

const [tab, newline, space] = [9, 10, 32];
const code = (character: string): number => character.charCodeAt(0);
const [quote, backslash, comma, open, close, semicolon] = ["'", "\\", ",", "(", ")", ";"].map(code);
const nullField = Buffer.from("\\N");
/** In `E'…'`. Octal, hexadecimal and Unicode escapes are never written by pg_dump. */
const escaped: Readonly<Record<string, number>> = { b: 8, f: 12, n: newline, r: 13, t: tab, "\\": 92, "'": 39 };
/** What pg_dump writes without quotes: the output of a numeric type, but NaN and infinities. */
const numeral = /^[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?$/;

type State = "row" | "value" | "word" | "string" | "quote" | "escape" | "behind value" | "behind row" | "behind rows";

export class InsertRows {
    private readonly columns: number;
    private state: State = "row";
    private values = 0;
    private word = "";
    /** Of the string that is being read. */
    private hasEscapes = false;
    private isBits = false;
    private chunks: Buffer[] = [];
    private bytes = 0;

    /** @param columns  each row must have so many values */
    constructor(columns: number) {
        this.columns = columns;
    }

    /** Bytes of lines that nobody has taken yet. */
    public get size(): number {
        return this.bytes;
    }

    /** What has become of the rows so far, whole lines or not. */
    public take(): Buffer {
        const data = Buffer.concat(this.chunks, this.bytes);
        [this.chunks, this.bytes] = [[], 0];
        return data;
    }

    /**
     * Reads on behind the word VALUES.
     *
     * @returns the offset behind the semicolon; undefined where the statement goes on behind the buffer
     * @throws RowFault
     */
    public scan(buffer: Buffer, from: number): number | undefined {
        for (let at = from; at < buffer.length;) {
            const byte = buffer[at] ?? 0;
            if (this.state === "string") at = this.string(buffer, at);
            else if (this.state === "word") at = this.bare(byte, at);
            else if (this.state === "quote") at = this.behindQuote(byte, at);
            else if (this.state === "escape") at = this.escapeOf(byte, at);
            else if (this.state === "behind rows") {
                if (byte === semicolon) return this.end(at);
                this.word += String.fromCharCode(byte);
                if (this.word.length > longestBehind) throw new RowFault("more behind the rows", at);
                at += 1;
            } else if (byte === space || (byte >= tab && byte <= 13)) at += 1;
            else if (this.state === "row") at = this.expect(byte, open, "value", "no row where one has to be", at);
            else if (this.state === "value") at = this.value(byte, at);
            else if (this.state === "behind value") at = this.behindValue(byte, at);
            else if (byte === semicolon) return this.end(at);
            else if (byte === comma) [this.state, at] = ["row", at + 1];
            else [this.state, this.word] = ["behind rows", ""];
        }
        return undefined;
    }

    private end(at: number): number {
        const behind = this.word.trim().replaceAll(/\s+/g, " ").toLowerCase();
        if (this.state === "behind rows" && behind !== behindRows) throw new RowFault("more behind the rows", at);
        [this.state, this.word] = ["row", ""];
        return at + 1;
    }

    private expect(byte: number, wanted: number | undefined, next: State, found: string, at: number): number {
        if (byte !== wanted) throw new RowFault(found, at);
        this.state = next;
        return at + 1;
    }

    private value(byte: number, at: number): number {
        if (this.values > 0) this.put(Buffer.of(tab));
        this.values += 1;
        [this.hasEscapes, this.isBits, this.word] = [false, false, ""];
        this.state = byte === quote ? "string" : "word";
        return byte === quote ? at + 1 : at;
    }

    /** A number, a word, or what stands in front of a quote. */
    private bare(byte: number, at: number): number {
        if (byte === quote && /^[eb]$/i.test(this.word)) {
            this.hasEscapes = this.word.toLowerCase() === "e";
            this.isBits = !this.hasEscapes;
            this.state = "string";
            return at + 1;
        }
        const isEnd = byte === comma || byte === close || byte === space || (byte >= tab && byte <= 13);
        if (isEnd) {
            this.put(fieldOf(this.word, at));
            [this.state, this.word] = ["behind value", ""];
            return at;
        }
        const letter = byte | 32;
        const isPlain =
            (byte >= 48 && byte <= 57) ||
            (letter >= 97 && letter <= 122 && byte > 64) ||
            "+-.".includes(String.fromCharCode(byte));
        if (!isPlain || this.word.length >= longestWord) throw noLiteral(at);
        this.word += String.fromCharCode(byte);
        return at + 1;
    }

    private string(buffer: Buffer, from: number): number {
        let at = from;
        let byte = 0;
        for (; at < buffer.length; at += 1) {
            byte = buffer[at] ?? 0;
            if (byte === quote || byte === backslash || byte < space) break;
        }
        if (this.isBits && buffer.subarray(from, at).some((bit) => bit !== 48 && bit !== 49)) throw noLiteral(from);
        if (at > from) this.put(buffer.subarray(from, at));
        if (at === buffer.length) return at;
        if (byte === quote) this.state = "quote";
        else if (byte === backslash && this.hasEscapes) this.state = "escape";
        else if (byte === 0 || this.isBits) throw new RowFault(byte === 0 ? "a NUL byte" : "bits that are none", at);
        else this.put(Buffer.from(canonicalByte(byte)));
        return at + 1;
    }

    /** A quote that is there twice stands for one. */
    private behindQuote(byte: number, at: number): number {
        this.state = byte === quote ? "string" : "behind value";
        if (byte !== quote) return at;
        if (this.isBits) throw new RowFault("bits that are none", at);
        this.put(Buffer.of(byte));
        return at + 1;
    }

    private escapeOf(byte: number, at: number): number {
        const value = escaped[String.fromCharCode(byte)];
        if (value === undefined) throw new RowFault("an escape that pg_dump does not write", at);
        this.put(Buffer.from(canonicalByte(value)));
        this.state = "string";
        return at + 1;
    }

    private behindValue(byte: number, at: number): number {
        if (byte === comma) {
            // Before they are written: a row of a million values must not be kept.
            if (this.values >= this.columns) throw this.wrongCount(this.values + 1, at);
            this.state = "value";
            return at + 1;
        }
        if (byte !== close) throw noLiteral(at);
        if (this.values !== this.columns) throw this.wrongCount(this.values, at);
        this.put(Buffer.of(newline));
        [this.state, this.values] = ["behind row", 0];
        return at + 1;
    }

    private wrongCount(values: number, at: number): RowFault {
        return new RowFault(`a row of ${values} values or more and not of ${this.columns}`, at);
    }

    private put(piece: Buffer): void {
        this.chunks.push(piece);
        this.bytes += piece.length;
    }
}

/** As COPY has what the type's output function writes: booleans as one letter. */
function fieldOf(word: string, at: number): Buffer {
    const lower = word.toLowerCase();
    if (lower === "null") return nullField;
    if (lower === "true" || lower === "false") return Buffer.from(lower.slice(0, 1));
    if (!numeral.test(word)) throw noLiteral(at);
    return Buffer.from(word);
}

const noLiteral = (at: number): RowFault => new RowFault("something else than a literal among the values", at);
