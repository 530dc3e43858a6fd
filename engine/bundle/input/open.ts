/** Opens an input: its innermost bytes through all its layers, as a stream, without temporary files. */
import { MigrationError } from "../../run/errors.ts";
import { ByteReader } from "../streams/byteReader.ts";
import { decrypt } from "../gpg/decrypt.ts";
import type { OpenPgpProgram } from "../gpg/message.ts";
import { gunzip } from "../archives/gunzip.ts";
import { HeldStream } from "../streams/heldStream.ts";
import { readFiles, type FileDigest } from "./inputFiles.ts";
import { conversions, formatOf, magicBytes, type Format, type Layer, type UnsupportedFormat } from "./magic.ts";

export interface OpenOptions {
    /** Of the files, or of the secret key. */
    readonly passphrase?: string | undefined;
    /** Armored; for files that are encrypted to a public key. */
    readonly secretKey?: string | undefined;
    /** Of this run, mode 0700: gpg's home directory is made in it. */
    readonly workDirectory: string;
    readonly signal?: AbortSignal | undefined;
    /** Called with the bytes of each chunk read of the input files. */
    readonly onBytes?: ((bytes: number) => void) | undefined;
    /** What decrypts; the system's gpg where there is one. */
    readonly openPgp?: OpenPgpProgram | undefined;
}

/** What an input turned out to be when it was read to its end. */
export interface OpenedInput {
    readonly files: readonly FileDigest[];
    /** Outermost first: `gpg` and `gzip` only, as an archive is a content here. */
    readonly layers: readonly Layer[];
}

export interface OpenInput {
    /** Ends with an error when any layer fails. To be read once, and to its end: see {@link OpenInput.finished}. */
    readonly stream: AsyncIterable<Buffer>;
    /**
     * Settles when the stream has ended. Only when this has resolved is anything that was read known to be whole and what its
     * maker encrypted.
     */
    readonly finished: Promise<OpenedInput>;
}

/** Compressed more often than this is made to cost time. */
const deepest = 4;

/**
 * Opens files, joined in the order given, by content: any of gpg and gzip around anything else.
 *
 * @throws MigrationError SM-E0910 gzip, SM-E0914 not read here, SM-E0920 to SM-E0927 and SM-E0929 gpg, SM-E0931 files; from the stream and `finished` alike
 */
export function openLayers(paths: readonly string[], options: OpenOptions): OpenInput {
    let resolve: (opened: OpenedInput) => void = () => undefined;
    let reject: (error: unknown) => void = () => undefined;
    const finished = new Promise<OpenedInput>((done, failed) => {
        resolve = done;
        reject = failed;
    });
    // The stream fails with the same error. A caller that reads only the stream leaves this promise alone, which must not count as unhandled.
    finished.catch(() => undefined);
    return { stream: settle(paths, options, resolve, reject), finished };
}

async function* settle(
    paths: readonly string[],
    options: OpenOptions,
    resolve: (opened: OpenedInput) => void,
    reject: (error: unknown) => void,
): AsyncGenerator<Buffer, void> {
    const files: FileDigest[] = [];
    const layers: Layer[] = [];
    try {
        yield* unwrap(readFiles(paths, files, options), layers, { ...options, where: paths.join(", ") });
        if (files.length !== paths.length) throw new Error("an input was not read to its end");
        resolve({ files, layers });
    } catch (error) {
        reject(error);
        throw error;
    } finally {
        reject(new Error("the input was not read to its end"));
    }
}

/**
 * The bytes inside of all layers.
 *
 * @param layers  gets each layer as it is found
 * @param onContent  called once with the format of what is inside
 */
export async function* unwrap(
    source: AsyncGenerator<Buffer, void>,
    layers: Layer[],
    options: OpenOptions & { readonly where: string },
    onContent: (format: Format) => void = () => undefined,
): AsyncGenerator<Buffer, void> {
    const stages: { return: () => Promise<unknown> }[] = [source];
    /** What was encrypted: its alteration is shown by what is inside of it first, and proven at its end. */
    let encrypted: HeldStream | undefined;
    let reader = new ByteReader(source);
    try {
        for (;;) {
            const format = formatOf(await reader.peek(magicBytes));
            if (isUnsupported(format)) throw notRead(format, options.where);
            if (format !== "gpg" && format !== "gzip") {
                onContent(format);
                break;
            }
            refuseLayer(format, layers, options.where);
            layers.push(format);
            const inner = format === "gpg" ? decrypt(reader.rest(), options) : gunzip(reader, options.where);
            stages.push(inner);
            const held = new HeldStream(inner);
            if (format === "gpg") encrypted = held;
            reader = new ByteReader(held.rest());
        }
        yield* reader.rest();
    } catch (error) {
        throw encrypted === undefined ? error : await encrypted.failureOr(error);
    } finally {
        for (const stage of stages.reverse()) await stage.return();
    }
}

function refuseLayer(layer: "gpg" | "gzip", layers: readonly Layer[], where: string): void {
    if (layer === "gpg" && layers.includes("gpg"))
        throw new MigrationError("SM-E0927", {
            where,
            found: "a message that is encrypted again inside of an encrypted one",
            expected: "one encryption",
        });
    if (layers.length >= deepest)
        throw new MigrationError("SM-E0910", {
            where,
            found: `compressed ${layers.length} times over`,
            expected: "data that is compressed once",
        });
}

function isUnsupported(format: Format): format is UnsupportedFormat {
    return format in conversions;
}

function notRead(format: UnsupportedFormat, where: string): MigrationError {
    return new MigrationError("SM-E0914", {
        where,
        found: `${format} data`,
        expected: "gzip, zip, or no compression",
        fix: `convert it: ${conversions[format].replaceAll("FILE", where)}`,
    });
}
