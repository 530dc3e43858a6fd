/** Reads the media of a bundle as their receiver will, and compares them with what was written. */
import { gunzip } from "../bundle/archives/gunzip.ts";
import { tarEntries } from "../bundle/archives/tarEntries.ts";
import { ByteReader, type Bytes } from "../bundle/streams/byteReader.ts";
import type { MediaSection } from "../bundle/write/bundleManifest.ts";
import { mediaBackupFolder, mediaExportFolder } from "../bundle/write/bundleNames.ts";
import { hashed, readThrough, type Hashed, type ReadBackOptions } from "../bundle/write/readBack.ts";
import { parseManifest } from "./mediaRepoArchive/archiveManifest.ts";
import { TreeDigest } from "./treeDigest.ts";

/** The archives inside of the archive, each file of them against matrix-media-repo's manifest. */
export async function compareMediaExport(
    section: MediaSection["export"],
    serverName: string,
    options: ReadBackOptions,
): Promise<string[]> {
    const { parts, files, manifest } = await readThrough(section.artefact, options, async (stream) => {
        const seen: string[] = [];
        const found = new Map<string, Hashed>();
        let text: string | undefined;
        for await (const part of tarEntries(stream, section.artefact.name)) {
            if (part.kind === "directory") continue;
            seen.push(part.name.replace(`${mediaExportFolder}/`, ""));
            const unpacked = gunzip(new ByteReader(part.content), part.name);
            for await (const entry of tarEntries(unpacked, part.name)) {
                if (entry.name === "manifest.json") text = await textOf(entry.content);
                else if (entry.kind === "file") found.set(entry.name, await hashed(entry.content));
            }
        }
        return { parts: seen, files: found, manifest: text };
    });
    const problems: string[] = [];
    if (parts.length !== section.parts.length || section.parts.some((name) => !parts.includes(name)))
        problems.push(`archives ${parts.join(", ")}, and not ${section.parts.join(", ")}`);
    if (manifest === undefined) return [...problems, "it has no manifest"];
    // A homeserver without media has a manifest that names none, which is refused as the manifest of an export.
    if (section.media === 0) return files.size === 0 ? problems : [...problems, `${files.size} files, and not 0`];
    const { entityId, entries } = parseManifest(manifest, section.artefact.name);
    if (entityId !== serverName) problems.push(`media of ${entityId}`);
    for (const { address, fileName, media } of entries) {
        const file = files.get(fileName);
        if (file === undefined) problems.push(`${address} is missing`);
        else if (file.bytes !== media.sizeBytes || file.sha256 !== media.sha256)
            problems.push(`${address} is not as its manifest says`);
    }
    if (entries.length !== section.media) problems.push(`${entries.length} media, and not ${section.media}`);
    return problems;
}

export async function compareMediaBackup(section: MediaSection["backup"], options: ReadBackOptions): Promise<string[]> {
    const found = await readThrough(section.artefact, options, async (stream) => {
        const digest = new TreeDigest();
        let files = 0;
        for await (const entry of tarEntries(stream, section.artefact.name)) {
            if (entry.kind === "directory") continue;
            const { sha256, bytes: size } = await hashed(entry.content);
            digest.add({ path: entry.name.replace(`${mediaBackupFolder}/`, ""), size, sha256 });
            files++;
        }
        return { files, treeDigest: digest.value() };
    });
    if (found.files !== section.files) return [`${found.files} files, and not ${section.files}`];
    return found.treeDigest === section.treeDigest ? [] : ["its files are not those that were written"];
}

async function textOf(content: Bytes): Promise<string> {
    const chunks: Buffer[] = [];
    for await (const chunk of content) chunks.push(chunk);
    return Buffer.concat(chunks).toString("utf8");
}
