/** Checks an unpacked matrix-media-repo archive offline: what its manifest promises against what is there. */
import { lstat, readFile } from "node:fs/promises";
import { MigrationError, throwAll } from "../../run/errors.ts";
import { hashFile } from "../copyFile.ts";
import { inOrder } from "../inOrder.ts";
import { isStoreName } from "../layout.ts";
import { filesAtOnce } from "../treeDigest.ts";
import { listArchiveFiles, type ArchiveFiles } from "./archiveFiles.ts";
import { addressOf, parseManifest, type Manifest } from "./archiveManifest.ts";
import {
    describeListed,
    newListed,
    note,
    oneByOne,
    serverOfUser,
    type ArchivedMedia,
    type FilesDone,
    type MediaArchive,
} from "./mediaArchive.ts";

export interface CheckMediaArchiveOptions {
    /** The homeserver that moves. */
    readonly serverName: string;
    readonly signal?: AbortSignal;
    readonly onProgress?: FilesDone;
}

/** Node.js cannot hold longer text; enough for more than a million media. */
const largestManifestBytes = 500_000_000;
/** The page that shows the archive to people. */
const pageNames: readonly string[] = ["index.html"];

/**
 * Reads every file of the archive once and uses none of it before all of it is known to be right. matrix-media-repo's importer passes over
 * most of what is refused here without a word, and its `-verify` reads no file.
 *
 * @param directory  where all parts of one archive were unpacked to; folders in it may hold the parts
 * @throws MigrationError SM-E0960 when there is not exactly one readable manifest with media, SM-E0961 when entries are not of this
 *     homeserver or contradict themselves, SM-E0962 when files are missing, altered or have names that lead elsewhere
 */
export async function checkMediaArchive(directory: string, options: CheckMediaArchiveOptions): Promise<MediaArchive> {
    const files = await listArchiveFiles(directory);
    const path = onlyManifest(directory, files);
    const manifest = parseManifest(await readManifest(path), path);
    throwAll([...inconsistencies(manifest, options.serverName, path), ...unsafeNames(manifest, path)]);
    const items = await presentItems(directory, manifest, files);
    await requireContent(directory, items, options);
    const named = new Set(manifest.entries.map(({ fileName }) => fileName));
    const unlisted = newListed();
    for (const name of files.byName.keys()) if (!named.has(name) && !pageNames.includes(name)) note(unlisted, name);
    return {
        version: manifest.version,
        entityId: manifest.entityId,
        items,
        bytes: items.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
        unlisted,
    };
}

function onlyManifest(directory: string, { manifests, packed, byName }: ArchiveFiles): string {
    const [path, ...more] = manifests;
    if (path !== undefined && more.length === 0) return path;
    const others =
        packed.length > 0 ? `, ${packed.length} parts that are not unpacked` : `, ${byName.size} other files`;
    throw new MigrationError("SM-E0960", {
        where: directory,
        found:
            path === undefined ? `no manifest.json${others}` : `${manifests.length} manifests: ${manifests.join(", ")}`,
        expected: "all parts of one archive, the one with manifest.json (export-manifest.tgz) among them",
    });
}

async function readManifest(path: string): Promise<string> {
    const { size } = await lstat(path);
    if (size <= largestManifestBytes) return readFile(path, "utf8");
    throw new MigrationError("SM-E0960", {
        where: path,
        found: `a manifest of ${size} bytes`,
        expected: `at most ${largestManifestBytes} bytes`,
    });
}

