/** The files a configuration refers to that Synapse needs beside it: where they are named, and where they go on the target. */
import { basename, join } from "node:path";
import { pathSettings } from "./movedSettings.ts";
import { changeAt, type Change } from "./configTree.ts";

/** A file or directory of the source and its place on the target. */
export interface FileCopy {
    readonly setting: string;
    readonly from: string;
    readonly to: string;
}

/**
 * Points the settings to copies below a directory. Where two files of one setting have the same name, they get numbers.
 *
 * @param placeOf  where a path that is written there is
 * @returns the sections with absolute paths of the copies, and the copies to make
 */
export function relocateFiles(
    sections: Readonly<Record<string, unknown>>,
    placeOf: (path: string) => string,
    filesDirectory: string,
): { readonly sections: Readonly<Record<string, unknown>>; readonly copies: readonly FileCopy[] } {
    const copies: FileCopy[] = [];
    let relocated = sections;
    for (const setting of pathSettings) {
        const place = (path: string): string => {
            const from = placeOf(path);
            const to = freeName(join(filesDirectory, setting, basename(from)), copies);
            copies.push({ setting, from, to });
            return to;
        };
        const move: Change = (value) => {
            if (typeof value === "string" && value !== "") return place(value);
            return Array.isArray(value)
                ? value.map((path: unknown) => (typeof path === "string" ? place(path) : path))
                : value;
        };
        relocated = changeAt(relocated, setting.split("."), move);
    }
    return { sections: relocated, copies };
}

function freeName(wanted: string, copies: readonly FileCopy[]): string {
    const taken = new Set(copies.map(({ to }) => to));
    for (let number = 1; ; number += 1) {
        const name = number === 1 ? wanted : `${wanted}.${number}`;
        if (!taken.has(name)) return name;
    }
}
