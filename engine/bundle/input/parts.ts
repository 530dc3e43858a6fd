/** Finds the files that belong together: the parts of one file, and the numbered archives of one export. Incomplete sets are refused. */
import { readdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { MigrationError } from "../../run/errors.ts";
import { inputStatus } from "./inputFiles.ts";
import { compareSuffixes, follows, isFirst, partName, type PartName } from "./partNames.ts";

/** One file, whole or in parts. */
export interface Artefact {
    /** Without the ending of a part: what the joined file would be called. */
    readonly name: string;
    /** In their order: joined, they are the file. */
    readonly paths: readonly string[];
}

interface Found {
    readonly path: string;
    readonly bytes: number;
    readonly part: PartName | undefined;
}

/**
 * The files at these paths, with parts joined.
 *
 * Parts must be numbered without a gap from the first, all of one size but the last; the archives of an export (`export-part-N.tgz.gpg`)
 * without a gap from 1. **Nothing in the names tells that the last one is missing**: the joined file then ends too early, which its
 * layers tell (SM-E0910, SM-E0925), and an export misses files of its manifest.
 *
 * @param input  a directory, all of whose files are taken; or files, whose parts must be named in their order
 * @returns in the order of their names, numbered archives in the order of their numbers
 * @throws MigrationError SM-E0930 with the parts that are there, SM-E0931
 */
export async function joinedParts(input: string | readonly string[]): Promise<readonly Artefact[]> {
    const given = typeof input === "string" ? await filesAt(input) : input;
    const found = await Promise.all(given.map(look));
    const groups = new Map<string, Found[]>();
    for (const file of found) {
        const whole = join(dirname(file.path), file.part?.whole ?? basename(file.path));
        groups.set(whole, [...(groups.get(whole) ?? []), file]);
    }
    const artefacts = [...groups].map(([whole, files]): Artefact => {
        const ordered = [...files].sort((a, b) => compareSuffixes(a.part?.suffix ?? "", b.part?.suffix ?? ""));
        const problem = partProblem(ordered, files);
        if (problem !== undefined) throw incomplete(whole, problem, ordered);
        return { name: basename(whole), paths: ordered.map(({ path }) => path) };
    });
    return inSeries(artefacts);
}

async function filesAt(path: string): Promise<string[]> {
    if (!(await look(path)).isDirectory) return [path];
    const entries = await readdir(path, { withFileTypes: true });
    return entries
        .filter((entry) => !entry.isDirectory() && !entry.name.startsWith("."))
        .map(({ name }) => join(path, name));
}

async function look(path: string): Promise<Found & { readonly isDirectory: boolean }> {
    const found = await inputStatus(path);
    return { path, bytes: found.size, isDirectory: found.isDirectory(), part: partName(basename(path)) };
}

function partProblem(ordered: readonly Found[], given: readonly Found[]): string | undefined {
    const parts = ordered.flatMap(({ part }) => (part === undefined ? [] : [part.suffix]));
    const [first, ...others] = ordered;
    if (new Set(given.map(({ path }) => path)).size < given.length) return "a file that is named twice";
    if (parts.length === 0) return undefined;
    if (parts.length < ordered.length) return "the whole file beside its parts";
    const empty = ordered.find(({ bytes }) => bytes === 0);
    if (empty !== undefined) return `${basename(empty.path)} is empty`;
    if (!isFirst(parts[0] ?? "")) return `the first part is missing: the lowest is ${parts[0] ?? ""}`;
    for (const [at, suffix] of parts.slice(1).entries()) {
        const before = parts[at] ?? "";
        if (suffix === before || Number(suffix) === Number(before)) return `two parts ${before}`;
        if (!follows(before, suffix)) return `nothing between ${before} and ${suffix}`;
    }
    const odd = others.slice(0, -1).find(({ bytes }) => bytes !== first?.bytes);
    if (odd !== undefined) return `${basename(odd.path)} has ${odd.bytes} bytes, the first part ${first?.bytes ?? 0}`;
    const last = others.at(-1);
    if (last !== undefined && last.bytes > (first?.bytes ?? 0)) return `the last part is larger than the first`;
    return ordered.every((file, at) => file === given[at]) || isSortedByName(given)
        ? undefined
        : "parts that are not named in their order";
}

/** As a directory lists them, or a pattern of the shell. */
function isSortedByName(files: readonly Found[]): boolean {
    return files.every((file, at) => at === 0 || (files[at - 1]?.path ?? "") < file.path);
}

const numbered = /^(.*\bpart[-_]?)(\d+)((?:\.[a-z]\w*)+)$/i;

/** Numbered archives in the order of their numbers, behind the rest. */
function inSeries(artefacts: readonly Artefact[]): Artefact[] {
    const series = new Map<string, { number: number; ending: string; artefact: Artefact }[]>();
    const others: Artefact[] = [];
    for (const artefact of artefacts) {
        const [, base, digits, ending = ""] = numbered.exec(artefact.name) ?? [];
        if (base === undefined) others.push(artefact);
        else {
            const key = join(dirname(artefact.paths[0] ?? ""), base);
            series.set(key, [...(series.get(key) ?? []), { number: Number(digits), ending, artefact }]);
        }
    }
    others.sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const [base, archives] of series) {
        archives.sort((a, b) => a.number - b.number);
        const problem = archives.flatMap(({ number, ending }, at) => {
            if (ending !== archives[0]?.ending) return [`endings ${archives[0]?.ending ?? ""} and ${ending}`];
            if (at > 0 && number === archives[at - 1]?.number) return [`number ${number} twice`];
            return number === at + 1 ? [] : [`no number ${at + 1}`];
        })[0];
        if (problem !== undefined)
            throw incomplete(
                base,
                problem,
                archives.map(({ artefact }) => ({ path: artefact.paths[0] ?? "" })),
            );
        others.push(...archives.map(({ artefact }) => artefact));
    }
    return others;
}

function incomplete(whole: string, found: string, files: readonly { readonly path: string }[]): MigrationError {
    const names = files.map(({ path }) => basename(path)).sort();
    const listed = names.length > 20 ? [...names.slice(0, 19), `and ${names.length - 19} more`] : names;
    return new MigrationError("SM-E0930", {
        where: whole,
        found: `${found}\n${listed.join("\n")}`,
        expected: "each part once, from the first to the last",
    });
}
