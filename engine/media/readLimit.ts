/** How fast files of a media store may be read: it has a homeserver to serve meanwhile. */
import type { MachineFiles } from "../machines/machine.ts";
import { smallFileBytes } from "./copyFile.ts";

/** Waits until so many bytes may be read, as `RateLimit` does. */
export interface ReadLimit {
    pass(bytes: number, signal?: AbortSignal): Promise<void>;
}

/**
 * Files that are not poured faster than a limit says. What waits is not read yet: a small file is asked for when its turn has come, and
 * the parts of a large one when those before have been taken, but for the few that another machine reads ahead.
 *
 * @param size  of the file that is poured, as far as it is known
 */
export function withLimit(files: MachineFiles, size: number, limit: ReadLimit | undefined): MachineFiles {
    if (limit === undefined) return files;
    return {
        ...files,
        pour: async (path, take, signal) => {
            if (size <= smallFileBytes) {
                await limit.pass(size, signal);
                return files.pour(path, take, signal);
            }
            const paced = async (chunk: Buffer): Promise<void> => {
                await limit.pass(chunk.length, signal);
                await take(chunk);
            };
            return files.pour(path, paced, signal);
        },
    };
}
