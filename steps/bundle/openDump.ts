/** Opens a dump in whatever format it came, as the SQL text that it stands for. */
import { rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { MigrationError } from "../run/errors.ts";
import type { Progress } from "../run/progress.ts";
import type { Bytes } from "./byteReader.ts";
import { extractArchive } from "./extract.ts";
import { openLayers, type OpenedInput } from "./open.ts";
import { recognise, type Content } from "./recognise.ts";
import { streamProgram, type ProgramEnd } from "./streamProgram.ts";

export interface OpenDumpOptions {
    readonly passphrase?: string;
    /** Of this run, mode 0700. An archive of a directory is unpacked into it, and removed by {@link OpenedDump.close}. */
    readonly workDirectory: string;
    /** Directory of the PostgreSQL client programs. */
    readonly clientDirectory: string;
    readonly signal?: AbortSignal;
    readonly progress: Progress;
}

export interface OpenedDump {
    /** As `pg_dump` in plain format writes it. */
    readonly stream: AsyncIterable<Buffer>;
    /** Settles when the stream has ended; only then is what was read known to be whole. */
    readonly finished: Promise<{ files: { path: string; bytes: number; sha256: string }[]; layers: string[] }>;
    readonly close: () => Promise<void>;
}

/** Formats that `pg_restore` turns into SQL. Nothing is given to a database by it: the text is read as any other dump's. */
const archives: readonly Content[] = ["custom-dump", "tar-dump", "directory-dump"];
const stallSeconds = 600;
const unpackedName = "unpacked-dump";

/**
 * @param paths  one file or directory, or the parts of one file
 * @throws MigrationError SM-E0917 when it is not a dump, SM-E0905 when pg_restore cannot read it, and those of the layers
 */
export async function openDump(paths: readonly string[], options: OpenDumpOptions): Promise<OpenedDump> {
    const [first = ""] = paths;
    const { content, layers } = await recognise(first, options);
    if (content === "plain-dump") return withoutClosing(openLayers(paths, options));
    const unpacked = join(options.workDirectory, unpackedName);
    const isDirectory = (await stat(first)).isDirectory();
    if (content === "directory-dump" && isDirectory) return fromDirectory(first, options, { files: [], layers: [] });
    const { workDirectory } = options;
    if (content === "directory-dump" || content === "zip" || content === "tar") {
        await rm(unpacked, { recursive: true, force: true });
        const { input } = await options.progress.during("unpacking the dump", () =>
            extractArchive(paths, { ...options, destination: unpacked }),
        );
        const inner = await recognise(unpacked, { workDirectory });
        if (inner.content !== "directory-dump") throw notADump(first, inner.content);
        const dump = fromDirectory(inner.path ?? unpacked, options, { ...input, layers: [...layers, content] });
        return { ...dump, close: () => rm(unpacked, { recursive: true, force: true }) };
    }
    if (!archives.includes(content)) throw notADump(first, content);
    const { stream, finished } = openLayers(paths, options);
    return withoutClosing({ stream: restored([], stream, options, first), finished });
}

function fromDirectory(directory: string, options: OpenDumpOptions, input: OpenedInput): OpenedDump {
    return withoutClosing({
        stream: restored([directory], nothing(), options, directory),
        finished: Promise.resolve(input),
    });
}

function withoutClosing({
    stream,
    finished,
}: {
    readonly stream: Bytes;
    readonly finished: Promise<OpenedInput>;
}): OpenedDump {
    return {
        stream,
        finished: finished.then(({ files, layers }) => ({
            files: files.map(({ path, bytes, sha256 }) => ({ path, bytes, sha256 })),
            layers: [...layers],
        })),
        close: () => Promise.resolve(),
    };
}

async function* nothing(): Bytes {}

/** The archive as SQL text. A member that is missing or damaged ends the program with an error. */
function restored(args: readonly string[], input: Bytes, options: OpenDumpOptions, where: string): Bytes {
    const { clientDirectory, signal } = options;
    return streamProgram(join(clientDirectory, "pg_restore"), ["--no-owner", "--no-acl", "--file=-", ...args], {
        input,
        secret: "",
        stallSeconds,
        signal,
        judge: ({ exitCode, endedBy, stderr }: ProgramEnd) => {
            if (exitCode === 0) return;
            throw new MigrationError("SM-E0905", {
                where,
                found: `pg_restore ended with ${exitCode ?? endedBy ?? "nothing"}: ${stderr.trim().split("\n").slice(-3).join("\n")}`,
                expected: "an archive that pg_restore of the target reads to its end",
            });
        },
    });
}

function notADump(where: string, content: Content): MigrationError {
    return new MigrationError("SM-E0917", {
        where,
        found: `content of kind ${content}`,
        expected: "a dump of pg_dump: plain, custom, directory or tar, in whatever compression and encryption",
    });
}
