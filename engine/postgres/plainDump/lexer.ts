/** Splits the SQL part of a plain dump into comments, psql's commands and statements, the way PostgreSQL reads it (manual 4.1). */

export interface Token {
    /** `word`: a keyword or a plain name, in lower case. `name`: a quoted name. `string`: `'…'`, `E'…'` or `$tag$…$tag$`, without quotes. */
    readonly kind: "word" | "name" | "string" | "number" | "symbol";
    readonly text: string;
}

export type Item =
    | { readonly kind: "comment"; readonly text: string }
    /** A line that psql would obey: `\restrict …`. Also a backslash in the middle of a statement. */
    | { readonly kind: "command"; readonly text: string }
    /** `text` without the semicolon. */
    | { readonly kind: "statement"; readonly text: string; readonly tokens: readonly Token[] };

export interface Lexed {
    readonly item: Item;
    /** Offset of the item's first byte, and of the byte behind it. */
    readonly start: number;
    readonly end: number;
}

const tab = 9;
const newline = 10;
const carriageReturn = 13;
const space = 32;
const backslash = 92;
const code = (character: string): number => character.charCodeAt(0);
const [quote, doubleQuote, dollar, dash, slash, star, semicolon] = ["'", '"', "$", "-", "/", "*", ";"].map(code);

/**
 * Reads the item that begins at `from` or after the white space there.
 *
 * A dump with `standard_conforming_strings = off` is not read as it is meant: it has to be refused.
 *
 * @returns `"more"` when the item does not end in `text`, `"end"` when there is nothing but white space
 */
export function nextItem(text: Buffer, from: number): Lexed | "more" | "end" {
    let start = from;
    while (isSpace(text[start])) start += 1;
    if (start >= text.length) return "end";
    const first = text[start];
    if (first === backslash || (first === dash && text[start + 1] === dash)) {
        const end = text.indexOf(newline, start);
        if (end < 0) return "more";
        const line = text.toString("utf8", start, end).replace(/\r$/, "");
        const kind = first === backslash ? "command" : "comment";
        return { item: { kind, text: line }, start, end: end + 1 };
    }
    return readStatement(text, start);
}

function readStatement(text: Buffer, start: number): Lexed | "more" {
    const tokens: Token[] = [];
    let at = start;
    while (at < text.length) {
        const byte = text[at];
        if (isSpace(byte)) {
            at += 1;
        } else if (byte === semicolon) {
            return { item: { kind: "statement", text: text.toString("utf8", start, at), tokens }, start, end: at + 1 };
        } else if (byte === backslash) {
            return { item: { kind: "command", text: "\\ inside of a statement" }, start: at, end: at + 1 };
        } else {
            const comment = commentEnd(text, at);
            const token = comment === undefined ? readToken(text, at) : undefined;
            const end = token?.end ?? comment ?? -1;
            if (end < 0) return "more";
            if (token?.token !== undefined) tokens.push(token.token);
            at = end;
        }
    }
    return "more";
}

/**
 * The tokens of a statement up to and with a keyword.
 *
 * @returns `"more"` when it does not come in `text`, undefined when the statement ends before it
 */
export function tokensUpTo(
    text: Buffer,
    start: number,
    keyword: string,
): { readonly tokens: readonly Token[]; readonly end: number } | "more" | undefined {
    const tokens: Token[] = [];
    let at = start;
    while (at < text.length) {
        const byte = text[at];
        if (byte === semicolon || byte === backslash) return undefined;
        if (isSpace(byte)) {
            at += 1;
            continue;
        }
        const comment = commentEnd(text, at);
        const { end, token } = comment === undefined ? readToken(text, at) : { end: comment, token: undefined };
        if (end < 0) return "more";
        if (token !== undefined) tokens.push(token);
        at = end;
        if (token?.kind === "word" && token.text === keyword) return { tokens, end };
    }
    return "more";
}

