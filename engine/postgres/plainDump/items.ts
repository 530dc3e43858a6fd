/** Items of a dump one after the other, wherever the pieces of its stream begin and end. */
import type { ByteSource } from "./byteSource.ts";
import { refuseMessage } from "./head.ts";
import { nextItem, type Lexed } from "./lexer.ts";

/** pg_dump's statements have a few hundred bytes; the longest are the bodies of functions. */
export const longestStatement = 4 * 1024 * 1024;

/**
 * The next item; the source stands at its first byte then, and moves on only by who reads it.
 *
 * @returns `"end"` behind the last one, `"more"` for one that the dump ends in, or that is longer than {@link longestStatement}
 * @throws MigrationError SM-E0934
 */
export async function itemOf(source: ByteSource): Promise<Lexed | "end" | "more"> {
    for (let last = false; ; last = !(await source.extend())) {
        refuseMessage(source);
        const lexed = nextItem(source.buffer, source.at);
        if (typeof lexed === "object") {
            source.moveTo(lexed.start);
            return lexed;
        }
        if (last || (lexed === "more" && isTooLong(source))) return lexed;
    }
}

export const isTooLong = (source: ByteSource): boolean => source.buffer.length - source.at > longestStatement;
