/** Paths of a configuration that was written for another view of the disk, such as a container's. */

import { resolve } from "node:path";

/** Directories as the configuration names them, and where they are on this machine. */
export type PathMap = Readonly<Record<string, string>>;

/** Where an absolute path of the configuration is on this machine. The longest directory that fits counts. */
export function hostPath(path: string, map: PathMap): string {
    const fitting = Object.keys(map).filter((directory) => isWithin(path, directory));
    const [longest] = fitting.sort((a, b) => b.length - a.length);
    if (longest === undefined) return path;
    const rest = path.slice(withoutSlash(longest).length);
    return `${withoutSlash(map[longest] ?? "")}${rest}` || "/";
}

/** Where a file is that a configuration names, be it beside the configuration. */
export function configuredFile(config: { readonly directory: string; readonly paths: PathMap }, path: string): string {
    return hostPath(resolve(config.directory, path), config.paths);
}

function isWithin(path: string, directory: string): boolean {
    const top = withoutSlash(directory);
    return path === top || path.startsWith(`${top}/`);
}

const withoutSlash = (directory: string): string => directory.replace(/\/+$/, "");
