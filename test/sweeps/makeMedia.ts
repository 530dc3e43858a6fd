/** The media that are swept: a store in archives, and what matrix-media-repo exports. */
import { createCipheriv, createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Readable } from "node:stream";
import { ArchiveParts } from "../../engine/media/mediaRepoArchive/archiveParts.ts";
import { localContentPath, localFolders, localThumbnailPath } from "../../engine/media/layout.ts";
import { newScanNotes } from "../../engine/media/scan.ts";
import { hashedFiles, TreeDigest } from "../../engine/media/treeDigest.ts";
import { gpgSymmetric, run } from "../engine/bundle/fixtures.ts";
import { entryOf } from "../engine/media/mediaRepoArchive/fixtures.ts";
import type { Artefact } from "./artefact.ts";
import { evenly, type Damage } from "./damages.ts";
import { fileOf, gzip } from "./makeDumps.ts";
import { mediaItems, readMediaArchive, readStore, type StoreRows } from "./readers.ts";
import { serverName, type SourceDatabase } from "./sourceDatabase.ts";

const parts = 64;
const mediaCount = 24;
/** Of a part before compression: four parts, and the manifest's. */
const partBytes = 64 * 1024;

/** Bytes that do not compress, the same in every sweep. */
function contentOf(n: number): Buffer {
    const key = createHash("sha256").update(`media ${n}`).digest();
    return createCipheriv("aes-256-ctr", key, Buffer.alloc(16)).update(Buffer.alloc(4000 + n * 500));
}

const mediaIdOf = (n: number): string => createHash("sha256").update(`id ${n}`).digest("hex").slice(0, 24);

export async function makeStores(source: SourceDatabase): Promise<Artefact[]> {
    const { directory } = source;
    const parent = await mkdtemp(join(directory, "store-"));
    const store = join(parent, "media_store");
    const rows = await fillStore(store);
    const tar = run("tar", ["-cf", "-", "media_store"], { cwd: parent });
    const kinds = [
        ["media store .tar", "media.tar", tar],
        ["media store .tar.gz", "media.tar.gz", gzip(tar)],
        ["media store .tar.gz.gpg", "media.tar.gz.gpg", gpgSymmetric(gzip(tar), directory)],
    ] as const;
    const made: Artefact[] = [];
    for (const [name, file, content] of kinds)
        made.push({
            name,
            directory: await fileOf(directory, file, content),
            damages: evenly(file, content.length, parts),
            read: (damaged, work) => readStore(join(damaged, file), work, rows),
        });
    return made;
}

export async function makeMediaArchives(source: SourceDatabase): Promise<Artefact[]> {
    const { directory } = source;
    const plain = await mkdtemp(join(directory, "artefact-"));
    await writeParts(plain);
    const encrypted = await mkdtemp(join(directory, "artefact-"));
    for (const name of await readdir(plain))
        await writeFile(join(encrypted, `${name}.gpg`), gpgSymmetric(await readFile(join(plain, name)), directory));
    return [
        await mediaArchive("media export .tgz", plain, directory),
        await mediaArchive("media export .tgz.gpg", encrypted, directory),
    ];
}

async function mediaArchive(name: string, at: string, directory: string): Promise<Artefact> {
    const members = (await readdir(at)).sort();
    const inputs = (where: string, present: readonly string[]): string[] =>
        present
            .filter((member) => /\.tgz/.test(member) && !member.endsWith(".sha256"))
            .map((member) => join(where, member));
    const whole = await mediaItems(inputs(at, members), await mkdtemp(join(directory, "work-")));
    const damages: Damage[] = [];
    for (const member of members) {
        const { size } = await stat(join(at, member));
        damages.push(...evenly(member, size, parts / 4), { member, kind: "missing", at: 0 });
    }
    return {
        name,
        directory: at,
        damages,
        read: async (damaged, work) => readMediaArchive(inputs(damaged, (await readdir(damaged)).sort()), work, whole),
    };
}

async function fillStore(store: string): Promise<StoreRows> {
    const media: { mediaId: string; length: number; sha256: string }[] = [];
    const thumbnails: {
        mediaId: string;
        width: number;
        height: number;
        type: string;
        method: string;
        length: number;
    }[] = [];
    const write = async (path: string | undefined, content: Buffer): Promise<void> => {
        if (path === undefined) throw new Error("a media id that is no file name");
        await mkdir(dirname(join(store, path)), { recursive: true });
        await writeFile(join(store, path), content);
    };
    for (let n = 0; n < mediaCount; n++) {
        const [mediaId, content] = [mediaIdOf(n), contentOf(n)];
        media.push({ mediaId, length: content.length, sha256: createHash("sha256").update(content).digest("hex") });
        await write(localContentPath(mediaId), content);
        if (n % 4 !== 0) continue;
        const thumbnail = { mediaId, width: 96, height: 96, type: "image/png", method: "crop" };
        thumbnails.push({ ...thumbnail, length: 2000 });
        await write(localThumbnailPath(thumbnail), content.subarray(0, 2000));
    }
    const digest = new TreeDigest();
    for await (const file of hashedFiles(store, localFolders, newScanNotes())) digest.add(file);
    return { media, thumbnails, digest: digest.value() };
}

async function writeParts(directory: string): Promise<void> {
    const archive = new ArchiveParts(directory, partBytes, undefined);
    const mtime = 1_700_000_000_000;
    const entries: Record<string, unknown> = {};
    for (let n = 0; n < mediaCount; n++) {
        const content = contentOf(n);
        const entry = entryOf(mediaIdOf(n), content, { content_type: "application/octet-stream" });
        entries[`mxc://${serverName}/${mediaIdOf(n)}`] = entry;
        const name = String(entry["file_name"]);
        await archive.add({ name, sizeBytes: content.length, mtime, content: Readable.from([content]) });
    }
    const text = JSON.stringify({ version: 2, entity_id: serverName, created_ts: mtime, media: entries });
    const content = Buffer.from(text);
    await archive.finish({
        name: "manifest.json",
        sizeBytes: content.length,
        mtime,
        content: Readable.from([content]),
    });
}
