/** How `split` and others number the parts of a file. */

/** A part's name: what it is a part of, and its number as written. */
export interface PartName {
    readonly whole: string;
    readonly suffix: string;
}

/** `x.part-aa` as the guides have `split` write it, `x.part01` and `x.001`. */
const patterns = [
    /^(.+)\.part[-_.]([a-z]{2,})$/,
    /^(.+)\.part([a-z]{2})$/,
    /^(.+)\.part[-_.]?(\d+)$/,
    /^(.+)\.(\d{3})$/,
];

/** Undefined for what is no part. */
export function partName(name: string): PartName | undefined {
    for (const pattern of patterns) {
        const [, whole, suffix] = pattern.exec(name) ?? [];
        if (whole !== undefined && suffix !== undefined) return { whole, suffix };
    }
    return undefined;
}

/** In the order in which `split` writes them: when it takes longer letters they sort behind, and longer numbers are larger. */
export function compareSuffixes(a: string, b: string): number {
    if (/^\d+$/.test(a) && /^\d+$/.test(b)) return Number(a) - Number(b);
    return a < b ? -1 : a > b ? 1 : 0;
}

export function isFirst(suffix: string): boolean {
    return /^a+$/.test(suffix) || /^0*[01]$/.test(suffix);
}

/**
 * Whether one suffix directly follows the other: counted up in the same length, or, with GNU split, with two more letters once the last
 * but one first letter is used up (`yz`, `zaaa`; `89`, `9000`).
 */
export function follows(suffix: string, next: string): boolean {
    const [zero, last] = /^\d/.test(suffix) ? ["0", "9"] : ["a", "z"];
    return next === counted(suffix, zero, last) || next === extended(suffix, zero, last);
}

function counted(suffix: string, zero: string, last: string): string {
    const tail = new RegExp(`${last}*$`).exec(suffix)?.[0].length ?? 0;
    const at = suffix.length - tail - 1;
    // Numbers grow by a digit: 9, 10.
    if (at < 0) return zero === "0" ? `1${zero.repeat(tail)}` : "";
    const up = String.fromCharCode(suffix.charCodeAt(at) + 1);
    return suffix.slice(0, at) + up + zero.repeat(tail);
}

function extended(suffix: string, zero: string, last: string): string | undefined {
    const before = String.fromCharCode(last.charCodeAt(0) - 1);
    const [, head = "", tail = ""] = new RegExp(`^(${last}*)${before}(${last}+)$`).exec(suffix) ?? [];
    return tail.length === head.length + 1 && tail !== ""
        ? last.repeat(tail.length) + zero.repeat(tail.length + 2)
        : undefined;
}

/** The suffix of part n, counted from 0, as `split` chooses it: `aa` to `yz`, `zaaa` to `zyzz`, and so on. */
export function suffixOf(n: number): string {
    let [rest, level] = [n, 0];
    for (let size = 25 * 26; rest >= size; size *= 26) {
        rest -= size;
        level++;
    }
    const length = level + 2;
    let letters = "";
    for (let at = 0; at < length; at++) {
        letters = String.fromCharCode(97 + (rest % 26)) + letters;
        rest = Math.floor(rest / 26);
    }
    return "z".repeat(level) + letters;
}