/** @returns undefined when there is no comment, -1 when it does not end here */
function commentEnd(text: Buffer, at: number): number | undefined {
    if (text[at] === dash && text[at + 1] === dash) {
        const end = text.indexOf(newline, at);
        return end < 0 ? -1 : end + 1;
    }
    if (text[at] !== slash || text[at + 1] !== star) return undefined;
    let depth = 0;
    for (let index = at; index + 1 < text.length; index += 1) {
        if (text[index] === slash && text[index + 1] === star) {
            depth += 1;
            index += 1;
        } else if (text[index] === star && text[index + 1] === slash) {
            depth -= 1;
            index += 1;
            if (depth === 0) return index + 1;
        }
    }
    return -1;
}

/** `end` is -1 when the token may go on behind the end of the text. */
function readToken(text: Buffer, at: number): { readonly end: number; readonly token?: Token } {
    const byte = text[at] ?? 0;
    if (byte === quote) return quoted(text, at, at, "string", false);
    if (byte === doubleQuote) return quoted(text, at, at, "name", false);
    if (byte === dollar && !isDigit(text[at + 1])) return dollarQuoted(text, at);
    if (isWordStart(byte)) {
        let end = at + 1;
        while (isWordPart(text[end])) end += 1;
        if (end === text.length) return { end: -1 };
        const word = text.toString("utf8", at, end);
        if (text[end] === quote && (word === "E" || word === "e")) return quoted(text, at, end, "string", true);
        return { end, token: { kind: "word", text: lowerCase(word) } };
    }
    if (isDigit(byte)) {
        let end = at + 1;
        while (isDigit(text[end]) || text[end] === code(".")) end += 1;
        return end === text.length
            ? { end: -1 }
            : { end, token: { kind: "number", text: text.toString("utf8", at, end) } };
    }
    // A dash or a slash may turn out to be the beginning of a comment.
    if (at + 1 === text.length) return { end: -1 };
    return { end: at + 1, token: { kind: "symbol", text: String.fromCharCode(byte) } };
}

function quoted(
    text: Buffer,
    at: number,
    open: number,
    kind: "string" | "name",
    escapes: boolean,
): { readonly end: number; readonly token?: Token } {
    const mark = text[open];
    for (let index = open + 1; index < text.length; index += 1) {
        if (escapes && text[index] === backslash) index += 1;
        else if (text[index] === mark) {
            if (index + 1 === text.length) return { end: -1 };
            if (text[index + 1] !== mark) {
                const sign = String.fromCharCode(mark ?? 0);
                const value = text.toString("utf8", open + 1, index).replaceAll(sign + sign, sign);
                return { end: index + 1, token: { kind, text: value } };
            }
            index += 1;
        }
    }
    return { end: -1 };
}

function dollarQuoted(text: Buffer, at: number): { readonly end: number; readonly token?: Token } {
    let end = at + 1;
    if (isWordStart(text[end] ?? 0)) while (isWordPart(text[end]) && text[end] !== dollar) end += 1;
    if (end === text.length) return { end: -1 };
    if (text[end] !== dollar) return { end: at + 1, token: { kind: "symbol", text: "$" } };
    const tag = text.subarray(at, end + 1);
    const close = text.indexOf(tag, end + 1);
    if (close < 0) return { end: -1 };
    return { end: close + tag.length, token: { kind: "string", text: text.toString("utf8", end + 1, close) } };
}

/** As PostgreSQL folds names in a UTF-8 database with the locale C: ASCII alone. */
function lowerCase(word: string): string {
    return word.replaceAll(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

function isSpace(byte: number | undefined): boolean {
    return byte === space || (byte !== undefined && byte >= tab && byte <= carriageReturn);
}

function isDigit(byte: number | undefined): boolean {
    return byte !== undefined && byte >= 48 && byte <= 57;
}

function isWordStart(byte: number): boolean {
    return (byte >= 97 && byte <= 122) || (byte >= 65 && byte <= 90) || byte === 95 || byte >= 128;
}

function isWordPart(byte: number | undefined): boolean {
    return byte !== undefined && (isWordStart(byte) || isDigit(byte) || byte === dollar);
}
