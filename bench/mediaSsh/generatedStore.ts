/** A media store as Synapse has one: most files are thumbnails of some kilobytes, most bytes are in pictures, some are in videos. */
import { createHash } from "node:crypto";
import { closeSync, mkdirSync, openSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";

interface Kind {
    readonly share: number;
    readonly from: number;
    readonly to: number;
}

const kinds: readonly Kind[] = [
    { share: 0.7, from: 2_000, to: 40_000 },
    { share: 0.295, from: 40_000, to: 400_000 },
    { share: 0.005, from: 1_000_000, to: 8_000_000 },
];
/** Content that does not compress, of which each file has a part. */
const poolBytes = 16_000_000;

export interface GeneratedStore {
    readonly files: number;
    readonly bytes: number;
}

/** The same for the same number, everywhere. */
export function generateStore(root: string, files: number): GeneratedStore {
    const pool = Buffer.concat(Array.from({ length: poolBytes / 32 }, (_, at) => digestOf(`content ${at}`)));
    let bytes = 0;
    for (let number = 0; number < files; number++) {
        const digest = digestOf(`file ${number}`);
        const { from, to } = kindOf(number / files);
        const size = from + Math.floor(((to - from) * digest.readUInt32BE(0)) / 2 ** 32);
        const start = digest.readUInt32BE(4) % (poolBytes - size);
        const id = digest
            .toString("base64")
            .replaceAll(/[^A-Za-z]/g, "")
            .padEnd(24, "x")
            .slice(0, 24);
        const path = join(root, "local_content", id.slice(0, 2), id.slice(2, 4), `${id.slice(4)}${number}`);
        mkdirSync(dirname(path), { recursive: true });
        const file = openSync(path, "wx");
        writeSync(file, pool, start, size);
        closeSync(file);
        bytes += size;
    }
    return { files, bytes };
}

function kindOf(place: number): Kind {
    let end = 0;
    for (const kind of kinds) if (place < (end += kind.share)) return kind;
    return kinds[0] ?? { share: 1, from: 0, to: 0 };
}

const digestOf = (text: string): Buffer => createHash("sha256").update(text).digest();
