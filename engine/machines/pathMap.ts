/** Paths that were written for another view of the disk, such as a container's. Pure. */

/** Directories and files as that view names them, and where they are on the machine. */
export type PathMap = Readonly<Record<string, string>>;

/** Where an absolute path is on the machine. The longest directory that fits counts. */
export function hostPath(path: string, map: PathMap): string {
    const fitting = Object.keys(map).filter((directory) => isWithin(path, directory));
    const [longest] = fitting.sort((a, b) => b.length - a.length);
    if (longest === undefined) return path;
    const rest = path.slice(withoutSlash(longest).length);
    return `${withoutSlash(map[longest] ?? "")}${rest}` || "/";
}

/**
 * Stands for the root of a container where nothing of the machine is mounted: in its image, or written by itself and gone with it. There is no
 * such directory on any machine, so that no file of the machine is taken for the container's.
 */
const inside = "/.inside-of-container/";

export const insideOf = (container: string): string => `${inside}${container}`;

/** The path as the container has it, where it is in no mount. */
export function pathInside(path: string): { container: string; path: string } | undefined {
    const [, container, rest] = /^([^/]+)(\/.*)?$/.exec(path.startsWith(inside) ? path.slice(inside.length) : "") ?? [];
    return container === undefined ? undefined : { container, path: rest ?? "/" };
}

function isWithin(path: string, directory: string): boolean {
    const top = withoutSlash(directory);
    return path === top || path.startsWith(`${top}/`);
}

const withoutSlash = (directory: string): string => directory.replace(/\/+$/, "");
