/** Looks once more at media of a homeserver that runs: files and rows come and go between a walk and a look into the database. */
import type { DatabaseAddress } from "../postgres/connection.ts";
import { checkCompleteness, type Completeness, type SeenFile } from "./completeness.ts";
import { inOrder } from "./inOrder.ts";
import { localContentPath } from "./layout.ts";
import { withMediaRows } from "./mediaRows.ts";

const looksAtOnce = 32;

/**
 * @param suspects  media ids of which something was wrong
 * @param read  what is at a path of the store now
 * @returns what is wrong still, of these alone
 */
export async function lookAgain(
    suspects: ReadonlySet<string>,
    read: (path: string) => Promise<SeenFile | undefined>,
    address: DatabaseAddress,
    options: { readonly step: string; readonly signal?: AbortSignal },
): Promise<Completeness> {
    const now = new Map<string, SeenFile>();
    const look = async (mediaId: string) => {
        const path = localContentPath(mediaId);
        return { path, file: path === undefined ? undefined : await read(path) };
    };
    // Where nothing is there, as when a disk is not mounted, these are all of them, and their machine may be far away.
    for await (const { path, file } of inOrder(each(suspects), looksAtOnce, look))
        if (path !== undefined && file !== undefined) now.set(path, file);
    return withMediaRows(address, options, ({ media }) =>
        checkCompleteness({
            media: filtered(media, ({ mediaId }) => suspects.has(mediaId)),
            thumbnails: none(),
            file: (path) => now.get(path),
            paths: () => [],
        }),
    );
}

async function* each<T>(items: Iterable<T>): AsyncGenerator<T> {
    for (const item of items) yield Promise.resolve(item);
}

async function* filtered<T>(rows: AsyncIterable<T>, wanted: (row: T) => boolean): AsyncGenerator<T> {
    for await (const row of rows) if (wanted(row)) yield row;
}

async function* none<T>(): AsyncGenerator<T> {}
