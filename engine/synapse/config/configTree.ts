/** Changes one place of a configuration's tree and leaves the rest as it is. */

/** The new value, or undefined to remove the setting. */
export type Change = (value: unknown) => unknown;

export function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
    return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

/**
 * Applies the change where the path leads, through every element of lists on the way. A path that leads nowhere changes nothing.
 */
export function changeAt(
    tree: Readonly<Record<string, unknown>>,
    path: readonly string[],
    change: Change,
): Readonly<Record<string, unknown>> {
    const [key, ...rest] = path;
    if (key === undefined || !(key in tree)) return tree;
    const value = rest.length === 0 ? change(tree[key]) : descend(tree[key], rest, change);
    return value === undefined ? without(tree, (name) => name === key) : { ...tree, [key]: value };
}

function descend(value: unknown, path: readonly string[], change: Change): unknown {
    if (Array.isArray(value)) return value.map((element: unknown) => descend(element, path, change));
    return isMapping(value) ? changeAt(value, path, change) : value;
}

/** The mapping without those keys. */
export function without(
    tree: Readonly<Record<string, unknown>>,
    keys: (key: string) => boolean,
): Readonly<Record<string, unknown>> {
    return Object.fromEntries(Object.entries(tree).filter(([key]) => !keys(key)));
}
