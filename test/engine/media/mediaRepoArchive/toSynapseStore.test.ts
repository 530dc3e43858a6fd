import { expect } from "chai";
import { mkdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { withClient, type Client } from "../../../../engine/postgres/connection.ts";
import type { ArchivedMedia, MediaArchive } from "../../../../engine/media/mediaRepoArchive/mediaArchive.ts";
import { checkMediaArchive } from "../../../../engine/media/mediaRepoArchive/readArchive.ts";
import {
    insertMediaRows,
    placeInSynapseStore,
    type PlacedMedia,
    type PlaceInSynapseStoreOptions,
} from "../../../../engine/media/mediaRepoArchive/toSynapseStore.ts";
import { testCluster } from "../../../support/cluster.ts";
import { expectError } from "../../../support/expectError.ts";
import { rowOf, serverName, sha256Of, withDirectory, writeArchive } from "./fixtures.ts";

interface Stage {
    readonly archive: MediaArchive;
    readonly store: string;
    readonly place: (options?: Partial<PlaceInSynapseStoreOptions>) => Promise<PlacedMedia>;
}

/** A checked archive of two media, and an empty store. */
async function withStage(work: (stage: Stage) => Promise<void>): Promise<void> {
    await withDirectory(async (directory) => {
        const [unpacked, store] = [join(directory, "unpacked"), join(directory, "store")];
        for (const path of [unpacked, store]) await mkdir(path);
        const picture = { content: "", fields: { content_type: "image/png", created_ts: 1_735_000_000_000 } };
        await writeArchive(unpacked, { firstMedia: "one", secondMedia: picture });
        const archive = await checkMediaArchive(unpacked, { serverName });
        await work({
            archive,
            store,
            place: (options) => placeInSynapseStore(archive, { mediaStore: store, ...options }),
        });
    });
}

/** A file of the archive under another name or of another length. */
function changed(archive: MediaArchive, more: Partial<ArchivedMedia>): MediaArchive {
    const [first, ...others] = archive.items;
    if (first === undefined) throw new Error("an archive without media");
    return { ...archive, items: [{ ...first, ...more }, ...others] };
}

const firstPath = "local_content/fi/rs/tMedia";

describe("placing an archive's media in Synapse's store", () => {
    it("puts each file where Synapse looks for it, and gives its row", async () => {
        await withStage(async ({ store, place }) => {
            const placed = await place();
            expect(await readFile(join(store, firstPath), "utf8")).to.equal("one");
            expect((await stat(join(store, "local_content/se/co/ndMedia"))).size).to.equal(0);
            expect(placed).to.deep.include({ files: 2, bytes: 3, kept: 0, withoutThumbnails: 1 });
            expect(placed.leftOut.count).to.equal(0);
            expect(placed.rows[0]).to.deep.equal(rowOf("firstMedia", "one"));
        });
    });

    it("leaves media open to old clients, but what was uploaded after the source asked for tokens", async () => {
        await withStage(async ({ place }) => {
            expect((await place()).rows.map(({ authenticated }) => authenticated)).to.deep.equal([false, false]);
            const { rows } = await place({ authenticatedSince: 1_735_000_000_000 });
            expect(rows.map(({ authenticated }) => authenticated)).to.deep.equal([false, true]);
        });
    });

    it("keeps what is there already with the same content", async () => {
        await withStage(async ({ store, place }) => {
            await place();
            const before = await stat(join(store, firstPath));
            expect(await place()).to.include({ files: 2, kept: 2 });
            expect((await stat(join(store, firstPath))).ino).to.equal(before.ino);
        });
    });

    it("refuses other content under the same id, before anything is copied", async () => {
        for (const other of ["two", "longer", "link"]) {
            await withStage(async ({ store, place }) => {
                await mkdir(join(store, "local_content/fi/rs"), { recursive: true });
                if (other === "link") await symlink("/etc/passwd", join(store, firstPath));
                else await writeFile(join(store, firstPath), other);
                const { detail } = await expectError("SM-E0965", place);
                expect(detail.found).to.contain(firstPath);
                expect(await stat(join(store, "local_content/se")).catch(() => undefined)).to.equal(undefined);
            });
        }
    });

    it("refuses media that is longer than Synapse can count, or leaves it out when told to", async () => {
        await withStage(async ({ archive, store }) => {
            const large = changed(archive, { sizeBytes: 2 ** 31 });
            const { detail } = await expectError("SM-E0964", () => placeInSynapseStore(large, { mediaStore: store }));
            expect(detail.found).to.equal("1 longer than 2 GiB (firstMedia)");
            const placed = await placeInSynapseStore(large, { mediaStore: store, unfit: "leaveOut" });
            expect(placed.leftOut.first).to.deep.equal(["firstMedia"]);
            expect(placed.rows.map(({ mediaId }) => mediaId)).to.deep.equal(["secondMedia"]);
        });
    });

    it("refuses ids that Synapse makes no path of", async () => {
        await withStage(async ({ archive, store }) => {
            for (const mediaId of ["abcd", "..ab..", "....x"]) {
                const short = changed(archive, { mediaId });
                const { detail } = await expectError("SM-E0964", () =>
                    placeInSynapseStore(short, { mediaStore: store }),
                );
                expect(detail.found).to.contain("1 with an id that Synapse makes no path of");
            }
        });
    });

    it("refuses a file that changed after the check, and leaves nothing in its place", async () => {
        await withStage(async ({ archive, store, place }) => {
            await writeFile(archive.items[0]?.path ?? "", "onf");
            await expectError("SM-E0962", place);
            expect(await stat(join(store, firstPath)).catch(() => undefined)).to.equal(undefined);
        });
    });

    it("refuses a store that is not there", async () => {
        await withStage(async ({ archive }) => {
            await expectError("SM-E0963", () => placeInSynapseStore(archive, { mediaStore: "/nonexistent-store" }));
        });
    });
});

describe("adding rows of media to Synapse's database", () => {
    const withTable = async (work: (client: Client) => Promise<void>): Promise<void> => {
        const cluster = await testCluster();
        const name = await cluster.createDatabase("synapse");
        await withClient(cluster.address(name), { step: "test" }, async (client) => {
            await client.query("TRUNCATE public.local_media_repository");
            await work(client);
        });
    };
    const stored = async (client: Client): Promise<unknown[]> =>
        (
            await client.query<{ row: unknown }>("SELECT to_jsonb(m) AS row FROM public.local_media_repository m")
        ).rows.map(({ row }) => row);

    it("adds what is not there and keeps rows of the same content as they are", async () => {
        await withTable(async (client) => {
            const [first, second] = [rowOf("firstMedia", "one", { quarantinedBy: "@a:x" }), rowOf("secondMedia", "")];
            expect(await insertMediaRows(client, [first])).to.deep.equal({ inserted: 1, already: 0 });
            const again = [rowOf("firstMedia", "one", { uploadName: "another" }), second];
            expect(await insertMediaRows(client, again)).to.deep.equal({ inserted: 1, already: 1 });
            expect((await stored(client))[0]).to.deep.equal({
                media_id: "firstMedia",
                media_type: "text/plain",
                media_length: 3,
                created_ts: 1_600_000_000_000,
                upload_name: "firstMedia.txt",
                user_id: `@alice:${serverName}`,
                quarantined_by: "@a:x",
                url_cache: null,
                last_access_ts: null,
                safe_from_quarantine: false,
                authenticated: false,
                sha256: sha256Of("one"),
            });
        });
    });

    for (const [what, there] of [
        ["length", { mediaLength: 4, sha256: null }],
        ["SHA-256", { sha256: sha256Of("two") }],
        ["state: announced, never uploaded", { mediaLength: null, sha256: null }],
    ] as const) {
        it(`adds nothing when a row there is of another ${what}`, async () => {
            await withTable(async (client) => {
                await insertMediaRows(client, [rowOf("firstMedia", "one", there)]);
                const rows = [rowOf("firstMedia", "one"), rowOf("secondMedia", "")];
                const { detail } = await expectError("SM-E0965", () => insertMediaRows(client, rows));
                expect(detail.found).to.contain("(firstMedia)");
                expect(await stored(client)).to.have.length(1);
            });
        });
    }

    it("takes rows from before SHA-256 as they are, and databases from before the newer columns", async () => {
        await withTable(async (client) => {
            await insertMediaRows(client, [rowOf("firstMedia", "one", { sha256: null })]);
            expect(await insertMediaRows(client, [rowOf("firstMedia", "one")])).to.deep.equal({
                inserted: 0,
                already: 1,
            });
            await client.query("ALTER TABLE public.local_media_repository DROP sha256, DROP authenticated");
            expect(await insertMediaRows(client, [rowOf("secondMedia", "")])).to.deep.equal({
                inserted: 1,
                already: 0,
            });
        });
    });

    it("takes more rows than go into one statement", async () => {
        await withTable(async (client) => {
            const rows = Array.from({ length: 10_001 }, (_, index) => rowOf(`media${index}`, ""));
            expect(await insertMediaRows(client, rows)).to.deep.equal({ inserted: 10_001, already: 0 });
        });
    });
});
