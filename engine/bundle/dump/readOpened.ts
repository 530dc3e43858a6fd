/** Reads an opened dump so that damage is named by the layer that proves it, and not by the one inside of it that stumbles first. */
import { errorCatalogue } from "../../run/errorCatalogue.ts";
import { MigrationError } from "../../run/errors.ts";
import type { Bytes } from "../streams/byteReader.ts";
import { HeldStream } from "../streams/heldStream.ts";
import type { OpenedDump } from "./openDump.ts";

/**
 * What `read` makes of the dump, once every layer has said that it is whole.
 *
 * A dump that `read` refuses is read on to its end where a layer outside of it can tell whether it was altered. Errors that are not about
 * the dump, as that of a full disk, are passed on at once.
 *
 * @param read  may leave the stream unfinished only when it throws
 * @throws MigrationError of the outermost layer that has one to throw, and else what `read` throws
 */
export async function readOpened<T>(opened: OpenedDump, read: (stream: Bytes) => Promise<T>): Promise<T> {
    const stream = new HeldStream(opened.stream);
    try {
        const result = await read(stream.rest());
        await opened.finished;
        return result;
    } catch (error) {
        throw opened.isCovered && isAboutArtefact(error) ? await stream.failureOr(error) : error;
    } finally {
        await stream.close();
    }
}

function isAboutArtefact(error: unknown): boolean {
    return error instanceof MigrationError && errorCatalogue[error.code].family === "artefact";
}
