/** The beginning of an INSERT of `pg_dump --inserts` or `--column-inserts`, up to its rows. */
import type { ByteSource } from "./byteSource.ts";
import { Cursor, type QualifiedName } from "./cursor.ts";
import { isTooLong } from "./items.ts";
import { tokensUpTo } from "./lexer.ts";

export interface InsertHead {
    readonly table: QualifiedName;
    /** Absent where the rows have all columns, in the order of the table. */
    readonly columns: readonly string[] | undefined;
    /** Offset behind the word VALUES. */
    readonly end: number;
}

const begin = "insert into ";
/** Of a statement; white space counts. */
const longestGap = 64 * 1024;

/**
 * Where the next item is an INSERT with rows; the source stands at its first byte then. Any other item is left to who reads statements.
 */
export async function insertHeadOf(source: ByteSource): Promise<InsertHead | undefined> {
    for (;;) {
        const start = behindSpace(source.buffer, source.at);
        const text = source.buffer.toString("latin1", start, start + begin.length).toLowerCase();
        const mayBe = begin.startsWith(text) && start - source.at < longestGap;
        if (!mayBe) return undefined;
        const lexed = text.length < begin.length ? "more" : tokensUpTo(source.buffer, start, "values");
        if (lexed === undefined) return undefined;
        if (lexed !== "more") {
            const head = headOf(new Cursor(lexed.tokens));
            if (head === undefined) return undefined;
            source.moveTo(start);
            return { ...head, end: lexed.end };
        }
        if (isTooLong(source) || !(await source.extend())) return undefined;
    }
}

function headOf(cursor: Cursor): Omit<InsertHead, "end"> | undefined {
    const table = cursor.take("insert into") ? cursor.takeName() : undefined;
    const list = cursor.takeParentheses();
    const columns: string[] = [];
    if (list !== undefined) {
        const inner = new Cursor(list);
        do {
            const column = inner.takeIdentifier();
            if (column === undefined) return undefined;
            columns.push(column);
        } while (inner.takeSymbol(","));
        if (!inner.done || new Set(columns).size !== columns.length) return undefined;
    }
    // Of an identity that is always generated.
    cursor.take("overriding system value");
    if (table === undefined || !cursor.take("values") || !cursor.done) return undefined;
    return { table, columns: list === undefined ? undefined : columns };
}

function behindSpace(buffer: Buffer, from: number): number {
    let at = from;
    for (let byte = buffer[at]; byte === 32 || (byte !== undefined && byte >= 9 && byte <= 13); byte = buffer[at])
        at += 1;
    return at;
}
