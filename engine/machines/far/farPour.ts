/** Content of files that comes in pieces: those of many small files in one answer, those of a large one some ahead of who takes them. */
import type { FileFacts, MachineFiles } from "../machine.ts";
import { ByteQueue } from "./byteQueue.ts";
import type { Answer, AskOptions } from "./connection.ts";
import { farPieces, type FarPiece } from "./farFacts.ts";

type Ask = (op: string, args: Record<string, unknown>, options?: AskOptions) => Promise<Answer>;

interface Piece {
    readonly before: FileFacts;
    readonly after: FileFacts;
    readonly isLast: boolean;
    readonly parts: readonly Buffer[];
    readonly length: number;
}

interface Wanted {
    readonly path: string;
    readonly offset: number;
    readonly resolve: (piece: Piece) => void;
    readonly reject: (error: unknown) => void;
}

export const pieceBytes = 512 * 1024;
/** Of one file, while no more than the second number of pieces are asked for altogether. */
const [piecesAhead, aheadUpTo] = [6, 96];
/** What one file takes of memory while it is poured, at the most. */
export const largestLoad = (piecesAhead + 1) * pieceBytes;
/** Requests on their way. While there are as many, what else is wanted waits for the next one, so that a slow network has larger ones. */
const requestsAtOnce = 6;

export function farPour(ask: Ask): MachineFiles["pour"] {
    let waiting: Wanted[] = [];
    let [requests, pieces] = [0, 0];

    const request = async (wanted: readonly Wanted[]): Promise<void> => {
        const open = new Set(wanted);
        const onPart = ({ value, parts }: Answer): void => {
            const content = new ByteQueue();
            for (const part of parts) content.push(part);
            for (const row of farPieces.parse(value)) {
                const one = wanted[row[0]];
                if (one !== undefined) open.delete(one);
                answer(one, row, content);
            }
        };
        const named = wanted.map(({ path, offset }) => [path, offset]);
        const failed = (error: unknown): void => {
            for (const { reject } of open) reject(error);
        };
        await ask("pour", { pieces: named, length: pieceBytes }, { onPart }).then(() => {
            failed(new Error("the helper has left out a file"));
        }, failed);
    };

    const send = (): void => {
        while (waiting.length > 0 && requests < requestsAtOnce) {
            const wanted = waiting;
            waiting = [];
            requests++;
            void request(wanted).finally(() => {
                requests--;
                send();
            });
        }
    };

    const piece = (path: string, offset: number): Promise<Piece> => {
        pieces++;
        const coming = new Promise<Piece>((resolve, reject) => {
            // Whoever asks in the same turn is in the same request.
            if (waiting.length === 0) queueMicrotask(send);
            waiting.push({ path, offset, resolve, reject });
        }).finally(() => {
            pieces--;
        });
        // Met by who waits for it, if anybody does.
        coming.catch(() => undefined);
        return coming;
    };

    return async (path, take, signal) => {
        signal?.throwIfAborted();
        const ahead = [piece(path, 0)];
        let [asked, first]: [number, FileFacts | undefined] = [0, undefined];
        for (let offset = 0; ;) {
            const { before, after, isLast, parts, length } = await (ahead.shift() ?? piece(path, offset));
            // Opened anew for each piece: another file of the same name must not be taken for the rest of this one.
            if (first !== undefined && !isSame(first, before)) return { before: first, after: before };
            first ??= before;
            asked = Math.max(asked, offset + pieceBytes);
            for (
                ;
                !isLast && asked <= first.size && ahead.length < piecesAhead && pieces < aheadUpTo;
                asked += pieceBytes
            )
                ahead.push(piece(path, asked));
            for (const part of parts) {
                signal?.throwIfAborted();
                await take(part);
            }
            offset += length;
            if (isLast) return { before: first, after };
        }
    };
}

/** @param content  what comes with the rows from this one on */
function answer(wanted: Wanted | undefined, row: FarPiece, content: ByteQueue): void {
    if (row.length === 3) {
        const [, code, message] = row;
        wanted?.reject(Object.assign(new Error(`${code}: ${message}, open '${wanted.path}'`), { code }));
        return;
    }
    const [, before, after, isLast, length] = row;
    const parts = content.takeParts(length);
    wanted?.resolve({ before, after: after ?? before, isLast, parts, length });
}

const isSame = (one: FileFacts, other: FileFacts): boolean =>
    one.identity === other.identity && one.mtime === other.mtime && one.size === other.size;
