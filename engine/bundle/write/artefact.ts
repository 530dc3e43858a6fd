/** A file of a bundle: compressed and encrypted while it is made, so that nothing readable is ever on disk. */
import { rename } from "node:fs/promises";
import { basename, join } from "node:path";
import { z } from "zod";
import type { BundlePlace } from "../../../contract/export.ts";
import { count, sha256 } from "../../../contract/shared.ts";
import { syncDirectory } from "../../run/atomicFile.ts";
import { MigrationError } from "../../run/errors.ts";
import type { Bytes } from "../streams/byteReader.ts";
import { removeArtefact } from "./bundleDirectory.ts";
import { encryptStream } from "../gpg/encrypt.ts";
import type { Recipient } from "../gpg/message.ts";
import { gzipped, type Compressible } from "../archives/gzip.ts";

export const artefactShape = z.strictObject({
    /** The file's name, or that of its parts without their ending. */
    name: z.string(),
    /** In the order in which they are joined. */
    files: z.array(z.strictObject({ name: z.string(), bytes: count, sha256 })).min(1),
    /** Of all files. */
    bytes: count,
});
export type Artefact = z.infer<typeof artefactShape>;

export interface ArtefactPlace {
    readonly bundle: BundlePlace;
    readonly passphrase?: string | undefined;
    /** Mode 0700. */
    readonly runDirectory: string;
    readonly signal: AbortSignal;
}

/** @throws MigrationError SM-E0928 when there is neither a key nor a passphrase */
export function recipientOf({ bundle, passphrase }: Pick<ArtefactPlace, "bundle" | "passphrase">): Recipient {
    const { recipientKeyFile } = bundle;
    if (recipientKeyFile !== undefined) return { publicKeyFile: recipientKeyFile };
    if (passphrase !== undefined) return { passphrase };
    throw new MigrationError("SM-E0928", {
        where: bundle.directory,
        found: "neither a passphrase nor the receiver's key",
        expected: "one of them",
    });
}

/**
 * Makes it anew: what an earlier attempt has left is removed first.
 *
 * @param what  how its content is compressed; `compressed` when it is already
 * @throws MigrationError those of {@link encryptStream}; what the content throws
 */
export async function writeArtefact(
    name: string,
    content: Bytes,
    what: Compressible | "compressed",
    place: ArtefactPlace,
): Promise<Artefact> {
    const { bundle, runDirectory, signal } = place;
    await removeArtefact(bundle.directory, name);
    const { files } = await encryptStream(what === "compressed" ? content : gzipped(content, what), {
        recipient: recipientOf(place),
        destination: join(bundle.directory, name),
        workDirectory: runDirectory,
        partBytes: bundle.partBytes,
        signal,
    });
    const written = files.map(({ path, bytes, sha256 }) => ({ name: basename(path), bytes, sha256 }));
    const [only, ...others] = written;
    if (only !== undefined && others.length === 0 && only.name !== name) {
        // A single part is no part.
        await rename(join(bundle.directory, only.name), join(bundle.directory, name));
        await syncDirectory(bundle.directory);
        return { name, files: [{ ...only, name }], bytes: only.bytes };
    }
    return { name, files: written, bytes: written.reduce((sum, { bytes }) => sum + bytes, 0) };
}
