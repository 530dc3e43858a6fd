/** Files of several types and sizes in the media repository, with thumbnails. */
import { createHash } from "node:crypto";
import type { ExpectedMedia } from "../expectations.ts";
import { MatrixError, type MatrixClient } from "../matrixClient.ts";
import type { Account, Site } from "./site.ts";
import { inParallel } from "./parallel.ts";
import { png } from "./png.ts";
import { trickyTexts } from "./trickyText.ts";

/** A file as a client uploads it. */
export interface File {
    readonly name: string;
    readonly type: string;
    readonly bytes: Buffer;
}

const thumbnails = [
    { width: 32, height: 32, method: "crop" },
    { width: 320, height: 240, method: "scale" },
] as const;

/** Uploads files, turn by turn as different users, and asks for thumbnails of the images. */
export async function uploadMedia(site: Site, accounts: readonly Account[]): Promise<ExpectedMedia[]> {
    return inParallel(files(site), async (file, index) =>
        uploadFile(site.chance.pick(`uploader/${index}`, accounts).client, file),
    );
}

/** Uploads one file; of an image also asks for thumbnails. */
export async function uploadFile(client: MatrixClient, { name, type, bytes }: File): Promise<ExpectedMedia> {
    const mxc = await client.upload(bytes, type, name);
    const wanted = type === "image/png" ? thumbnails : [];
    return {
        mxc,
        type,
        sizeBytes: bytes.length,
        sha256: digest(bytes),
        thumbnails: await Promise.all(
            wanted.map(async (size) => ({ ...size, sha256: digest(await thumbnail(client, mxc, size)) })),
        ),
    };
}

/** The bytes of a thumbnail. */
export async function thumbnail(
    client: MatrixClient,
    mxc: string,
    size: { readonly width: number; readonly height: number; readonly method: string },
): Promise<Buffer> {
    return fetched(client, `thumbnail/${address(mxc)}`, size);
}

/** The bytes of a file. */
export async function download(client: MatrixClient, mxc: string): Promise<Buffer> {
    return fetched(client, `download/${address(mxc)}`);
}

/** Servers from before Matrix 1.11 have only the addresses that ask for no token. */
async function fetched(
    client: MatrixClient,
    path: string,
    query: Readonly<Record<string, string | number>> = {},
): Promise<Buffer> {
    const found = await client.bytes(`/_matrix/client/v1/media/${path}`, query).catch((error: unknown) => {
        if (error instanceof MatrixError && error.errcode === "M_UNRECOGNIZED") return undefined;
        throw error;
    });
    return (found ?? (await client.bytes(`/_matrix/media/v3/${path}`, query))).bytes;
}

export function digest(bytes: Buffer): string {
    return createHash("sha256").update(bytes).digest("hex");
}

function address(mxc: string): string {
    return mxc.replace("mxc://", "");
}

function files(site: Site): File[] {
    return [
        { name: "gradient.png", type: "image/png", bytes: png(640, 480, 128) },
        { name: "Bild mit Ümläuten.png", type: "image/png", bytes: png(200, 300, 12) },
        { name: "tricky.txt", type: "text/plain", bytes: Buffer.from(trickyTexts.join("\n")) },
        { name: "page.html", type: "text/html", bytes: Buffer.from("<!doctype html><p>safe?</p>") },
        {
            name: "all bytes.bin",
            type: "application/octet-stream",
            bytes: Buffer.from(Uint8Array.from({ length: 256 }, (_, byte) => byte)),
        },
        { name: "2 MB.bin", type: "application/octet-stream", bytes: site.chance.stream("large", 2 * 1024 * 1024) },
        { name: "one.bin", type: "application/octet-stream", bytes: Buffer.from([0]) },
        { name: "same again.bin", type: "application/octet-stream", bytes: Buffer.from([0]) },
    ];
}
