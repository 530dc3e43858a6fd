/** Files of a machine that is reached through its helper. */
import { z } from "zod";
import type { FileContent, MachineFiles, WalkedEntry, WalkOptions } from "../machine.ts";
import { joined } from "./byteQueue.ts";
import type { Answer, AskOptions, FarConnection } from "./connection.ts";
import { farEntries, farFacts } from "./farFacts.ts";
import { farPour } from "./farPour.ts";
import { farPut } from "./farPut.ts";

const content: z.ZodType<FileContent> = z.object({ size: z.number(), sha256: z.string() });
let walks = 0;

/** @param connect  the connection, which may not be there yet */
export function farFiles(connect: () => Promise<FarConnection>): MachineFiles {
    const ask = async (op: string, args: Record<string, unknown>, options?: AskOptions): Promise<Answer> =>
        (await connect()).ask(op, args, options);
    const asked = async <T>(shape: z.ZodType<T>, op: string, args: Record<string, unknown>): Promise<T> =>
        shape.parse((await ask(op, args)).value);
    const orUndefined = <T>(shape: z.ZodType<T>) => shape.nullable().transform((value) => value ?? undefined);

    async function* walk(root: string, top: string, options: WalkOptions = {}): AsyncGenerator<WalkedEntry> {
        const walk_id = ++walks;
        const enters = options.enters?.source;
        const args = { walk_id, root, top, ...(enters === undefined ? {} : { enters }) };
        const next = () => asked(farEntries, "walk", args);
        let coming: ReturnType<typeof next> | undefined = next();
        try {
            while (coming !== undefined) {
                const part: z.infer<typeof farEntries> = await coming;
                // The next part is on its way while this one is worked on; its error is met when it is waited for.
                coming = part.ended ? undefined : next();
                coming?.catch(() => undefined);
                for (const entry of part.entries) {
                    options.signal?.throwIfAborted();
                    yield entry;
                }
            }
        } finally {
            // Not waited for: who has ended the walk early may have done so because nothing is answered any more.
            if (coming !== undefined) coming.then(() => ask("endwalk", { walk_id })).catch(() => undefined);
        }
    }

    return {
        stat: (path) => asked(orUndefined(farFacts), "stat", { path }),
        lstat: (path) => asked(orUndefined(farFacts), "lstat", { path }),
        realpath: (path) => asked(orUndefined(z.string()), "realpath", { path }),
        list: (path) => asked(z.array(z.string()), "list", { path }),
        readLink: (path) => asked(orUndefined(z.string()), "readlink", { path }),
        links: async (path) =>
            new Map(Object.entries(await asked(z.record(z.string(), z.string()), "links", { path }))),
        read: async (path, { atMost, followLinks = true }) => {
            const { value, parts } = await ask("read", { path, atMost, follow: followLinks });
            return { content: joined(parts), facts: farFacts.parse(value) };
        },
        pour: farPour(ask),
        hash: async (path, signal) => {
            signal?.throwIfAborted();
            return asked(content, "hash", { path });
        },
        walk,
        write: async (path, text, { mode, owner } = {}) => {
            const args = {
                path,
                ...(mode === undefined ? {} : { mode }),
                ...(owner === undefined ? {} : { uid: owner.uid, gid: owner.gid }),
            };
            await ask("write", args, { data: Buffer.from(text) });
        },
        put: farPut(ask),
        discard: async (root, path) => {
            await ask("discard", { root, path });
        },
        remove: async (path) => {
            await ask("remove", { path });
        },
    };
}
