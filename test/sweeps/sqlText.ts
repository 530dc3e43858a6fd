/** Tells what a damage did to the SQL text of a dump, by other means than the reader that is tried. */
import { isUtf8 } from "node:buffer";
import { benign, missed, type Verdict } from "./verdict.ts";

interface Line {
    readonly bytes: Buffer;
    readonly isRow: boolean;
}

/** Rows of a table that are another, well-formed row each are all that cannot be known. */
export function judgeSql(whole: Buffer, read: Buffer): Verdict {
    if (whole.equals(read)) return benign;
    const [before, after] = [linesOf(whole), linesOf(read)];
    const same = before.length === after.length && before.every(({ isRow }, at) => isRow === after[at]?.isRow);
    if (!same) return sameStatements(before, after) ? benign : missed(firstDifference(before, after));
    const changed = before.flatMap((line, at) => {
        const other = after[at];
        return other === undefined || line.bytes.equals(other.bytes) ? [] : [[line, other] as const];
    });
    const rows = changed.filter(([line]) => line.isRow);
    const areRows = rows.every(([line, other]) => isUtf8(other.bytes) && tabs(line.bytes) === tabs(other.bytes));
    if (!sameStatements(before, after) || !areRows) return missed(firstDifference(before, after));
    return rows.length === 0 ? benign : { kind: "undetectable", what: "content of a row" };
}

/** The statements alone: a server that takes them has the tables, indexes and sequences that they say. */
export function withoutRows(dump: Buffer): string {
    const lines = linesOf(dump).filter(({ bytes, isRow }) => !isRow && !isFraming(bytes));
    return lines.map(({ bytes }) => bytes.toString("utf8")).join("\n");
}

function isFraming(bytes: Buffer): boolean {
    return bytes.equals(endOfRows) || bytes[0] === 0x5c || bytes.indexOf("COPY ") === 0;
}

const endOfRows = Buffer.from("\\.");

function linesOf(dump: Buffer): Line[] {
    const lines: Line[] = [];
    let inRows = false;
    for (let at = 0; at < dump.length;) {
        const newline = dump.indexOf(10, at);
        const end = newline < 0 ? dump.length : newline;
        const bytes = dump.subarray(at, end);
        if (inRows && bytes.equals(endOfRows)) inRows = false;
        lines.push({ bytes, isRow: inRows });
        if (!inRows && bytes.indexOf("COPY ") === 0 && bytes.toString("latin1").endsWith(" FROM stdin;")) inRows = true;
        at = end + 1;
    }
    return lines;
}

const statements = (lines: readonly Line[]): string[] =>
    lines
        .filter(({ bytes, isRow }) => !isRow && bytes.length > 0 && bytes.indexOf("--") !== 0 && !isSession(bytes))
        .map(({ bytes }) => bytes.toString("latin1"));

/** `\\restrict` and its like have another key each time that pg_restore writes them. */
const isSession = (bytes: Buffer): boolean => /^\\(un)?restrict /.test(bytes.toString("latin1", 0, 16));

/** Without comments and empty lines, and as PostgreSQL folds names that are not quoted. */
function sameStatements(before: readonly Line[], after: readonly Line[]): boolean {
    return folded(statements(before).join("\n")) === folded(statements(after).join("\n"));
}

function folded(text: string): string {
    const pieces = text.split(/('(?:[^']|'')*'|"[^"]*")/);
    return pieces.map((piece, at) => (at % 2 === 0 ? piece.toLowerCase() : piece)).join("");
}

/** What a statement that a server takes may have been changed in without harm: its place, or the text of a description. */
export function judgeTaken(whole: Buffer, read: Buffer): Verdict | undefined {
    const [before, after] = [linesOf(whole), linesOf(read)];
    const ordered = (lines: readonly Line[]): string => {
        const rows = lines.filter(({ isRow }) => isRow).map(({ bytes }) => bytes.toString("latin1"));
        return [...statements(lines), ...rows].sort().join("\n");
    };
    if (ordered(before) === ordered(after)) return benign;
    const bare = (lines: readonly Line[]): string =>
        folded(
            statements(lines)
                .join("\n")
                .replace(/^COMMENT ON [^;]*? IS '(?:[^']|'')*';$/gm, ""),
        );
    if (bare(before) === bare(after)) return { kind: "undetectable", what: "text of COMMENT ON, which nothing uses" };
    const [was, is] = [statements(before), statements(after)];
    const others = was.filter((text, index) => text !== is[index]);
    if (was.length !== is.length || others.length !== 1) return undefined;
    return { kind: "undetectable", what: "a word of a statement, another one that PostgreSQL takes as well" };
}

function firstDifference(before: readonly Line[], after: readonly Line[]): string {
    const [a, b] = [statements(before), statements(after)];
    const at = a.findIndex((text, index) => text !== b[index]);
    const [was = "nothing", is = "nothing"] = [a[at], b[at]];
    let same = 0;
    while (same < was.length && was[same] === is[same]) same++;
    const begin = Math.max(0, same - 60);
    const shown = (text: string): string => JSON.stringify(text.slice(begin, begin + 120));
    return at < 0
        ? `${b.length - a.length} statements more, ${after.length - before.length} lines more`
        : `${shown(is)} instead of ${shown(was)}`;
}

function tabs(bytes: Buffer): number {
    let count = 0;
    for (let at = bytes.indexOf(9); at >= 0; at = bytes.indexOf(9, at + 1)) count++;
    return count;
}
