/** What differs between the specification a step was done with and the one it is asked with now. Pure. */

/** Paths of values: `source.homeserverConfig.0`, without the run, which says who is meant and not what is done. */
type Leaves = ReadonlyMap<string, string>;

export interface SpecChanges {
    /** Paths whose value is another one. */
    readonly other: readonly string[];
    /** Paths that only one of the two has: a setting that was added or taken away, or a program of another version that says more. */
    readonly oneSided: readonly string[];
}

/**
 * @param before, after  specifications without their secrets
 * @param passedOver  stands where a secret was: those are compared by their digest
 */
export function specChanges(before: unknown, after: unknown, passedOver?: string): SpecChanges {
    const [was, is] = [leavesOf(before, passedOver), leavesOf(after, passedOver)];
    const paths = [...new Set([...was.keys(), ...is.keys()])].sort();
    const oneSided = paths.filter((path) => was.has(path) !== is.has(path));
    return { other: paths.filter((path) => !oneSided.includes(path) && was.get(path) !== is.get(path)), oneSided };
}

function leavesOf(spec: unknown, passedOver: string | undefined): Leaves {
    const leaves = new Map<string, string>();
    const visit = (value: unknown, path: string): void => {
        if (path === "run" || value === undefined || value === passedOver) return;
        const members = typeof value === "object" && value !== null ? Object.entries(value) : [];
        if (members.length === 0) leaves.set(path, JSON.stringify(value));
        for (const [name, member] of members) visit(member, path === "" ? name : `${path}.${name}`);
    };
    visit(spec, "");
    return leaves;
}
