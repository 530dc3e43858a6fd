/** Whether a file is there: of any kind, and links are followed. */
import { access, constants } from "node:fs/promises";

/**
 * @param mode  what we must be allowed to do with it, `constants.X_OK` for example; nothing when absent
 * @returns false also where we may not look
 */
export async function exists(path: string, mode = constants.F_OK): Promise<boolean> {
    return access(path, mode).then(
        () => true,
        () => false,
    );
}
