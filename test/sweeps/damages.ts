/** Where an artefact is damaged, and how: bits that flip, files that are cut off, files that are missing. */

export interface Damage {
    /** Name of the file in the artefact. */
    readonly member: string;
    readonly kind: "flip" | "cut" | "missing";
    /** Of the flipped byte, or the bytes that are left. */
    readonly at: number;
}

/** A bit in each of the parts, and a cut behind each of them; the first and last bytes besides, which formats are told and closed by. */
export function evenly(member: string, bytes: number, parts: number): Damage[] {
    const flips = Array.from({ length: parts }, (_, part) => Math.floor((bytes * (part + 0.5)) / parts));
    const cuts = Array.from({ length: parts - 1 }, (_, part) => Math.floor((bytes * (part + 1)) / parts));
    const edges = parts < 8 ? [] : [0, 1, 2, 3, bytes - 1];
    const ends = parts < 8 ? [] : [0, bytes - 8, bytes - 3, bytes - 2, bytes - 1];
    return [
        ...within([...flips, ...edges], 0, bytes).map((at): Damage => ({ member, kind: "flip", at })),
        ...within([...cuts, ...ends], 0, bytes).map((at): Damage => ({ member, kind: "cut", at })),
    ];
}

/** Cuts behind each of these newlines: those before a COPY, behind it, behind its first and last rows, `\.`, and the two lines after it. */
export function newlinesNearCopies(member: string, dump: Buffer): Damage[] {
    const places: number[] = [];
    for (let begin = dump.indexOf("\nCOPY "); begin >= 0; begin = dump.indexOf("\nCOPY ", begin + 1)) {
        const rows = dump.indexOf("\n", begin + 1);
        const end = dump.indexOf("\n\\.\n", rows - 1);
        if (rows < 0 || end < 0) break;
        const lastRow = dump.lastIndexOf("\n", end - 1);
        const behind = [begin, rows, dump.indexOf("\n", rows + 1), lastRow, end, end + 3, end + 4];
        places.push(...behind.map((at) => at + 1), end);
    }
    return within(places, 1, dump.length).map((at) => ({ member, kind: "cut", at }));
}

/** Undefined for a file that is not there any more. */
export function damaged(whole: Buffer, { kind, at }: Damage): Buffer | undefined {
    if (kind === "missing") return undefined;
    if (kind === "cut") return whole.subarray(0, at);
    const flipped = Buffer.from(whole);
    flipped.writeUInt8(flipped.readUInt8(at) ^ (1 << (at % 8)), at);
    return flipped;
}

export function describeDamage({ member, kind, at }: Damage): string {
    if (kind === "missing") return `${member} is missing`;
    return kind === "cut" ? `${member} cut to ${at} bytes` : `${member} bit ${at % 8} of byte ${at} flipped`;
}

function within(places: readonly number[], from: number, end: number): number[] {
    return [...new Set(places)].filter((at) => at >= from && at < end).sort((a, b) => a - b);
}
