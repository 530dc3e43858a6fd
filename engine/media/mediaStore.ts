/** A media store as a whole: where it is. */
import type { Machine } from "../machines/machine.ts";
import { placeOn } from "../machines/placeOn.ts";
import { MigrationError } from "../run/errors.ts";

/** On whichever machine. */
export interface MediaStore {
    readonly machine: Machine;
    /** As {@link storeRoot} gives it. */
    readonly root: string;
}

/**
 * The real path of a media store. The store itself may be a link; links in it must stay in it.
 *
 * @throws MigrationError SM-E0963 when it is missing or no directory
 */
export async function storeRoot(machine: Machine, directory: string): Promise<string> {
    const refuse = (found: string, cause?: unknown): MigrationError => {
        const expected = "the directory of a media store";
        return new MigrationError("SM-E0963", { where: placeOn(machine, directory), found, expected, cause });
    };
    const read = async <T>(look: () => Promise<T | undefined>): Promise<T> => {
        const found = await look().catch((error: unknown) => {
            if (error instanceof MigrationError) throw error;
            throw refuse(`it cannot be read: ${reason(error)}`, error);
        });
        if (found === undefined) throw refuse("it is not there");
        return found;
    };
    const { kind } = await read(() => machine.files.stat(directory));
    if (kind !== "directory") throw refuse("it is not a directory");
    return read(() => machine.files.realpath(directory));
}

function reason(error: unknown): string {
    return error instanceof Error ? error.message : String(error);
}
