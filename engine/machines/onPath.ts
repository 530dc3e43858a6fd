/** Whether a program can be run here. */
import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { delimiter, join } from "node:path";

/** @param path  directories as in `PATH` */
export async function isOnPath(program: string, path = process.env.PATH ?? ""): Promise<boolean> {
    for (const directory of path.split(delimiter)) {
        if (directory === "") continue;
        const found = await access(join(directory, program), constants.X_OK).then(
            () => true,
            () => false,
        );
        if (found) return true;
    }
    return false;
}
