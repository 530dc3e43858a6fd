/** Files of a machine that is reached through its helper. */
import { z } from "zod";
import type { FileContent, FileFacts, MachineFiles, PouredFile, WalkedEntry } from "../machine.ts";
import type { Answer, FarConnection } from "./connection.ts";

const facts: z.ZodType<FileFacts> = z.object({
    kind: z.enum(["file", "directory", "link", "other"]),
    size: z.number(),
    mtime: z.string(),
    mode: z.number(),
    uid: z.number(),
    gid: z.number(),
    blocks: z.number(),
    links: z.number(),
    identity: z.string(),
});
const content: z.ZodType<FileContent> = z.object({ size: z.number(), sha256: z.string() });
const poured = z.object({ before: facts, after: facts, ended: z.boolean() });
const walked = z.object({
    entries: z.array(
        z.object({
            path: z.string(),
            facts,
            linksTo: z.string().optional(),
            error: z.string().optional(),
        }),
    ),
    ended: z.boolean(),
});

/** A file of this size or less travels in one answer. */
const pieceBytes = 4 * 1024 * 1024;
let walks = 0;

/** @param connect  the connection, which may not be there yet */
export function farFiles(connect: () => Promise<FarConnection>): MachineFiles {
    const ask = async (op: string, args: Record<string, unknown>, data?: Uint8Array): Promise<Answer> =>
        (await connect()).ask(op, args, data);
    const asked = async <T>(shape: z.ZodType<T>, op: string, args: Record<string, unknown>): Promise<T> =>
        shape.parse((await ask(op, args)).value);
    const orUndefined = <T>(shape: z.ZodType<T>) => shape.nullable().transform((value) => value ?? undefined);

    const pour: MachineFiles["pour"] = async (path, take, signal): Promise<PouredFile> => {
        let first: FileFacts | undefined;
        for (let offset = 0; ;) {
            signal?.throwIfAborted();
            const { value, data } = await ask("pour", { path, offset, length: pieceBytes });
            const { before, after, ended } = poured.parse(value);
            // Opened anew for each piece: another file of the same name must not be taken for the rest of this one.
            if (first !== undefined && !isSame(first, before)) return { before: first, after: before };
            first ??= before;
            if (data.length > 0) await take(data);
            offset += data.length;
            if (ended) return { before: first, after };
        }
    };

    async function* walk(root: string, top: string, signal?: AbortSignal): AsyncGenerator<WalkedEntry> {
        const walk_id = ++walks;
        const next = (): Promise<z.infer<typeof walked>> => asked(walked, "walk", { walk_id, root, top });
        let coming: Promise<z.infer<typeof walked>> | undefined = next();
        try {
            while (coming !== undefined) {
                signal?.throwIfAborted();
                const part: z.infer<typeof walked> = await coming;
                // The next part is on its way while this one is worked on; its error is met when it is waited for.
                coming = part.ended ? undefined : next();
                coming?.catch(() => undefined);
                yield* part.entries.map(({ linksTo, error, ...entry }) => ({
                    ...entry,
                    ...(linksTo === undefined ? {} : { linksTo }),
                    ...(error === undefined ? {} : { error }),
                }));
            }
        } finally {
            if (coming !== undefined) await ask("endwalk", { walk_id }).catch(() => undefined);
        }
    }

    return {
        stat: (path) => asked(orUndefined(facts), "stat", { path }),
        lstat: (path) => asked(orUndefined(facts), "lstat", { path }),
        realpath: (path) => asked(orUndefined(z.string()), "realpath", { path }),
        list: (path) => asked(z.array(z.string()), "list", { path }),
        readLink: (path) => asked(orUndefined(z.string()), "readlink", { path }),
        links: async (path) =>
            new Map(Object.entries(await asked(z.record(z.string(), z.string()), "links", { path }))),
        read: async (path, { atMost, followLinks = true }) => {
            const { value, data } = await ask("read", { path, atMost, follow: followLinks });
            return { content: data, facts: z.object({ facts }).parse(value).facts };
        },
        pour,
        hash: async (path, signal) => {
            signal?.throwIfAborted();
            return asked(content, "hash", { path });
        },
        walk,
        write: async (path, text, { mode, owner } = {}) => {
            await ask(
                "write",
                {
                    path,
                    ...(mode === undefined ? {} : { mode }),
                    ...(owner === undefined ? {} : { uid: owner.uid, gid: owner.gid }),
                },
                Buffer.from(text),
            );
        },
        remove: async (path) => {
            await ask("remove", { path });
        },
    };
}

const isSame = (one: FileFacts, other: FileFacts): boolean =>
    one.identity === other.identity && one.mtime === other.mtime && one.size === other.size;
