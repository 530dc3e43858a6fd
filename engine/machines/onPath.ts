/** Whether a program can be run here. */
import { constants } from "node:fs";
import { delimiter, join } from "node:path";
import { exists } from "../run/exists.ts";

/** @param path  directories as in `PATH` */
export async function isOnPath(program: string, path = process.env.PATH ?? ""): Promise<boolean> {
    for (const directory of path.split(delimiter)) {
        if (directory !== "" && (await exists(join(directory, program), constants.X_OK))) return true;
    }
    return false;
}
