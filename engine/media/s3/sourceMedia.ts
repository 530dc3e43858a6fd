/** Media that a source's storage providers have, and its own store perhaps has no more: `s3_media_upload` deletes them there. */
import type { BucketAddress } from "../../synapse/config/mediaStorageProviders.ts";
import { MigrationError } from "../../run/errors.ts";
import { placeFile, type FileContent, type Owner, type StorePlace } from "../copyFile.ts";
import { writeWhole } from "../gatheredWrite.ts";
import type { MediaElsewhere } from "../sourcePass.ts";
import {
    localContentPath,
    localThumbnailPath,
    providedFolders,
    remoteContentPath,
    remoteThumbnailPath,
} from "../layout.ts";
import type { MediaRows } from "../mediaRows.ts";
import { Bucket, type StoredObject } from "./bucket.ts";

interface Found {
    readonly bucket: Bucket;
    readonly object: StoredObject;
    /** Of its content, where the database knows it. */
    readonly sha256?: string | undefined;
}

/** A file that the database knows. */
interface KnownFile {
    readonly path: string;
    readonly sha256?: string | undefined;
}

const attempts = 3;

/**
 * What the buckets have of what the database knows. Nothing else of them is touched: the module never deletes, so that a bucket still has
 * what users have deleted and what was removed from the cache.
 */
export class SourceMedia implements MediaElsewhere {
    /** For people. */
    public readonly names: readonly string[];
    private readonly buckets: readonly Bucket[];
    private readonly found: ReadonlyMap<string, Found>;

    private constructor(buckets: readonly Bucket[], found: ReadonlyMap<string, Found>) {
        this.buckets = buckets;
        this.found = found;
        this.names = buckets.map(({ name }) => name);
    }

    /**
     * Lists the buckets, the first that has something counts, and looks for it in the database. About 300 bytes of memory an object.
     *
     * @throws MigrationError SM-E0990 to SM-E0993
     */
    public static async find(
        addresses: readonly BucketAddress[],
        withRows: <T>(work: (rows: MediaRows) => Promise<T>) => Promise<T>,
        remoteCache: "carry" | "drop",
        signal: AbortSignal,
    ): Promise<SourceMedia> {
        const buckets = await Promise.all(addresses.map((address) => Bucket.open(address, signal)));
        try {
            const listed = new Map<string, Found>();
            for (const bucket of buckets) {
                for (const folder of providedFolders(remoteCache)) {
                    for await (const object of bucket.list(`${folder}/`))
                        if (!listed.has(object.path)) listed.set(object.path, { bucket, object });
                }
            }
            // After the listing: what is uploaded in between is still in the store.
            const found = await withRows(async (rows) => {
                const known = new Map<string, Found>();
                for await (const { path, sha256 } of filesOf(rows, remoteCache)) {
                    const there = listed.get(path);
                    if (there !== undefined) known.set(path, { ...there, sha256 });
                }
                return known;
            });
            return new SourceMedia(buckets, found);
        } catch (error) {
            for (const bucket of buckets) bucket.close();
            throw error;
        }
    }

    public close(): void {
        for (const bucket of this.buckets) bucket.close();
    }

    public paths(): Iterable<string> {
        return this.found.keys();
    }

    public has(path: string): boolean {
        return this.found.has(path);
    }

    /** What the listing says of it. */
    public object(path: string): StoredObject | undefined {
        return this.found.get(path)?.object;
    }

    /** Whether the content is not known to be another one than the database says. */
    public isRight(path: string, { sha256 }: Pick<FileContent, "sha256">): boolean {
        const expected = this.found.get(path)?.sha256;
        return expected === undefined || expected === sha256;
    }

    /**
     * @returns after three times also what is not {@link isRight}: it is then the bucket that has it so
     * @throws MigrationError SM-E0990 to SM-E0993; SM-E0994 when it does not come whole, three times
     */
    public async copy(path: string, target: StorePlace, owner: Owner | undefined): Promise<FileContent> {
        const there = this.found.get(path);
        if (there === undefined) throw new Error(`${path} is in no bucket`);
        for (let attempt = 1; ; attempt++) {
            try {
                const content = await fetch(there, target, owner);
                if (this.isRight(path, content) || attempt === attempts) return content;
            } catch (error) {
                const again = error instanceof MigrationError && ["SM-E0990", "SM-E0994"].includes(error.code);
                if (!again || attempt === attempts) throw error;
            }
        }
    }
}

async function fetch({ bucket, object }: Found, target: StorePlace, owner: Owner | undefined): Promise<FileContent> {
    const { path, size, modified } = object;
    const where = `${bucket.name}, ${bucket.address.prefix}${path}`;
    const content = await placeFile(target, owner, async (copy) => {
        const read = await bucket.read(path, (chunk) => writeWhole(copy, chunk));
        if (read === undefined) throw altered(where, "it is not there any more", size);
        if (read.size !== size) throw altered(where, `${read.size} bytes came`, size);
        await copy.utimes(modified / 1000, modified / 1000);
        return read;
    });
    if (content === undefined) throw new Error("a file of a bucket always has content");
    return content;
}

function altered(where: string, found: string, size: number): MigrationError {
    return new MigrationError("SM-E0994", {
        where,
        found,
        expected: `${size} bytes, as the listing of the bucket says`,
        changed: "files were copied; those stay, and are not copied again",
    });
}

async function* filesOf(rows: MediaRows, remoteCache: "carry" | "drop"): AsyncGenerator<KnownFile> {
    const file = (path: string | undefined, sha256?: string | null): KnownFile[] =>
        path === undefined ? [] : [{ path, sha256: sha256 ?? undefined }];
    for await (const { mediaId, length, sha256 } of rows.media)
        if (length !== null) yield* file(localContentPath(mediaId), sha256);
    for await (const thumbnail of rows.thumbnails) yield* file(localThumbnailPath(thumbnail));
    if (remoteCache === "drop") return;
    for await (const { origin, filesystemId } of rows.remoteMedia) yield* file(remoteContentPath(origin, filesystemId));
    for await (const { origin, ...thumbnail } of rows.remoteThumbnails)
        yield* file(remoteThumbnailPath(origin, thumbnail));
}
