/** Makes the blocks of an error fit into what is left of a step's output, so that what is to be done is never what is cut off. */
import { withinBytes } from "./withinBytes.ts";

/** An error of a hundred problems names them all, and shows the first whole. */
const smallestBlock = 1024;
const longestLine = 2 * 1024;
/** Of a block that is too long, so much is kept of its beginning: code, place, what was found first. The rest is its end: why and fix. */
const beginning = 0.6;

export interface Block {
    /** Named where there is no room for the block itself. */
    readonly name: string;
    readonly text: string;
}

/** @returns a text of at most so many bytes, in which no line is longer than 2 KiB */
export function fittingBlocks(blocks: readonly Block[], bytes: number): string {
    const shown = blocks.slice(0, Math.max(1, Math.floor(bytes / smallestBlock) - 1));
    const named = blocks.slice(shown.length).map(({ name }) => name);
    const others =
        named.length === 0 ? [] : [withinBytes(`and ${named.length} more: ${named.join(", ")}`, smallestBlock)];
    const room = bytes - Buffer.byteLength(others.join("")) - 2 * (shown.length + 1);
    const share = Math.floor(room / shown.length);
    return [...shown.map(({ text }) => fitting(text, share)), ...others].join("\n\n");
}

function fitting(text: string, bytes: number): string {
    const lines = text.split("\n").map((line) => withinBytes(line, longestLine));
    if (Buffer.byteLength(lines.join("\n")) <= bytes) return lines.join("\n");
    const room = bytes - 64;
    const first = taken(lines, room * beginning);
    const last = taken(lines.slice(first).reverse(), room - sizeOf(lines.slice(0, first)));
    const left = lines.length - first - last;
    return [
        ...lines.slice(0, first),
        `           … ${left} lines left out …`,
        ...(last === 0 ? [] : lines.slice(-last)),
    ].join("\n");
}

const sizeOf = (lines: readonly string[]): number => lines.reduce((sum, line) => sum + Buffer.byteLength(line) + 1, 0);

/** How many of the lines, from the first on, take at most so many bytes. */
function taken(lines: readonly string[], bytes: number): number {
    let used = 0;
    const over = lines.findIndex((line) => (used += Buffer.byteLength(line) + 1) > bytes);
    return over === -1 ? lines.length : over;
}
