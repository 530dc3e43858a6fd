/** The manifest of what was handed over, which the run keeps: what the proofs ask matrix-media-repo's database for. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { z } from "zod";
import { writePrivateFile } from "../../run/atomicFile.ts";
import { MigrationError } from "../../run/errors.ts";
import { parseManifest } from "../mediaRepoArchive/archiveManifest.ts";
import type { ExpectedMedia } from "../mediaRepoArchive/proof.ts";

const longestEmpty = 4096;

/** @returns the digest that {@link readHandedManifest} wants */
export async function keepHandedManifest(path: string, text: string): Promise<string> {
    await writePrivateFile(path, text);
    return digestOf(text);
}

/** @throws MigrationError SM-E0960 when it is not the one that was kept */
export async function readHandedManifest(path: string, digest: string): Promise<readonly ExpectedMedia[]> {
    const text = await readFile(path, "utf8").catch(() => "");
    if (digestOf(text) !== digest)
        throw new MigrationError("SM-E0960", {
            where: path,
            found: text === "" ? "it is empty or gone" : `SHA-256 ${digestOf(text)}`,
            expected: `SHA-256 ${digest}, of the manifest that was handed over`,
        });
    return itemsOf(text, path);
}

export function itemsOf(text: string, where: string): readonly ExpectedMedia[] {
    return isEmptyManifest(text) ? [] : parseManifest(text, where).entries.map(({ media }) => media);
}

/** A homeserver that nobody ever sent anything to. Archives that others wrote are refused when they are empty. */
function isEmptyManifest(text: string): boolean {
    const empty = z.looseObject({ version: z.literal(2), media: z.strictObject({}) });
    return text.length < longestEmpty && empty.safeParse(JSON.parse(text)).success;
}

function digestOf(text: string): string {
    return createHash("sha256").update(text).digest("hex");
}
