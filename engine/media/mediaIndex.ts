/** What the passes of a run have copied: how each file of the source looked then, and its SHA-256. Saves reading it again. */
import { constants } from "node:fs";
import { open, readFile, rename, type FileHandle } from "node:fs/promises";
import { z } from "zod";

const indexEntry = z.strictObject({
    path: z.string(),
    size: z.number().int(),
    /** Of the source, nanoseconds since 1970. */
    mtime: z.string(),
    sha256: z.string(),
});
export type IndexEntry = z.infer<typeof indexEntry>;
const line = z.union([indexEntry, z.strictObject({ path: z.string(), removed: z.literal(true) })]);

/** Lines are written this many at a time; those that a kill loses cost a second reading, nothing else. */
const linesAtOnce = 64;
const compactLinesAtOnce = 1000;

/** A file of JSON lines, the last one of a path counts. About 250 bytes of memory for each file of the store. */
export class MediaIndex {
    private readonly entries = new Map<string, IndexEntry>();
    /** Of the file, with those that do not count any more. */
    private lines = 0;
    private unwritten: string[] = [];
    private writing: Promise<unknown> = Promise.resolve();
    private readonly path: string;
    private readonly file: FileHandle;

    private constructor(path: string, file: FileHandle) {
        this.path = path;
        this.file = file;
    }

    /** Opens an index, or begins one. Lines that are torn or not understood are left out: those files are read again. */
    public static async open(path: string): Promise<MediaIndex> {
        const text = await readFile(path, "utf8").catch((error: unknown) => {
            if (error instanceof Error && "code" in error && error.code === "ENOENT") return "";
            throw error;
        });
        const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND | constants.O_NOFOLLOW;
        const index = new MediaIndex(path, await open(path, flags, 0o600));
        const lines = text.split("\n");
        index.lines = lines.length - 1;
        for (const entry of lines.flatMap(parseLine)) {
            if ("removed" in entry) index.entries.delete(entry.path);
            else index.entries.set(entry.path, entry);
        }
        // A torn last line must not take the next one with it.
        if (text !== "" && !text.endsWith("\n")) await index.file.write("\n");
        return index;
    }

    public get size(): number {
        return this.entries.size;
    }

    public get(path: string): IndexEntry | undefined {
        return this.entries.get(path);
    }

    public paths(): IterableIterator<string> {
        return this.entries.keys();
    }

    public set(entry: IndexEntry): void {
        this.entries.set(entry.path, entry);
        this.write(entry);
    }

    public delete(path: string): void {
        if (this.entries.delete(path)) this.write({ path, removed: true });
    }

    /** Writes what is not written yet; after a pass that came to its end, one line for each file. */
    public async close(options: { readonly compact: boolean }): Promise<void> {
        try {
            this.flush();
            await this.writing;
            if (!options.compact) return;
            if (this.lines === this.entries.size) {
                await this.file.sync();
                return;
            }
            const compact = await open(`${this.path}.new`, "w", 0o600);
            try {
                let lines: string[] = [];
                for (const entry of this.entries.values()) {
                    if (lines.push(JSON.stringify(entry)) < compactLinesAtOnce) continue;
                    await compact.appendFile(`${lines.join("\n")}\n`);
                    lines = [];
                }
                if (lines.length > 0) await compact.appendFile(`${lines.join("\n")}\n`);
                await compact.sync();
            } finally {
                await compact.close();
            }
            await rename(`${this.path}.new`, this.path);
        } finally {
            await this.file.close();
        }
    }

    private write(entry: z.infer<typeof line>): void {
        this.lines++;
        this.unwritten.push(JSON.stringify(entry));
        if (this.unwritten.length >= linesAtOnce) this.flush();
    }

    private flush(): void {
        if (this.unwritten.length === 0) return;
        const lines = `${this.unwritten.join("\n")}\n`;
        this.unwritten = [];
        this.writing = this.writing.then(() => this.file.appendFile(lines));
        this.writing.catch(() => undefined);
    }
}

function parseLine(text: string): z.infer<typeof line>[] {
    try {
        return [line.parse(JSON.parse(text))];
    } catch {
        return [];
    }
}
