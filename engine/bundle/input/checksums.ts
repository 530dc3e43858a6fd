/** Compares the input with the checksum files that lie beside it: what formats without checksums cannot tell of themselves. */
import { createHash } from "node:crypto";
import { stat, readdir, readFile } from "node:fs/promises";
import { basename, dirname, join, normalize } from "node:path";
import { MigrationError } from "../../run/errors.ts";
import { readFiles } from "./inputFiles.ts";
import { partName } from "./partNames.ts";

export interface ChecksumOptions {
    readonly signal?: AbortSignal | undefined;
}

const listName = "SHA256SUMS";
/** A line of `sha256sum`, and of `sha256sum --tag`; with a backslash before it when its name is escaped. */
const line = /^(\\?)([0-9a-f]{64}) [ *](.+)$/i;
const tagged = /^(\\?)SHA256 \((.+)\) = ([0-9a-f]{64})$/i;
const bare = /^[0-9a-f]{64}$/i;
const largestListBytes = 64 * 1024 * 1024;

/** A file, or the parts of one in their order, and what they must hash to. */
interface Expected {
    /** The checksum file that says so. */
    readonly by: string;
    readonly paths: readonly string[];
    readonly sha256: string;
}

/**
 * Looks for `<file>.sha256` and for a `SHA256SUMS` that names the file, both in the file's own directory; for a directory also for a
 * `SHA256SUMS` in it. For parts, also for that of the joined file. Without any of them nothing is read.
 *
 * @param paths  files, the parts of one file in their order, or directories
 * @returns the checksum files that were compared with
 * @throws MigrationError SM-E0932 naming every file that is another, or missing; or a checksum file that cannot be read as one
 */
export async function refuseOtherChecksums(
    paths: readonly string[],
    options: ChecksumOptions = {},
): Promise<readonly string[]> {
    const expected: Expected[] = [];
    for (const path of paths) expected.push(...(await ofOne(path)), ...(await ofList(path)));
    expected.push(...(await ofJoined(paths)));
    const problems: string[] = [];
    for (const { by, paths: files, sha256 } of expected) {
        const name = files.map((file) => basename(file)).join(", ");
        const actual = await digestOf(files, options);
        if (actual === undefined) problems.push(`${name}, which ${by} names, is missing`);
        else if (actual !== sha256) problems.push(`${name} has the SHA-256 ${actual}, and not ${sha256} as ${by} says`);
    }
    if (problems.length > 0)
        throw new MigrationError("SM-E0932", {
            where: paths.join(", "),
            found: problems.slice(0, 5).join("\n") + (problems.length > 5 ? `\nand ${problems.length - 5} more` : ""),
            expected: "the bytes that the checksum was made of",
        });
    return [...new Set(expected.map(({ by }) => by))];
}

/** `<file>.sha256`: with the name of the file, of where it was made, or without any. */
async function ofOne(path: string, files: readonly string[] = [path]): Promise<Expected[]> {
    const by = `${path}.sha256`;
    const text = await textOf(by);
    if (text === undefined || (await isDirectory(path))) return [];
    const lines = text.split("\n").map((each) => each.trimEnd());
    const entries = lines.flatMap((each) => entryOf(each) ?? (bare.test(each) ? [{ name: path, sha256: each }] : []));
    const named = entries.filter(({ name }) => basename(name) === basename(path));
    // A single checksum is the file's whatever it is called: files are renamed when they are downloaded.
    const [only, ...others] = named.length > 0 ? named : entries;
    if (only === undefined || others.length > 0)
        throw unreadable(by, `${entries.length} checksums of ${basename(path)}`);
    return [{ by, paths: files, sha256: only.sha256.toLowerCase() }];
}

