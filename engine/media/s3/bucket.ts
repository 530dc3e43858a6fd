/** A bucket with a media store's files: lists, reads, writes, removes. Every request has a deadline, and every failure a documented error without secrets. */
import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import type { S3Client } from "@aws-sdk/client-s3";
import { MigrationError } from "../../run/errors.ts";
import type { BucketAddress } from "../../synapse/config/mediaStorageProviders.ts";
import type { FileContent } from "../copyFile.ts";
import { bucketError, isNoSuchObject } from "./bucketErrors.ts";
import { withDeadline, type Deadline } from "./stallDeadline.ts";

/** What a listing says of an object; its content is not read for it. */
export interface StoredObject {
    /** Relative to the media store: the key without the prefix. */
    readonly path: string;
    readonly size: number;
    /** Another one means that the object is another one; the same proves nothing of its content. */
    readonly etag: string;
    /** Milliseconds since 1970. */
    readonly modified: number;
}

/** An object that was read to its end. */
export interface ReadObject extends FileContent {
    readonly etag: string;
    /** The run that put it there; undefined when none did. */
    readonly run: string | undefined;
}

type Sdk = typeof import("@aws-sdk/client-s3");

const connectSeconds = 10;
/** How long a server may say nothing, before its answer or in the middle of it. */
const silentSeconds = 60;
const attempts = 3;
/** Larger files go in parts of this size, two at a time; S3 takes up to ten thousand. */
const partBytes = 16 * 1024 * 1024;
const partsAtOnce = 2;
/** Marks objects as put there by a run, so that it can take them back. Kept in lower case, as servers give it back. */
const runMetadata = "synapse-migration-run";

export class Bucket {
    public readonly address: BucketAddress;
    /** For people: name and server, no keys. */
    public readonly name: string;
    private readonly sdk: Sdk;
    private readonly client: S3Client;
    private readonly signal: AbortSignal;
    private readonly seconds: number;

    private constructor(address: BucketAddress, sdk: Sdk, signal: AbortSignal, seconds: number) {
        this.address = address;
        this.name = nameOf(address);
        this.sdk = sdk;
        this.signal = signal;
        this.seconds = seconds;
        const { region, endpoint, credentials, checksums } = address;
        this.client = new sdk.S3Client({
            // As boto3: without one, AWS says where the bucket is.
            region: region ?? process.env["AWS_REGION"] ?? process.env["AWS_DEFAULT_REGION"] ?? "us-east-1",
            followRegionRedirects: region === undefined && endpoint === undefined,
            ...(endpoint === undefined ? {} : { endpoint, forcePathStyle: true }),
            ...(credentials === undefined ? {} : { credentials: { ...credentialsOf(credentials) } }),
            requestChecksumCalculation: checksums?.request ?? "WHEN_REQUIRED",
            responseChecksumValidation: checksums?.response ?? "WHEN_REQUIRED",
            maxAttempts: attempts,
            requestHandler: { connectionTimeout: connectSeconds * 1000 },
        });
    }

    /**
     * Loads the client, which only those need who have media in S3. Asks nothing yet.
     *
     * @param signal  ends every request
     * @param seconds  how long the server may say nothing
     */
    public static async open(address: BucketAddress, signal: AbortSignal, seconds = silentSeconds): Promise<Bucket> {
        // Versions that need a newer Node are of no concern to a pinned one.
        process.env["AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED"] ??= "true";
        return new Bucket(address, await import("@aws-sdk/client-s3"), signal, seconds);
    }

    public close(): void {
        this.client.destroy();
    }

    /**
     * All objects whose path begins so, a thousand at a time.
     *
     * @param beginning  of paths of the media store, `local_content/`
     * @throws MigrationError SM-E0990 to SM-E0993
     */
    public async *list(beginning: string): AsyncGenerator<StoredObject> {
        const { bucket, prefix } = this.address;
        let continued: string | undefined;
        do {
            const page = await this.ask(`listing ${prefix}${beginning}`, ({ signal }) =>
                this.client.send(
                    new this.sdk.ListObjectsV2Command({
                        Bucket: bucket,
                        Prefix: prefix + beginning,
                        ContinuationToken: continued,
                    }),
                    { abortSignal: signal },
                ),
            );
            // Whatever a web server answers is an empty listing to the SDK.
            if (page.Name === undefined) throw noListing(this.name);
            for (const { Key, Size, ETag, LastModified } of page.Contents ?? []) {
                if (Key?.startsWith(prefix) !== true) continue;
                yield {
                    path: Key.slice(prefix.length),
                    size: Size ?? 0,
                    etag: unquoted(ETag),
                    modified: LastModified?.getTime() ?? 0,
                };
            }
            continued = page.IsTruncated === true ? page.NextContinuationToken : undefined;
        } while (continued !== undefined);
    }

