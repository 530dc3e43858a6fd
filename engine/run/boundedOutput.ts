/**
 * What one attempt at a step prints on standard error, bounded in all.
 *
 * Pulumi keeps it in the stack's state for good and hands the whole of it around in one message: a step of hours must not be allowed to
 * say more than one of seconds.
 */
import type { LineKind } from "./progress.ts";
import { withinBytes } from "./withinBytes.ts";

/** Of a whole attempt, its final error included. */
export const longestOutput = 64 * 1024;
/** The command plugin reads lines of less than 64 KiB; people read shorter ones. Bytes, line end included. */
const longestLine = 4 * 1024 - 1;

/** Parts of {@link longestOutput}: what one part does not use, no other takes, so that there is always room for the end. */
const plentyBytes = 16 * 1024;
const sparseBytes = 24 * 1024;
const noteBytes = 8 * 1024;
export const endingBytes = longestOutput - plentyBytes - sparseBytes - noteBytes;

/** Once they are sparse, lines are short, and for each 2 KiB of them the time between two doubles: 24 KiB last for days. */
const sparseLine = 160;
const sparsePart = 2 * 1024;
const firstPauseMilliseconds = 10_000;

export interface BoundedOutput {
    /** Ordinary progress becomes rarer as the attempt goes on; a note is printed as long as there is room for notes. */
    line(text: string, kind?: LineKind): void;
    /** The last thing that is printed: whatever comes after it is not. */
    end(lines: readonly string[]): void;
}

/**
 * @param write  gets whole lines, with their end
 * @param now  milliseconds of a clock that is never set back
 */
export function boundedOutput(
    write: (text: string) => void,
    now: () => number = () => performance.now(),
): BoundedOutput {
    let [plenty, sparse, notes] = [0, 0, 0];
    let lastSparse = -Infinity;
    let ended = false;
    /** @returns what it took */
    const print = (text: string, longest: number): number => {
        const line = `${withinBytes(text, longest - 1)}\n`;
        write(line);
        return Buffer.byteLength(line);
    };
    const size = (text: string, longest: number): number => Math.min(longest, Buffer.byteLength(text) + 1);

    const sparsely = (text: string): void => {
        const pause = firstPauseMilliseconds * 2 ** Math.floor(sparse / sparsePart);
        if (now() - lastSparse < pause || sparse + size(text, sparseLine) > sparseBytes) return;
        lastSparse = now();
        sparse += print(text, sparseLine);
    };
    const progress = (text: string): void => {
        if (plenty + size(text, longestLine) <= plentyBytes) {
            plenty += print(text, longestLine);
            return;
        }
        // A short line may still fit where a long one did not: lines do not become plenty again.
        plenty = plentyBytes;
        sparsely(text);
    };
    return {
        line(text, kind) {
            if (ended) return;
            if (kind !== "note") progress(text);
            // The file of notes has all of them.
            else if (notes + size(text, longestLine) <= noteBytes) notes += print(text, longestLine);
        },
        end(lines) {
            if (ended) return;
            ended = true;
            let left = endingBytes;
            for (const line of lines.flatMap((text) => text.split("\n"))) {
                const longest = Math.min(longestLine, left);
                if (longest < 1) return;
                left -= print(line, longest);
            }
        },
    };
}