async function ofJoined(paths: readonly string[]): Promise<Expected[]> {
    const [first] = paths;
    const whole = first === undefined ? undefined : partName(basename(first))?.whole;
    if (first === undefined || whole === undefined) return [];
    const isOne = paths.every((path) => partName(basename(path))?.whole === whole && dirname(path) === dirname(first));
    return isOne ? ofOne(join(dirname(first), whole), paths) : [];
}

/** Entries of `SHA256SUMS` beside the path, and in it, that are of the path or below it. */
async function ofList(path: string): Promise<Expected[]> {
    const here = normalize(path).replace(/\/+$/, "");
    const lists = [dirname(here), ...((await isDirectory(here)) ? [here] : [])];
    const found: Expected[] = [];
    for (const directory of lists) {
        const by = join(directory, listName);
        for (const each of ((await textOf(by)) ?? "").split("\n").map((text) => text.trimEnd())) {
            const entry = entryOf(each);
            if (entry === undefined && directory !== here && mentions(each, basename(here)))
                throw unreadable(by, `the line ${JSON.stringify(each.slice(0, 200))}`);
            if (entry === undefined) continue;
            // Of a list that was made elsewhere with whole paths, the names are of use.
            const file = join(directory, entry.name.startsWith("/") ? basename(entry.name) : entry.name);
            if (file !== here && !file.startsWith(`${here}/`)) continue;
            found.push({ by, paths: [file], sha256: entry.sha256.toLowerCase() });
        }
        if (found.length > 0) await refuseUnlisted(by, here, found);
    }
    return found;
}

/** A list of a directory that names some of its files, and not all of them, does not say that the rest is as it was. */
async function refuseUnlisted(by: string, directory: string, found: readonly Expected[]): Promise<void> {
    if (!(await isDirectory(directory))) return;
    const listed = new Set(found.flatMap(({ paths }) => paths));
    const entries = await readdir(directory, { recursive: true, withFileTypes: true });
    const others = entries
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name))
        .filter((file) => basename(file) !== listName && !listed.has(file));
    if (others.length > 0) throw unreadable(by, `no checksum of ${others.slice(0, 3).join(", ")}`);
}

function entryOf(text: string): { readonly name: string; readonly sha256: string } | undefined {
    const [, escape, sha256, name] = line.exec(text) ?? [];
    const [, tagEscape, tagName, tagSha256] = tagged.exec(text) ?? [];
    if (sha256 !== undefined && name !== undefined) return { name: unescaped(name, escape), sha256 };
    if (tagSha256 !== undefined && tagName !== undefined)
        return { name: unescaped(tagName, tagEscape), sha256: tagSha256 };
    return undefined;
}

function unescaped(name: string, escape: string | undefined): string {
    const characters: Readonly<Record<string, string>> = { n: "\n", r: "\r", "\\": "\\" };
    return escape === "\\" ? name.replace(/\\([nr\\])/g, (_, letter: string) => characters[letter] ?? letter) : name;
}

function mentions(text: string, name: string): boolean {
    return !text.startsWith("#") && text.endsWith(name) && !/[\w.-]/.test(text.at(-name.length - 1) ?? " ");
}

async function textOf(path: string): Promise<string | undefined> {
    const found = await stat(path).catch(() => undefined);
    if (found === undefined || found.isDirectory()) return undefined;
    if (found.size > largestListBytes) throw unreadable(path, `${found.size} bytes`);
    return readFile(path, "utf8");
}

async function isDirectory(path: string): Promise<boolean> {
    return (await stat(path).catch(() => undefined))?.isDirectory() ?? false;
}

async function digestOf(paths: readonly string[], { signal }: ChecksumOptions): Promise<string | undefined> {
    for (const path of paths) if ((await stat(path).catch(() => undefined)) === undefined) return undefined;
    const hash = createHash("sha256");
    for await (const chunk of readFiles(paths, [], { signal })) hash.update(chunk);
    return hash.digest("hex");
}

function unreadable(where: string, found: string): MigrationError {
    return new MigrationError("SM-E0932", { where, found, expected: "what `sha256sum` writes" });
}
