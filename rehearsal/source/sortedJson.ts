/** Canonical JSON (Matrix specification, appendices) of the rehearsal's own: what checks the program does not use its code. */

/** Keys sorted by code point, no white space, UTF-8. Members that are undefined are left out. */
export function sortedJson(value: unknown): string {
    if (Array.isArray(value)) return `[${value.map(sortedJson).join(",")}]`;
    if (typeof value !== "object" || value === null) return JSON.stringify(value);
    const members = Object.entries(value)
        .filter(([, member]) => member !== undefined)
        .sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
        .map(([name, member]) => `${JSON.stringify(name)}:${sortedJson(member)}`);
    return `{${members.join(",")}}`;
}
