/** The content of files of a store that are taken one after the other: of small ones on another machine it is fetched before its turn. */
import type { Machine, PouredFile } from "../machines/machine.ts";
import { smallFileBytes } from "./copyFile.ts";

/** Hands over what is in a file, as `pour` of a machine's files does. */
export type Pour = (take: (chunk: Buffer) => Promise<void> | void) => Promise<PouredFile>;

/** How many files are begun before their turn: with a way of 30 ms to the machine and back, one after the other would be 33 a second. */
export const filesAhead = ({ isHere }: Pick<Machine, "isHere">): number => (isHere ? 1 : 64);

/** @param file  `size` as far as it is known */
export async function contentAhead(
    { isHere, files }: Machine,
    file: { readonly path: string; readonly size: number },
    signal?: AbortSignal,
): Promise<Pour> {
    const pour: Pour = (take) => files.pour(file.path, take, signal);
    if (isHere || file.size > smallFileBytes) return pour;
    const chunks: Buffer[] = [];
    const poured = await pour((chunk) => void chunks.push(Buffer.from(chunk)));
    return async (take) => {
        for (const chunk of chunks) await take(chunk);
        return poured;
    };
}
