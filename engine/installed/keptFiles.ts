/** Files of an installed homeserver that were written by a run: what was there before is kept, and put back exactly. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { z } from "zod";
import { removePrivateFile, writePrivateFile } from "../run/atomicFile.ts";
import { MigrationError } from "../run/errors.ts";
import { hasCode } from "../run/heldDirectory.ts";
import { parseJson } from "../run/parseJson.ts";
import { readTrusted } from "../run/trustedFile.ts";
import type { Machine } from "../machines/machine.ts";
import { placeOn } from "../machines/placeOn.ts";

const ownership = z.strictObject({ mode: z.number().int(), uid: z.number().int(), gid: z.number().int() });
export type Ownership = z.infer<typeof ownership>;

const keptFile = z.strictObject({
    path: z.string(),
    /** Absent where there was no such file. */
    before: ownership.extend({ content: z.base64() }).optional(),
    /** SHA-256 of what is to be there. */
    written: z.string(),
    /** Of what was there before it, where this run had written that, too: a kill may have come before the file was written. */
    earlier: z.string().optional(),
});
type KeptFile = z.infer<typeof keptFile>;

/** A configuration file or a signing key. */
const largestBytes = 4 * 1024 * 1024;
const fileName = "installed-files.json";
const unchanged = "nothing: the file was not written";

/** The record in a directory of ours: it holds secrets, as the files do. */
export class KeptFiles {
    readonly #machine: Machine;
    readonly #record: string;
    #files: KeptFile[];

    private constructor(machine: Machine, record: string, files: KeptFile[]) {
        this.#machine = machine;
        this.#record = record;
        this.#files = files;
    }

    public static async open(machine: Machine, directory: string): Promise<KeptFiles> {
        const record = join(directory, fileName);
        const text = await readTrusted(record);
        return new KeptFiles(machine, record, text === undefined ? [] : z.array(keptFile).parse(parseJson(text)));
    }

    public get paths(): readonly string[] {
        return this.#files.map(({ path }) => path);
    }

    /** What was there before this run; undefined where there was nothing. */
    public async original(path: string): Promise<string | undefined> {
        const kept = this.#files.find((file) => file.path === path);
        if (kept !== undefined)
            return kept.before === undefined ? undefined : Buffer.from(kept.before.content, "base64").toString("utf8");
        return (await this.#read(path))?.content.toString("utf8");
    }

    /**
     * Writes a file, atomically there, after what is in it is kept here.
     *
     * @param like  of a file that is new; one that is there keeps owner and mode
     * @throws MigrationError SM-E1602 when somebody else has written it since
     */
    public async write(path: string, content: string, like: Ownership): Promise<void> {
        const found = await this.#read(path);
        const kept = this.#files.find((file) => file.path === path);
        const written = digestOf(content);
        if (kept === undefined) {
            const before =
                found === undefined ? {} : { before: { ...found, content: found.content.toString("base64") } };
            await this.#keep([...this.#files, { path, ...before, written }]);
        } else {
            const there = digestOf(found?.content);
            if (there !== written && !isOurs(kept, there) && there !== originalOf(kept))
                throw this.#foreign(kept, there);
            const earlier = there === undefined ? {} : { earlier: there };
            await this.#keep(this.#files.map((file) => (file === kept ? { ...kept, written, ...earlier } : file)));
        }
        const { mode, uid, gid } = kept?.before ?? found ?? like;
        await this.#machine.files.write(path, content, { mode, owner: { uid, gid } });
    }

    /** @throws MigrationError SM-E1602 for a file that is not as this run has left it */
    public async requireWritten(): Promise<void> {
        for (const kept of this.#files) {
            const there = digestOf((await this.#read(kept.path))?.content);
            // What the installer had there is foreign by now, too.
            if (there !== kept.written) throw this.#foreign(kept, there);
        }
    }

    /**
     * Puts back what was there. What somebody else has written since is left alone and told.
     *
     * @returns what was left, a line each
     */
    public async putBack(): Promise<string[]> {
        const left: string[] = [];
        for (const kept of [...this.#files].reverse()) {
            const { path, before } = kept;
            const found = await this.#read(path);
            const there = digestOf(found?.content);
            if (there !== undefined && there !== originalOf(kept) && !isOurs(kept, there)) {
                left.push(`${placeOn(this.#machine, path)} was written by somebody else since: it stays`);
                continue;
            }
            if (before === undefined) await this.#machine.files.remove(path);
            else {
                const { mode, uid, gid, content } = before;
                await this.#machine.files.write(path, Buffer.from(content, "base64"), { mode, owner: { uid, gid } });
            }
        }
        await removePrivateFile(this.#record);
        this.#files = [];
        return left;
    }

    #foreign({ path }: KeptFile, there: string | undefined): MigrationError {
        return new MigrationError("SM-E1602", {
            where: placeOn(this.#machine, path),
            found: there === undefined ? "no such file" : "another content than this run has written",
            expected: "the file as this run has left it",
            changed: unchanged,
        });
    }

    async #keep(files: KeptFile[]): Promise<void> {
        await writePrivateFile(this.#record, `${JSON.stringify(files)}\n`);
        this.#files = files;
    }

    async #read(path: string): Promise<(Ownership & { readonly content: Buffer }) | undefined> {
        try {
            const { content, facts } = await this.#machine.files.read(path, { atMost: largestBytes });
            return { content, mode: facts.mode, uid: facts.uid, gid: facts.gid };
        } catch (error) {
            if (hasCode(error, "ENOENT")) return undefined;
            throw error;
        }
    }
}

function digestOf(content: string | Uint8Array): string;
function digestOf(content: string | Uint8Array | undefined): string | undefined;
function digestOf(content: string | Uint8Array | undefined): string | undefined {
    return content === undefined ? undefined : createHash("sha256").update(content).digest("hex");
}

const isOurs = ({ written, earlier }: KeptFile, there: string | undefined): boolean =>
    there !== undefined && (there === written || there === earlier);

const originalOf = ({ before }: KeptFile): string | undefined =>
    before === undefined ? undefined : digestOf(Buffer.from(before.content, "base64"));