/** Everything that makes matrix-media-repo's importer pass over an entry, or give it to somebody else. */
function inconsistencies({ entityId, entries }: Manifest, serverName: string, where: string): MigrationError[] {
    const wrong = {
        origin: newListed(),
        address: newListed(),
        uploader: newListed(),
        otherUser: newListed(),
        shared: newListed(),
        text: newListed(),
    };
    const fileNames = new Set<string>();
    const isUser = entityId.startsWith("@");
    for (const { address, fileName, media } of entries) {
        if (media.origin !== serverName) note(wrong.origin, address);
        if (address !== addressOf(media)) note(wrong.address, address);
        const { uploader } = media;
        if (uploader !== undefined && serverOfUser(uploader) !== media.origin)
            note(wrong.uploader, `${address} of ${uploader}`);
        if (isUser && uploader !== entityId) note(wrong.otherUser, address);
        if (fileNames.has(fileName)) note(wrong.shared, fileName);
        fileNames.add(fileName);
        if ([media.uploadName, media.contentType, uploader].some((value) => value?.includes("\0")))
            note(wrong.text, address);
    }
    const reasons = {
        origin: `of another server than ${serverName}`,
        address: "whose address is not made of their origin and media id",
        uploader: "whose uploader is no user of their origin",
        otherUser: `that are not of ${entityId}, whose media the archive holds`,
        shared: "whose file is also another one's",
        text: "with a NUL character in their texts",
    } satisfies Record<keyof typeof wrong, string>;
    const kinds = ["origin", "address", "uploader", "otherUser", "shared", "text"] as const;
    const found = kinds
        .filter((kind) => wrong[kind].count > 0)
        .map((kind) => describeListed(wrong[kind], reasons[kind]));
    const entityServer = isUser ? serverOfUser(entityId) : entityId;
    if (entityServer !== serverName) found.unshift(`the archive is of ${entityId}`);
    if (found.length === 0) return [];
    return [
        new MigrationError("SM-E0961", {
            where,
            found: `${entries.length} entries, among them\n${found.join("\n")}`,
            expected: `media of ${serverName} alone`,
        }),
    ];
}

/** Names of files and media ids become paths. */
function unsafeNames({ entries }: Manifest, where: string): MigrationError[] {
    const unsafe = newListed();
    for (const { mediaId } of entries.map(({ media }) => media)) if (!isStoreName(mediaId)) note(unsafe, mediaId);
    for (const { fileName } of entries) if (!isPlainName(fileName)) note(unsafe, fileName);
    if (unsafe.count === 0) return [];
    return [
        new MigrationError("SM-E0962", {
            where,
            found: describeListed(unsafe, "media ids or file names that are no plain names"),
            expected: "names without slashes and control characters that lead nowhere else",
        }),
    ];
}

function isPlainName(name: string): boolean {
    // eslint-disable-next-line no-control-regex
    return name !== "" && name !== "." && name !== ".." && !/[/\\\u0000-\u001f\u007f]/.test(name);
}

/** Finds the file of each entry; sizes first, because they cost nothing. */
async function presentItems(directory: string, { entries }: Manifest, files: ArchiveFiles): Promise<ArchivedMedia[]> {
    const wrong = { missing: newListed(), inBucket: newListed(), resized: newListed(), repeated: newListed() };
    const items: ArchivedMedia[] = [];
    for (const { fileName, inBucket, media } of entries) {
        const path = files.byName.get(fileName);
        const size = path === undefined ? undefined : (await lstat(path)).size;
        if (path === undefined || size === undefined) note(inBucket ? wrong.inBucket : wrong.missing, fileName);
        else if (files.repeated.has(fileName)) note(wrong.repeated, fileName);
        else if (size !== media.sizeBytes) note(wrong.resized, `${fileName}: ${size} of ${media.sizeBytes} bytes`);
        else items.push({ ...media, path });
    }
    refuseFiles(directory, entries.length, [
        [wrong.missing, "without a file"],
        [wrong.inBucket, "whose content is in a bucket only"],
        [wrong.repeated, "that are in the archive more than once"],
        [wrong.resized, "with files of another size"],
        [files.special, "links or special files in the archive"],
    ]);
    return items;
}

async function requireContent(
    directory: string,
    items: readonly ArchivedMedia[],
    { signal, onProgress }: CheckMediaArchiveOptions,
): Promise<void> {
    const altered = newListed();
    let [files, bytes] = [0, 0];
    const work = async (item: ArchivedMedia) => ({ item, content: await hashFile(item.path, signal) });
    for await (const { item, content } of inOrder(oneByOne(items), filesAtOnce, work)) {
        if (content.sha256 !== item.sha256 || content.size !== item.sizeBytes) note(altered, item.mediaId);
        files++;
        bytes += content.size;
        onProgress?.({ files, bytes });
    }
    refuseFiles(directory, items.length, [[altered, "with another SHA-256"]]);
}

function refuseFiles(
    where: string,
    entries: number,
    problems: readonly (readonly [ReturnType<typeof newListed>, string])[],
): void {
    const found = problems.filter(([list]) => list.count > 0).map(([list, what]) => describeListed(list, what));
    if (found.length === 0) return;
    throw new MigrationError("SM-E0962", {
        where,
        found: `of ${entries} media\n${found.join("\n")}`,
        expected: "every file that the manifest names, as it says",
        fix: "are all parts of the archive there, and whole? Ask for the export again, or for its missing parts",
    });
}
