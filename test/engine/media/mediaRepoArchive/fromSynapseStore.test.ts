import { expect } from "chai";
import fc from "fast-check";
import { once } from "node:events";
import { appendFileSync, rmSync, watch } from "node:fs";
import { appendFile, mkdir, readdir, rename, readFile, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { thisMachine } from "../../../../engine/machines/local/localMachine.ts";
import { archivedName } from "../../../../engine/media/mediaRepoArchive/archivedName.ts";
import {
    writeMediaArchive,
    type WriteMediaArchiveOptions,
} from "../../../../engine/media/mediaRepoArchive/fromSynapseStore.ts";
import { localMediaRows, type LocalMediaRow } from "../../../../engine/media/mediaRepoArchive/localMediaTable.ts";
import { checkMediaArchive } from "../../../../engine/media/mediaRepoArchive/readArchive.ts";
import { insertMediaRows, placeInSynapseStore } from "../../../../engine/media/mediaRepoArchive/toSynapseStore.ts";
import { newScanNotes, scanStore } from "../../../../engine/media/scan.ts";
import { withClient, type Client } from "../../../../engine/postgres/connection.ts";
import { testCluster } from "../../../support/cluster.ts";
import { expectError } from "../../../support/expectError.ts";
import { fill, rowOf, serverName, sha256Of, unpack, withDirectory } from "./fixtures.ts";

interface Stage {
    readonly client: Client;
    readonly directory: string;
    readonly store: string;
    readonly parts: string;
    readonly write: (more?: Partial<WriteMediaArchiveOptions>) => ReturnType<typeof writeMediaArchive>;
}

/** A database of a real homeserver, with the media table to be filled. */
let database: Promise<string> | undefined;

async function withStage(work: (stage: Stage) => Promise<void>): Promise<void> {
    const cluster = await testCluster();
    const name = await (database ??= cluster.createDatabase("synapse"));
    await withDirectory((directory) =>
        withClient(cluster.address(name), { step: "test" }, async (client) => {
            const [store, parts] = [join(directory, "store"), join(directory, "parts")];
            const options = { serverName, machine: thisMachine, mediaStore: store, destination: parts };
            const write: Stage["write"] = (more) => writeMediaArchive(client, { ...options, ...more });
            await work({ client, directory, store, parts, write });
        }),
    );
}

const media = (mediaId: string, content: string, more: Partial<LocalMediaRow> = {}) => ({
    row: rowOf(mediaId, content, more),
    content,
});

async function manifestOf(parts: string, to: string): Promise<unknown> {
    await unpack(parts, to);
    return JSON.parse(await readFile(join(to, "manifest.json"), "utf8"));
}

async function rowsOf(client: Client): Promise<LocalMediaRow[]> {
    const found: LocalMediaRow[] = [];
    await client.query("BEGIN");
    for await (const { twin, ...row } of localMediaRows(client)) if (twin > 0) found.push(row);
    await client.query("COMMIT");
    return found;
}

async function contentOf(store: string): Promise<Record<string, string>> {
    const content: Record<string, string> = {};
    for await (const { path } of scanStore(
        { machine: thisMachine, root: store },
        ["local_content", "url_cache"],
        newScanNotes(),
    ))
        content[path] = (await readFile(join(store, path))).toString("hex");
    return content;
}

describe("writing a homeserver's media as an archive", () => {
    it("writes a manifest as matrix-media-repo does, and what only Synapse knows beside it", async () => {
        await withStage(async ({ client, directory, store, parts, write }) => {
            const facts = { quarantinedBy: "@admin:rehearsal.test", lastAccessTs: 7, authenticated: true };
            await fill(client, store, [media("firstMedia", "one", facts)]);
            const seen: number[] = [];
            const written = await write({ onProgress: ({ bytes }) => seen.push(bytes) });
            expect(written.parts).to.deep.equal(["export-part-1.tgz", "export-manifest.tgz"]);
            expect(written).to.include({ media: 1, bytes: 3, longestBytes: 3, pending: 0, previews: 0 });
            expect(written.quarantined.first).to.deep.equal(["firstMedia"]);
            expect(seen).to.deep.equal([3]);
            const manifest = await manifestOf(parts, join(directory, "unpacked"));
            const { created_ts } = z.looseObject({ created_ts: z.number() }).parse(manifest);
            expect(created_ts).to.be.closeTo(Date.now(), 60_000);
            expect(manifest).to.deep.equal({
                version: 2,
                entity_id: serverName,
                created_ts,
                media: {
                    [`mxc://${serverName}/firstMedia`]: {
                        name: "firstMedia.txt",
                        file_name: `${serverName}__firstMedia.txt`,
                        size_bytes: 3,
                        content_type: "text/plain",
                        s3_url: "",
                        sha256: sha256Of("one"),
                        origin: serverName,
                        media_id: "firstMedia",
                        created_ts: 1_600_000_000_000,
                        uploader: `@alice:${serverName}`,
                        synapse: {
                            quarantined_by: "@admin:rehearsal.test",
                            safe_from_quarantine: false,
                            authenticated: true,
                            url_cache: null,
                            last_access_ts: 7,
                        },
                    },
                },
            });
        });
    });

    it("begins a new part before one grows too long, and gives longer files one of their own", async () => {
        await withStage(async ({ client, directory, store, parts, write }) => {
            const contents = ["aaaa", "bbbb", "cccc", "ddddddddddddddd", "e"];
            await fill(
                client,
                store,
                contents.map((content, index) => media(`media${index}`, content)),
            );
            const written = await write({ partBytes: 10 });
            expect(written.parts).to.deep.equal([
                ...["export-part-1.tgz", "export-part-2.tgz", "export-part-3.tgz", "export-part-4.tgz"],
                "export-manifest.tgz",
            ]);
            expect(await readdir(parts)).to.have.members([...written.parts]);
            await unpack(parts, join(directory, "unpacked"));
            expect((await checkMediaArchive(join(directory, "unpacked"), { serverName })).items).to.have.length(5);
        });
    });

    it("passes over media that was never uploaded, and previews that are gone; carries previews that are there", async () => {
        await withStage(async ({ client, directory, store, parts, write }) => {
            const urlCache = "https://example.org/";
            await fill(client, store, [
                { row: rowOf("pendingMedia", "", { mediaLength: null, sha256: null }) },
                { row: rowOf("2026-01-01_gonePreview", "x", { urlCache }) },
                media("2026-01-01_preview", "y", { urlCache, userId: null }),
                media("oldPreview", "z", { urlCache }),
            ]);
            const written = await write();
            expect(written).to.include({ media: 2, pending: 1, previews: 2, previewsWithoutFile: 1 });
            expect(written.missing.count).to.equal(0);
            await unpack(parts, join(directory, "unpacked"));
            const archive = await checkMediaArchive(join(directory, "unpacked"), { serverName });
            await mkdir(join(directory, "target"));
            await placeInSynapseStore(archive, { mediaStore: join(directory, "target") });
            expect(Object.keys(await contentOf(join(directory, "target")))).to.deep.equal([
                "url_cache/2026-01-01/preview",
                "url_cache/ol/dP/review",
            ]);
        });
    });

    it("writes no uploader that the importer would pass over the media for", async () => {
        await withStage(async ({ client, directory, store, parts, write }) => {
            await fill(client, store, [media("firstMedia", "one", { userId: "@bob:elsewhere.test" })]);
            expect((await write()).withoutUploader.first).to.deep.equal(["firstMedia"]);
            await unpack(parts, join(directory, "unpacked"));
            const archive = await checkMediaArchive(join(directory, "unpacked"), { serverName });
            expect(archive.items[0]?.uploader).to.equal(undefined);
        });
    });

    it("refuses media without a file, or reports it and finishes the archive when told to", async () => {
        await withStage(async ({ client, directory, store, parts, write }) => {
            const lost = { row: rowOf("aLostMedia", "gone") };
            await fill(client, store, [lost, media("zFoundMedia", "here")]);
            const { detail } = await expectError("SM-E0962", write);
            expect(detail.found).to.equal("1 without a file (aLostMedia)");
            expect(await readdir(parts)).to.deep.equal([]);
            const written = await write({ missing: "report" });
            expect(written.missing).to.deep.equal({ count: 1, first: ["aLostMedia"] });
            expect(written.media).to.equal(1);
            await unpack(parts, join(directory, "unpacked"));
            expect((await checkMediaArchive(join(directory, "unpacked"), { serverName })).items).to.have.length(1);
        });
    });

    it("reads folders that lie on another disk", async () => {
        await withStage(async ({ client, directory, store, write }) => {
            await fill(client, store, [media("firstMedia", "one")]);
            await rename(join(store, "local_content"), join(directory, "disk"));
            await symlink(join(directory, "disk"), join(store, "local_content"));
            expect(await write()).to.include({ media: 1, bytes: 3 });
        });
    });

    it("leaves out exactly the media that are accepted as lacking a file, and refuses another list", async () => {
        await withStage(async ({ client, store, parts, write }) => {
            const lost = { row: rowOf("aLostMedia", "gone") };
            await fill(client, store, [lost, media("zFoundMedia", "here")]);
            const { detail } = await expectError("SM-E0962", write);
            const acceptMissing = /acceptMissingMedia (\S+)$/.exec(detail.fix ?? "")?.[1] ?? expect.fail("no value");
            const other = acceptMissing.replace(/^1:/, "3:");
            const refused = await expectError("SM-E0967", () => write({ acceptMissing: other }));
            expect(refused.detail.found).to.contain("1 media have no file").and.to.contain("another list, of 3");
            expect(await readdir(parts)).to.deep.equal([]);
            expect(await write({ acceptMissing })).to.deep.include({
                media: 1,
                missing: { count: 1, first: ["aLostMedia"] },
            });
        });
    });

    it("refuses files that are not what the database says, and leaves nothing behind", async () => {
        const spoil: readonly (readonly [string, RegExp, (path: string, store: string) => Promise<unknown>])[] = [
            ["SM-E0962", /files of another size/, (path) => appendFile(path, "x")],
            ["SM-E0962", /SHA-256/, (path) => writeFile(path, "onf")],
            ["SM-E0963", /no file/, (path) => rm(path).then(() => mkdir(path))],
            ["SM-E0963", /link out of the store/, (path) => rm(path).then(() => symlink("/etc/passwd", path))],
            ["SM-E0963", /cannot be read/, (path) => rm(path).then(() => symlink(path, path))],
        ];
        for (const [code, found, harm] of spoil) {
            await withStage(async ({ client, store, parts, write }) => {
                await fill(client, store, [media("firstMedia", "one")]);
                await harm(join(store, "local_content/fi/rs/tMedia"), store);
                const { detail } = await expectError(code === "SM-E0962" ? "SM-E0962" : "SM-E0963", write);
                expect(detail.found).to.match(found);
                expect(await readdir(parts)).to.deep.equal([]);
            });
        }
    });

    it("refuses ids that no path can be made of", async () => {
        await withStage(async ({ client, store, write }) => {
            await fill(client, store, [{ row: rowOf("../../../etc/passwd", "x") }]);
            const { detail } = await expectError("SM-E0962", write);
            expect(detail.found).to.contain("no path can be made of");
        });
    });

    it("refuses a directory with other files in it, and leaves them alone", async () => {
        await withStage(async ({ client, store, parts, write }) => {
            await fill(client, store, []);
            await mkdir(parts);
            await writeFile(join(parts, "media-repo.yaml"), "x");
            const { detail } = await expectError("SM-E0966", write);
            expect(detail.found).to.contain("media-repo.yaml");
            expect(await readdir(parts)).to.deep.equal(["media-repo.yaml"]);
        });
    });

    it("stops between two files when it is told to, and leaves nothing behind", async () => {
        for (const [index, abort] of [new AbortController(), new AbortController()].entries()) {
            await withStage(async ({ client, store, parts, write }) => {
                await fill(client, store, [media("firstMedia", "one"), media("secondMedia", "two")]);
                if (index === 0) abort.abort();
                const onProgress = () => abort.abort();
                const failure = await write({ signal: abort.signal, onProgress }).catch((error: unknown) => error);
                expect(failure).to.have.property("name", "AbortError");
                expect(await readdir(parts)).to.deep.equal([]);
            });
        }
    });
});

describe("a store that changes while an archive is written", () => {
    const large = 256 * 2 ** 20;

    /** Does something once the reading of a long file has begun. */
    async function meanwhile(
        act: (path: string) => Promise<unknown>,
        expected: (write: () => Promise<unknown>) => Promise<unknown>,
        signal?: AbortSignal,
    ): Promise<void> {
        await withStage(async ({ client, store, parts, write }) => {
            await fill(client, store, [media("firstMedia", "", { mediaLength: large, sha256: null })]);
            const path = join(store, "local_content/fi/rs/tMedia");
            await truncate(path, large);
            await mkdir(parts);
            const watcher = watch(parts);
            try {
                const started = once(watcher, "change").then(() => act(path));
                await expected(() => write(signal === undefined ? {} : { signal }));
                await started;
            } finally {
                watcher.close();
            }
            expect(await readdir(parts)).to.deep.equal([]);
        });
    }

    it("is refused when a file grows shorter", async () => {
        await meanwhile(
            (path) => truncate(path, 0),
            async (write) => {
                const { detail } = await expectError("SM-E0962", write);
                expect(detail.found).to.contain("it changed while the archive was written");
            },
        );
    });

    it("is left alone in the middle of a file when the work is to end", async () => {
        const abort = new AbortController();
        await meanwhile(
            () => {
                abort.abort();
                return Promise.resolve();
            },
            async (write) => {
                const failure = await write().catch((error: unknown) => error);
                expect(failure).to.have.property("name", "AbortError");
            },
            abort.signal,
        );
    });

    for (const [what, act] of [
        ["grows between two looks", (path: string) => appendFileSync(path, "x")],
        ["vanishes between two looks", (path: string) => rmSync(path)],
    ] as const) {
        it(`is refused when a file ${what}`, async () => {
            await withStage(async ({ client, store, parts, write }) => {
                const second = media("secondMedia", "two", { sha256: null });
                await fill(client, store, [media("firstMedia", "one"), second]);
                const onProgress = ({ files }: { files: number }) => {
                    if (files === 1) act(join(store, "local_content/se/co/ndMedia"));
                };
                const { detail } = await expectError("SM-E0962", () => write({ onProgress }));
                expect(detail.found).to.contain("it changed while the archive was written");
                expect(await readdir(parts)).to.deep.equal([]);
            });
        });
    }
});

describe("names in an archive", () => {
    const mediaId = fc.stringMatching(/^[A-Za-z0-9_.~-]{1,6}$/).filter((id) => !id.includes("~"));
    it("tell twins apart by more than case, and an extension from a dot in an id", () => {
        const name = (mediaId: string, twin: number, contentType?: string): string =>
            archivedName({ origin: serverName, mediaId, twin, contentType });
        expect(name("abcde", 1, "image/png")).to.equal(`${serverName}__abcde.png`);
        expect(name("ABCDE", 2, "image/png")).to.equal(`${serverName}__ABCDE~2.png`);
        expect(name("abcde.png", 1)).to.equal(`${serverName}__abcde.png~1`);
    });

    it("differ for different media, also where case does not count", () => {
        const contentType = fc.constantFrom(undefined, "image/png", "text/plain");
        const one = fc.record({ mediaId, contentType, origin: fc.constant(serverName) });
        fc.assert(
            fc.property(fc.uniqueArray(one, { selector: (media) => media.mediaId, maxLength: 30 }), (all) => {
                const seen = new Map<string, number>();
                const names = all.map((item) => {
                    const twin = (seen.get(item.mediaId.toLowerCase()) ?? 0) + 1;
                    seen.set(item.mediaId.toLowerCase(), twin);
                    return archivedName({ ...item, twin }).toLowerCase();
                });
                expect(new Set(names).size).to.equal(names.length);
            }),
        );
    });
});

describe("the way from a store to an archive and into a store", () => {
    const mediaId = fc.stringMatching(/^[A-Za-z0-9_-]{5,24}$/);
    // PostgreSQL holds no NUL; an archive cannot tell empty text from none, and Synapse does not.
    const text = fc.option(fc.string({ unit: "binary", minLength: 1 }).filter((value) => !value.includes("\0")));
    const time = fc.maxSafeNat();
    const one = fc
        .record({
            mediaId,
            content: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
            mediaType: text,
            uploadName: text,
            createdTs: time,
            userId: fc.option(fc.constantFrom(`@alice:${serverName}`, `@Ä b/c:${serverName}`)),
            quarantinedBy: fc.option(fc.constant("@admin:x")),
            lastAccessTs: fc.option(time),
            safeFromQuarantine: fc.boolean(),
            authenticated: fc.boolean(),
            partBytes: fc.integer({ min: 1, max: 1000 }),
        })
        .map(({ content, partBytes, ...row }) => ({
            partBytes,
            content,
            row: { ...rowOf(row.mediaId, content), ...row },
        }));
    const caseTwins = fc.constant(["aBcdefgh", "abcdefgh", "ab.cdefgh", "abcdefgh.png"]).map((ids) =>
        ids.map((id) => ({
            row: rowOf(id, id, { mediaType: "image/png" }),
            content: Buffer.from(id),
            partBytes: 9,
        })),
    );
    const some = fc.uniqueArray(one, { selector: ({ row }) => row.mediaId, minLength: 1, maxLength: 12 });

    it("keeps every byte and every row", async () => {
        await fc.assert(
            fc.asyncProperty(fc.oneof({ weight: 9, arbitrary: some }, { weight: 1, arbitrary: caseTwins }), (all) =>
                withStage(async ({ client, directory, store, parts, write }) => {
                    await fill(client, store, all);
                    const before = await rowsOf(client);
                    await write({ partBytes: all[0]?.partBytes ?? 1 });
                    await unpack(parts, join(directory, "unpacked"));
                    const archive = await checkMediaArchive(join(directory, "unpacked"), { serverName });
                    const target = join(directory, "target");
                    await mkdir(target);
                    const { rows } = await placeInSynapseStore(archive, { mediaStore: target });
                    await client.query("TRUNCATE public.local_media_repository");
                    await insertMediaRows(client, rows);
                    expect(await rowsOf(client)).to.deep.equal(before);
                    expect(await contentOf(target)).to.deep.equal(await contentOf(store));
                }),
            ),
            { numRuns: 40 },
        );
    });
});
