import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import type { Check } from "../../../../contract/index.ts";
import { keepHandedManifest } from "../../../../engine/media/mediaRepo/handedManifest.ts";
import { verifyHandedMedia } from "../../../../engine/media/mediaRepo/verifyHanded.ts";
import { testCluster } from "../../../support/cluster.ts";
import { entryOf, serverName, sha256Of } from "../mediaRepoArchive/fixtures.ts";

/** A restored database and matrix-media-repo's, both with `one` and `two`, and something done to either. */
async function verified(changes: { restored?: string; repository?: string; empty?: true } = {}): Promise<Check[]> {
    const cluster = await testCluster();
    const [restored, repository] = [await cluster.createDatabase("synapse"), await cluster.createDatabase()];
    const ids = changes.empty ? [] : ["one", "two"].map((id) => `${id}-media-id`);
    await cluster.query(restored, "TRUNCATE local_media_repository");
    await cluster.query(
        repository,
        `CREATE TABLE media (media_id text, origin text, user_id text, upload_name text, content_type text, size_bytes bigint,
            sha256_hash text, creation_ts bigint, quarantined boolean, location text); ALTER TABLE media OWNER TO synapse`,
    );
    for (const id of ids) {
        await cluster.query(
            restored,
            `INSERT INTO local_media_repository (media_id, media_length, sha256, created_ts) VALUES ('${id}', ${id.length}, '${sha256Of(id)}', 1)`,
        );
        await cluster.query(
            repository,
            `INSERT INTO media VALUES ('${id}', '${serverName}', '@alice:${serverName}', '${id}.txt', 'text/plain', ${id.length}, '${sha256Of(id)}', 1, false, 'a')`,
        );
    }
    await cluster.query(restored, changes.restored ?? "SELECT 1");
    await cluster.query(repository, changes.repository ?? "SELECT 1");
    const directory = await mkdtemp(join(tmpdir(), "verify-handed-"));
    try {
        const [manifestFile, config] = [join(directory, "handed.json"), join(directory, "media-repo.yaml")];
        const entries = ids.map((id) => [`mxc://${serverName}/${id}`, entryOf(id, id)] as const);
        const manifest = { version: 2, entity_id: serverName, created_ts: 1, media: Object.fromEntries(entries) };
        const manifestDigest = await keepHandedManifest(manifestFile, JSON.stringify(manifest));
        const { password = "" } = cluster.address(repository);
        const address = `postgres://synapse:${password}@127.0.0.1:${cluster.port}/${repository}`;
        const datastores = "datastores: [{type: s3, forKinds: [all]}]";
        await writeFile(config, `database: {postgres: ${JSON.stringify(address)}}\n${datastores}\n`);
        const handed = { manifestFile, manifestDigest, config };
        return await verifyHandedMedia(handed, cluster.address(restored), new AbortController().signal);
    } finally {
        await rm(directory, { recursive: true, force: true });
    }
}

const states = (checks: readonly Check[]): string[] => checks.map(({ id, state }) => `${id} ${state}`);

describe("the verification of media that were handed over", function () {
    this.timeout(60_000);

    it("passes when matrix-media-repo has all, and the restored database nothing else", async () => {
        expect(states(await verified())).to.deep.equal(["media.arrived passed", "media.complete passed"]);
        expect(states(await verified({ empty: true }))).to.deep.equal([
            "media.arrived passed",
            "media.complete passed",
        ]);
    });

    it("fails when something that had arrived is gone again, or has other content", async () => {
        const [gone] = await verified({ repository: "DELETE FROM media WHERE media_id = 'two-media-id'" });
        expect(gone).to.include({ state: "failed" });
        expect(gone?.evidence).to.contain("two-media-id");
        const [altered] = await verified({
            repository: "UPDATE media SET sha256_hash = 'x' WHERE media_id = 'one-media-id'",
        });
        expect(altered?.evidence).to.contain("have other content").and.to.contain("one-media-id");
    });

    it("fails when the restored database has media that was not handed over", async () => {
        const restored =
            "INSERT INTO local_media_repository (media_id, media_length, created_ts) VALUES ('later-media', 4, 1)";
        const [, complete] = await verified({ restored });
        expect(complete).to.include({ id: "media.complete", state: "failed" });
        expect(complete?.evidence).to.contain("later-media");
    });
});
