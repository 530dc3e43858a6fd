/** Where programs are found: on a PATH, and where Pulumi keeps its own. Imports nothing of ours, so that whoever is asked may ask. */
import { accessSync, closeSync, constants, openSync, readSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The first executable of that name in the directories of a PATH.
 *
 * @param path  directories separated by colons; empty and relative ones are passed over
 */
export function findOnPath(program: string, path: string): string | undefined {
    return path
        .split(delimiter)
        .filter((directory) => directory.startsWith("/"))
        .map((directory) => join(directory, program))
        .find(isExecutable);
}

/** Whether the path is an executable file that is not empty. */
export function isExecutable(path: string): boolean {
    try {
        accessSync(path, constants.X_OK);
        const status = statSync(path);
        return status.isFile() && status.size > 0;
    } catch {
        return false;
    }
}

/** Whether the file is a script: starts with `#!`. False for a file that cannot be read. */
export function isScript(path: string): boolean {
    try {
        const file = openSync(path, "r");
        try {
            const start = Buffer.alloc(2);
            return readSync(file, start) === 2 && start.toString("latin1") === "#!";
        } finally {
            closeSync(file);
        }
    } catch {
        return false;
    }
}

/** Where Pulumi keeps its versions and plugins: `$PULUMI_HOME`, or `~/.pulumi`. */
export function pulumiHome(environment: Environment): string {
    const home = environment["PULUMI_HOME"];
    return home === undefined || home === "" ? join(homeOf(environment), ".pulumi") : home;
}

/** The home directory that the variables say, or the user's own. */
export function homeOf(environment: Environment): string {
    const home = environment["HOME"];
    return home === undefined || home === "" ? homedir() : home;
}