    /**
     * Reads an object to its end.
     *
     * @param take  gets each piece, one after the other
     * @returns undefined when it is not there
     * @throws MigrationError SM-E0990 to SM-E0993; SM-E0990 also when it ends before the length that the server had announced
     */
    public async read(path: string, take: (chunk: Buffer) => Promise<void>): Promise<ReadObject | undefined> {
        const key = this.address.prefix + path;
        return this.ask(`reading ${key}`, async ({ signal, alive }) => {
            const answer = await this.get(key, signal);
            if (answer === undefined) return undefined;
            const hash = createHash("sha256");
            let size = 0;
            for await (const chunk of answer.body) {
                if (!Buffer.isBuffer(chunk)) throw new Error("the SDK gave text in place of bytes");
                alive();
                hash.update(chunk);
                size += chunk.length;
                await take(chunk).catch((error: unknown) => {
                    throw new TakerError(error);
                });
            }
            return { size, sha256: hash.digest("hex"), etag: answer.etag, run: answer.run };
        });
    }

    /**
     * Writes an object, in parts when it is large: whole or not at all.
     *
     * @param content  is given the part of a file that is asked for next; destroyed in the end
     * @param run  is marked as the one who has put it there
     * @throws MigrationError SM-E0990 to SM-E0993
     */
    public async write(path: string, content: Readable, run: string): Promise<void> {
        const key = this.address.prefix + path;
        try {
            const { Upload } = await import("@aws-sdk/lib-storage");
            await this.ask(`writing ${key}`, async ({ signal, alive }) => {
                const upload = new Upload({
                    client: this.client,
                    params: {
                        Bucket: this.address.bucket,
                        Key: key,
                        Body: content,
                        Metadata: { [runMetadata]: run },
                        StorageClass: this.address.storageClass,
                    },
                    partSize: partBytes,
                    queueSize: partsAtOnce,
                });
                upload.on("httpUploadProgress", alive);
                signal.addEventListener("abort", () => void upload.abort(), { once: true });
                await upload.done();
            });
        } finally {
            content.destroy();
        }
    }

    /** Removes an object; one that is not there is none to remove. @throws MigrationError SM-E0990 to SM-E0993 */
    public async remove(path: string): Promise<void> {
        const key = this.address.prefix + path;
        await this.ask(`removing ${key}`, ({ signal }) =>
            this.client.send(new this.sdk.DeleteObjectCommand({ Bucket: this.address.bucket, Key: key }), {
                abortSignal: signal,
            }),
        );
    }

    private async get(key: string, signal: AbortSignal) {
        const { bucket, customerKey } = this.address;
        try {
            const { Body, ETag, Metadata } = await this.client.send(
                new this.sdk.GetObjectCommand({
                    Bucket: bucket,
                    Key: key,
                    ...(customerKey === undefined
                        ? {}
                        : { SSECustomerKey: customerKey.key, SSECustomerAlgorithm: customerKey.algorithm }),
                }),
                { abortSignal: signal },
            );
            if (!(Body instanceof Readable)) throw new Error("the SDK gave no stream");
            // What is not read any more has to be let go, too.
            signal.addEventListener("abort", () => Body.destroy(new Error("aborted")), { once: true });
            return { body: Body, etag: unquoted(ETag), run: Metadata?.[runMetadata] };
        } catch (error) {
            if (isNoSuchObject(error)) return undefined;
            throw error;
        }
    }

    private async ask<T>(what: string, work: (deadline: Deadline) => Promise<T>): Promise<T> {
        const where = `${this.name}, ${what}`;
        try {
            return await withDeadline({ seconds: this.seconds, where, signal: this.signal }, work);
        } catch (error) {
            this.signal.throwIfAborted();
            if (error instanceof TakerError) throw error.cause;
            throw bucketError(error, where);
        }
    }
}

/** What became of the content is no failure of the bucket: a disk may be full. */
class TakerError extends Error {
    constructor(cause: unknown) {
        super("the content could not be taken", { cause });
    }
}

/** For people. */
export function nameOf({ bucket, endpoint, region }: BucketAddress): string {
    // An endpoint may have a password before its host.
    const server = endpoint === undefined ? `AWS ${region ?? "(region not set)"}` : new URL(endpoint).origin;
    return `bucket ${bucket} at ${server}`;
}

/** Servers differ in whether they quote it, and where. */
function unquoted(etag = ""): string {
    return etag.replaceAll('"', "");
}

function noListing(where: string): MigrationError {
    return new MigrationError("SM-E0990", {
        where,
        found: "an answer that is no listing of a bucket",
        expected: "a server that speaks S3",
    });
}

function credentialsOf({ accessKeyId, secretAccessKey, sessionToken }: NonNullable<BucketAddress["credentials"]>) {
    return { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) };
}
