/** What the helper says of a file: in rows, as a store has hundreds of thousands of them. */
import { z } from "zod";
import type { FileFacts, WalkedEntry } from "../machine.ts";

const kinds = { f: "file", d: "directory", l: "link", o: "other" } as const;
const kind = z.enum(["f", "d", "l", "o"]);

const shape = [
    kind,
    z.number(),
    z.string(),
    z.number(),
    z.number(),
    z.number(),
    z.number(),
    z.number(),
    z.string(),
] as const;
const row = z.tuple(shape);
type Row = z.infer<typeof row>;

export const farFacts = row.transform(factsOf);

/** A part of a file, or why it cannot be read: what was known before, what after where that is something else, whether it was the last. */
export const farPieces = z.array(
    z.union([
        z.tuple([z.number(), farFacts, farFacts.nullable(), z.boolean(), z.number()]),
        z.tuple([z.number(), z.string(), z.string()]),
    ]),
);
export type FarPiece = z.infer<typeof farPieces>[number];

const optional = z.string().nullish();
const entry = z.tuple([z.string(), ...shape, optional, optional]).transform(entryOf);
export const farEntries = z.object({ entries: z.array(entry), ended: z.boolean() });

function factsOf([kind, size, mtime, mode, uid, gid, blocks, links, identity]: Row): FileFacts {
    return { kind: kinds[kind], size, mtime, mode, uid, gid, blocks, links, identity };
}

type EntryRow = [path: string, ...Row, linksTo?: string | null | undefined, error?: string | null | undefined];

function entryOf([
    path,
    kind,
    size,
    mtime,
    mode,
    uid,
    gid,
    blocks,
    links,
    identity,
    linksTo,
    error,
]: EntryRow): WalkedEntry {
    const facts = factsOf([kind, size, mtime, mode, uid, gid, blocks, links, identity]);
    if (typeof linksTo !== "string" && typeof error !== "string") return { path, facts };
    return {
        ...{ path, facts },
        ...(typeof linksTo === "string" ? { linksTo } : {}),
        ...(typeof error === "string" ? { error } : {}),
    };
}
