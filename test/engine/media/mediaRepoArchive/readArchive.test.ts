import { expect } from "chai";
import { appendFile, mkdir, rename, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { ErrorCode } from "../../../../engine/run/errorCatalogue.ts";
import type { MigrationError } from "../../../../engine/run/errors.ts";
import { checkMediaArchive } from "../../../../engine/media/mediaRepoArchive/readArchive.ts";
import type { MediaArchive } from "../../../../engine/media/mediaRepoArchive/mediaArchive.ts";
import { expectError } from "../../../support/expectError.ts";
import { entryOf, serverName, sha256Of, withDirectory, writeArchive, type ManifestFields } from "./fixtures.ts";

const check = (directory: string): Promise<MediaArchive> => checkMediaArchive(directory, { serverName });

/** Checks an archive of two media that something was done to. */
async function refused(
    code: ErrorCode,
    spoil: (directory: string) => Promise<unknown>,
    head: ManifestFields = {},
): Promise<MigrationError> {
    return withDirectory(async (directory) => {
        await writeArchive(directory, { firstMedia: "one", secondMedia: "two" }, head);
        await spoil(directory);
        return expectError(code, () => check(directory));
    });
}

const nothing = (): Promise<void> => Promise.resolve();
const withEntries = (entries: ManifestFields) => refused.bind(undefined, "SM-E0961", nothing, { media: entries });
const address = (mediaId: string): string => `mxc://${serverName}/${mediaId}`;

describe("the check of a media archive", () => {
    it("gives what the manifest says of each file, and tells how far it is", async () => {
        await withDirectory(async (directory) => {
            const empty = { content: "", fields: { name: "", content_type: "", uploader: "" } };
            await writeArchive(directory, { firstMedia: "one", secondMedia: empty });
            await writeFile(join(directory, "index.html"), "<p>");
            const seen: number[] = [];
            const archive = await checkMediaArchive(directory, {
                serverName,
                onProgress: ({ bytes }) => seen.push(bytes),
            });
            expect(archive).to.deep.include({ version: 2, entityId: serverName, bytes: 3 });
            expect(archive.unlisted.count).to.equal(0);
            expect(archive.items[0]).to.deep.equal({
                origin: serverName,
                mediaId: "firstMedia",
                uploadName: "firstMedia.txt",
                contentType: "text/plain",
                sizeBytes: 3,
                sha256: sha256Of("one"),
                uploader: `@alice:${serverName}`,
                createdTs: 1_600_000_000_000,
                path: join(directory, `${serverName}__firstMedia.txt`),
                synapse: undefined,
            });
            expect(archive.items[1]).to.deep.include({
                uploadName: undefined,
                contentType: undefined,
                uploader: undefined,
            });
            expect(seen).to.deep.equal([3, 3]);
        });
    });

    it("finds parts that were unpacked to folders of their own, and lists files that nobody named", async () => {
        await withDirectory(async (directory) => {
            await writeArchive(directory, { firstMedia: "one" });
            await mkdir(join(directory, "export", "part-1"), { recursive: true });
            const name = `${serverName}__firstMedia.txt`;
            await rename(join(directory, name), join(directory, "export", "part-1", name));
            await writeFile(join(directory, "stranger.png"), "x");
            const archive = await check(directory);
            expect(archive.items[0]?.path).to.equal(join(directory, "export", "part-1", name));
            expect(archive.unlisted).to.deep.equal({ count: 1, first: ["stranger.png"] });
        });
    });

    it("reads version 1, which is of one user and names no uploaders", async () => {
        await withDirectory(async (directory) => {
            const owner = `@bob:${serverName}`;
            const fields = { uploader: undefined, s3_url: "TODO" };
            const head = { version: 1, entity_id: undefined, user_id: owner };
            await writeArchive(directory, { firstMedia: { content: "one", fields } }, head);
            const archive = await check(directory);
            expect(archive).to.include({ version: 1, entityId: owner });
            expect(archive.items[0]?.uploader).to.equal(owner);
        });
    });

    it("accepts ids that differ only in case, and local parts of old accounts", async () => {
        await withDirectory(async (directory) => {
            const uploader = `@Älice & b/c:${serverName}`;
            await writeArchive(directory, { aBcdefg: "one", abcdefg: { content: "two", fields: { uploader } } });
            expect((await check(directory)).items).to.have.length(2);
        });
    });

    describe("refuses with SM-E0960", () => {
        it("a directory that is not there", async () => {
            await expectError("SM-E0960", () => check("/nonexistent-media-archive"));
        });

        it("an export that was cut short before its manifest, as -skipMissing does", async () => {
            const error = await refused("SM-E0960", (directory) => rm(join(directory, "manifest.json")));
            expect(error.detail.found).to.equal("no manifest.json, 2 other files");
        });

        it("parts that nobody unpacked", async () => {
            await withDirectory(async (directory) => {
                await writeFile(join(directory, "export-part-1.tgz"), "x");
                const { detail } = await expectError("SM-E0960", () => check(directory));
                expect(detail.found).to.contain("1 parts that are not unpacked");
            });
        });

        it("two manifests", async () => {
            const error = await refused("SM-E0960", async (directory) => {
                await mkdir(join(directory, "other"));
                await writeFile(join(directory, "other", "manifest.json"), "{}");
            });
            expect(error.detail.found).to.match(/^2 manifests/);
        });

        it("a manifest that was cut", async () => {
            const error = await refused("SM-E0960", (directory) => truncate(join(directory, "manifest.json"), 300));
            expect(error.detail.found).to.contain("no complete JSON");
        });

        it("a manifest that is longer than can be read", async () => {
            const error = await refused("SM-E0960", (directory) =>
                truncate(join(directory, "manifest.json"), 600_000_000),
            );
            expect(error.detail.found).to.contain("600000000 bytes");
        });

        for (const [what, head, found] of [
            ["an unknown version", { version: 3 }, "version 3"],
            ["a version that is no number", { version: "2" }, "version:"],
            ["no entity", { entity_id: "" }, "whose media"],
            ["no media at all", { media: {} }, "names no media"],
            ["no map of media", { media: null }, "names no media"],
            [
                "a damaged entry",
                { media: { x: { ...entryOf("x", ""), size_bytes: -1 } } },
                'entry "x" is damaged: size_bytes',
            ],
        ] as const) {
            it(what, async () => {
                const error = await refused("SM-E0960", nothing, head);
                expect(error.detail.found).to.contain(found);
            });
        }
    });

    describe("refuses with SM-E0961", () => {
        it("media of another server, each counted by its reason", async () => {
            const error = await withEntries({
                [address("firstMedia")]: entryOf("firstMedia", "one"),
                "mxc://elsewhere.test/secondMedia": entryOf("secondMedia", "two", {
                    origin: "elsewhere.test",
                    uploader: "@bob:elsewhere.test",
                }),
                [address("third")]: entryOf("secondMedia", "two"),
            })();
            expect(error.detail.found).to.contain(
                "1 of another server than rehearsal.test (mxc://elsewhere.test/secondMedia)",
            );
            expect(error.detail.found).to.contain("1 whose address is not made of their origin and media id");
            expect(error.detail.found).to.contain("1 whose file is also another one's");
        });

        for (const uploader of ["@bob:elsewhere.test", "bob", "@bob", `@bob:${serverName}:8448`]) {
            it(`the uploader ${uploader}`, async () => {
                const error = await withEntries({
                    [address("firstMedia")]: entryOf("firstMedia", "one", { uploader }),
                })();
                expect(error.detail.found).to.contain("1 whose uploader is no user of their origin");
            });
        }

        it("the archive of another homeserver", async () => {
            const error = await refused("SM-E0961", nothing, { entity_id: "elsewhere.test" });
            expect(error.detail.found).to.contain("the archive is of elsewhere.test");
        });

        it("media of others in the archive of one user", async () => {
            const error = await refused("SM-E0961", nothing, { entity_id: `@bob:${serverName}` });
            expect(error.detail.found).to.contain(`2 that are not of @bob:${serverName}`);
        });

        it("names that no database holds", async () => {
            const error = await withEntries({
                [address("firstMedia")]: entryOf("firstMedia", "one", { name: "a\0b" }),
            })();
            expect(error.detail.found).to.contain("1 with a NUL character");
        });
    });

    describe("refuses with SM-E0962", () => {
        const first = (directory: string): string => join(directory, `${serverName}__firstMedia.txt`);

        it("a missing file", async () => {
            const error = await refused("SM-E0962", (directory) => rm(first(directory)));
            expect(error.detail.found).to.contain(`1 without a file (${serverName}__firstMedia.txt)`);
        });

        it("a file of another size, before any is read", async () => {
            const error = await refused("SM-E0962", (directory) => appendFile(first(directory), "x"));
            expect(error.detail.found).to.contain("1 with files of another size");
        });

        it("a file of more than 2 GiB that lacks one byte", async () => {
            const size = 2 ** 31 + 1;
            const entry = entryOf("firstMedia", "", { size_bytes: size + 1 });
            const error = await refused("SM-E0962", (directory) => truncate(first(directory), size), {
                media: { [address("firstMedia")]: entry },
            });
            expect(error.detail.found).to.contain("2147483649 of 2147483650 bytes");
        });

        it("a file with one bit flipped", async () => {
            const error = await refused("SM-E0962", (directory) => writeFile(first(directory), "onf"));
            expect(error.detail.found).to.contain("1 with another SHA-256 (firstMedia)");
        });

        it("content that is in a bucket only", async () => {
            const entry = entryOf("thirdMedia", "x", { s3_url: "s3://bucket/x" });
            const error = await refused("SM-E0962", nothing, { media: { [address("thirdMedia")]: entry } });
            expect(error.detail.found).to.contain("1 whose content is in a bucket only");
        });

        it("a file that two parts have", async () => {
            const error = await refused("SM-E0962", async (directory) => {
                await mkdir(join(directory, "part"));
                await writeFile(first(join(directory, "part")), "one");
            });
            expect(error.detail.found).to.contain("1 that are in the archive more than once");
        });

        it("a link, wherever it leads", async () => {
            const error = await refused("SM-E0962", async (directory) => {
                await rm(first(directory));
                await symlink("/etc/passwd", first(directory));
            });
            expect(error.detail.found).to.contain("1 links or special files");
        });

        for (const mediaId of ["../../../etc/passwd", "..", "a/b", "line\nend", ""]) {
            it(`the media id ${JSON.stringify(mediaId)}`, async () => {
                const entry = entryOf(mediaId, "x", { file_name: "x.txt" });
                const error = await refused("SM-E0962", nothing, { media: { [address(mediaId)]: entry } });
                expect(error.detail.found).to.contain("no plain names");
            });
        }

        for (const file_name of ["../secret", "/etc/passwd", "..", "a\\b"]) {
            it(`the file name ${file_name}`, async () => {
                const entry = entryOf("firstMedia", "x", { file_name });
                const error = await refused("SM-E0962", nothing, { media: { [address("firstMedia")]: entry } });
                expect(error.detail.found).to.contain("no plain names");
            });
        }
    });

    it("stops when it is told to", async () => {
        await withDirectory(async (directory) => {
            await writeArchive(directory, { firstMedia: "one" });
            const failure = await checkMediaArchive(directory, { serverName, signal: AbortSignal.abort() }).catch(
                (error: unknown) => error,
            );
            expect(failure).to.have.property("name", "AbortError");
        });
    });
});
