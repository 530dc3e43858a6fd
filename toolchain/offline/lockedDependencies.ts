/** What a Node program depends on, with the versions that its lock file has: what `pulumi about` and the engine's records show. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { z } from "zod";
import type { Dependency } from "./requiredPackages.ts";

const [npmLock, yarnLock] = ["package-lock.json", "yarn.lock"];

const versions = z.record(z.string(), z.looseObject({ version: z.string().optional() }));
/** `packages` since npm 7, by the path in the tree; `dependencies` before, by name. */
const lockFile = z.looseObject({ packages: versions.optional(), dependencies: versions.optional() });
const direct = z.record(z.string(), z.string()).default({});
const manifest = z.looseObject({ dependencies: direct, devDependencies: direct });

/**
 * The direct dependencies, those for development included, from the nearest lock file at or above the program.
 *
 * The official host has npm, or yarn, read it. Here package-lock.json is read, and a yarn.lock, which the official host prefers, is refused.
 *
 * @param programDirectory  absolute path
 * @throws Error in the official host's words when there is no lock file; the engine shows it as a warning
 */
export function lockedDependencies(programDirectory: string): Dependency[] {
    const root = nearest(programDirectory, (directory) =>
        [yarnLock, npmLock].some((name) => existsSync(join(directory, name))),
    );
    if (root === undefined)
        throw new Error(`no ${npmLock} or ${yarnLock} file found (searching upwards from ${programDirectory})`);
    if (existsSync(join(root, yarnLock)))
        throw new Error(`the stand-in for the language host reads ${npmLock}, not ${join(root, yarnLock)}`);
    const { packages, dependencies = {} } = lockFile.parse(read(join(root, npmLock)));
    const project = manifest.parse(read(join(root, "package.json")));
    return Object.keys({ ...project.dependencies, ...project.devDependencies }).flatMap((name) => {
        const locked = packages === undefined ? dependencies[name] : packages[`node_modules/${name}`];
        return locked?.version === undefined ? [] : [{ name, version: locked.version }];
    });
}

const read = (path: string): unknown => JSON.parse(readFileSync(path, "utf8"));

function nearest(directory: string, isIt: (directory: string) => boolean): string | undefined {
    if (isIt(directory)) return directory;
    const parent = dirname(directory);
    return parent === directory ? undefined : nearest(parent, isIt);
}
