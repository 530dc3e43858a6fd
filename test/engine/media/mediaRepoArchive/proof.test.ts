import { expect } from "chai";
import type { ArchivedMedia, MediaArchive } from "../../../../engine/media/mediaRepoArchive/mediaArchive.ts";
import { proveArrival, type ArrivalProof } from "../../../../engine/media/mediaRepoArchive/proof.ts";
import { testCluster } from "../../../support/cluster.ts";
import { serverName, sha256Of } from "./fixtures.ts";

/** The columns that an import fills, as matrix-media-repo 1.3 has them. */
const mediaTable = `
    CREATE TABLE media (
        media_id text NOT NULL, origin text NOT NULL, user_id text NOT NULL, upload_name text NOT NULL, content_type text NOT NULL,
        size_bytes bigint NOT NULL, sha256_hash text NOT NULL, creation_ts bigint NOT NULL, quarantined boolean NOT NULL,
        datastore_id text NOT NULL, location text NOT NULL,
        UNIQUE (origin, media_id))`;

function itemOf(mediaId: string, more: Partial<ArchivedMedia> = {}): ArchivedMedia {
    return {
        origin: serverName,
        mediaId,
        uploadName: "a name",
        contentType: "image/png",
        sizeBytes: 3,
        sha256: sha256Of("one"),
        uploader: `@alice:${serverName}`,
        createdTs: 7,
        path: "/nonexistent",
        synapse: undefined,
        ...more,
    };
}

const archiveOf = (items: readonly ArchivedMedia[]): MediaArchive => ({
    version: 2,
    entityId: serverName,
    items,
    bytes: 0,
    unlisted: { count: 0, first: [] },
});

/** Asks for items after they were imported, and something was done to the table. */
async function proofOf(items: readonly ArchivedMedia[], change = "SELECT 1"): Promise<ArrivalProof> {
    const cluster = await testCluster();
    const name = await cluster.createDatabase();
    await cluster.query(name, mediaTable, "synapse");
    const rows = items.map(({ origin, mediaId, uploadName, contentType, sizeBytes, sha256, uploader, createdTs }) => ({
        ...{ origin, media_id: mediaId, upload_name: uploadName ?? "", content_type: contentType ?? "" },
        ...{ size_bytes: sizeBytes, sha256_hash: sha256, user_id: uploader ?? "", creation_ts: createdTs },
        ...{ quarantined: false, datastore_id: "main", location: `aa/bb/${mediaId}` },
    }));
    const json = JSON.stringify(rows).replaceAll("'", "''");
    await cluster.query(
        name,
        `INSERT INTO media SELECT (jsonb_populate_recordset(NULL::media, '${json}')).*`,
        "synapse",
    );
    await cluster.query(name, change, "synapse");
    return proveArrival(cluster.address(name), archiveOf(items), { step: "test" });
}

describe("the proof that an archive arrived in matrix-media-repo", () => {
    it("finds every item that is there as it was", async () => {
        const bare = itemOf("bare", { uploadName: undefined, contentType: undefined, uploader: undefined });
        const proof = await proofOf([itemOf("named"), bare]);
        expect(proof).to.deep.equal({
            expected: 2,
            arrived: 2,
            missing: { count: 0, first: [] },
            different: { count: 0, first: [] },
            servedAgain: { count: 0, first: [] },
            redated: 0,
        });
    });

    it("finds what is missing, also where another server's media has the same id, or an id differs only in case", async () => {
        const items = [itemOf("first"), itemOf("second"), itemOf("aB"), itemOf("Ab")];
        const proof = await proofOf(
            items,
            `UPDATE media SET origin = 'elsewhere.test' WHERE media_id = 'first'; DELETE FROM media WHERE media_id = 'Ab'`,
        );
        expect(proof.missing).to.deep.equal({ count: 2, first: ["Ab", "first"] });
        expect(proof).to.include({ expected: 4, arrived: 2 });
    });

    for (const [change, what] of [
        ["size_bytes = 4", "length"],
        ["sha256_hash = 'other'", "content"],
        ["location = ''", "content"],
        ["user_id = '@bob:rehearsal.test'", "uploader"],
        ["upload_name = ''", "name"],
        ["content_type = 'text/html'", "type"],
        ["size_bytes = 4, sha256_hash = 'other'", "length, content"],
    ]) {
        it(`finds another ${what} (${change})`, async () => {
            const proof = await proofOf([itemOf("first")], `UPDATE media SET ${change}`);
            expect(proof.different).to.deep.equal({ count: 1, first: [`first: ${what}`] });
            expect(proof.arrived).to.equal(0);
        });
    }

    it("finds quarantined media that is served again, and counts lost times", async () => {
        const facts = {
            ...{ quarantinedBy: "@admin:x", safeFromQuarantine: false, authenticated: null, urlCache: null },
            lastAccessTs: null,
        };
        const items = [
            itemOf("bad", { synapse: facts }),
            itemOf("good", { synapse: { ...facts, quarantinedBy: null } }),
        ];
        const served = await proofOf(items, "UPDATE media SET creation_ts = 8");
        expect(served.servedAgain.first).to.deep.equal(["bad"]);
        expect(served).to.include({ arrived: 2, redated: 2 });
        const again = await proofOf(items, "UPDATE media SET quarantined = true WHERE media_id = 'bad'");
        expect(again.servedAgain.count).to.equal(0);
    });

    it("asks for more items than go into one question", async () => {
        const items = Array.from({ length: 5001 }, (_, index) => itemOf(`media${index}`));
        const proof = await proofOf(items, "DELETE FROM media WHERE media_id = 'media5000'");
        expect(proof).to.include({ expected: 5001, arrived: 5000 });
        expect(proof.missing.first).to.deep.equal(["media5000"]);
    });
});
