import { chown, mkdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { expect } from "chai";
import type { z } from "zod";
import type { BundleSource, verifyContract } from "../../../contract/index.ts";
import { importDump } from "../../../steps/migrate/import.ts";
import { importMedia } from "../../../steps/migrate/importMedia.ts";
import { serviceUser } from "../../../engine/machines/serviceUser.ts";
import { localContentPath } from "../../../engine/media/layout.ts";
import { mediaStorage } from "../../../steps/stage/mediaStorage.ts";
import { withClient } from "../../../engine/postgres/connection.ts";
import { verify } from "../../../steps/migrate/verify.ts";
import { backupOf, importSpec, newDirectory, pgDump } from "../../support/bundle.ts";
import { testCluster, type TestCluster } from "../../support/cluster.ts";
import { expectError } from "../../support/expectError.ts";
import { newRun } from "../../support/migrationDump.ts";
import { fill, rowOf, writeArchive } from "../../engine/media/mediaRepoArchive/fixtures.ts";

describe("the step verify, after an import", function () {
    this.timeout(120_000);
    let cluster: TestCluster;
    let dump: string;
    let archive: string;

    before(async function () {
        this.timeout(180_000);
        cluster = await testCluster();
        const source = await cluster.createDatabase("synapse", cluster.newName("source"));
        await cluster.query(source, "TRUNCATE local_media_repository, local_media_repository_thumbnails");
        await withClient(cluster.address(source), { step: "test" }, async (client) =>
            fill(client, join(await newDirectory(cluster), "unused"), [{ row: rowOf("knownBefore", "known") }]),
        );
        const files = await newDirectory(cluster);
        dump = join(files, "synapse.dump");
        await pgDump(cluster, source, ["--format", "custom", "--file", dump]);
        archive = join(files, "export");
        await mkdir(archive);
        await writeArchive(archive, { knownBefore: "known", onlyInArchive: "new" });
    });

    /** A dump and media that were imported by their steps, and what verify is given for them. */
    const imported = async (more: Partial<BundleSource>) => {
        const run = await newRun(cluster);
        const spec = await importSpec(cluster, run, backupOf([dump], more));
        const result = await importDump.act(spec, run);
        const { incoming, manifestFile, manifestDigest } = result;
        const { source, database } = spec;
        const mediaStore = join(await newDirectory(cluster, "target"), "media_store");
        await mediaStorage.act({ run: spec.run, mediaStore }, run);
        const placed = { run: spec.run, source, database, incoming, mediaStore, remoteCache: "carry" as const };
        const media = await importMedia.act(placed, run);
        const files = await newDirectory(cluster);
        const [signingKeyFile, secretsFile] = [join(files, "key"), join(files, "secrets.yaml")];
        for (const file of [signingKeyFile, secretsFile]) await writeFile(file, "", { mode: 0o600 });
        const given: z.infer<typeof verifyContract.spec> = {
            ...{ ...placed, manifestFile, manifestDigest, oneTimeKeys: result.oneTimeKeys },
            ...{ mediaTreeDigest: media.treeDigest, mediaRowsAdded: media.rowsAdded, signingKeyFile, secretsFile },
        };
        return { given, run, incoming, mediaStore };
    };

    it("passes for a dump and an archive that adds a row, and fails for a file that is gone and a row that is altered", async () => {
        const { given, run, incoming, mediaStore } = await imported({ media: [archive] });
        expect(given.mediaRowsAdded).to.equal(1);
        await rm(join(mediaStore, localContentPath("knownBefore") ?? ""));
        await cluster.query(incoming, "UPDATE users SET creation_ts = creation_ts + 1");
        const error = await expectError("SM-E0601", () => verify.act(given, run));
        for (const id of ["database-rows: public.users", "media.tree", "media.complete"])
            expect(error.detail.found).to.contain(id);
        const [marker] = await cluster.query(incoming, "SELECT state FROM synapse_migration.marker");
        expect(marker).to.deep.equal({ state: "restored" });

        await cluster.query(incoming, "UPDATE users SET creation_ts = creation_ts - 1");
        const back = join(mediaStore, localContentPath("knownBefore") ?? "");
        await mkdir(dirname(back), { recursive: true });
        await writeFile(back, "known");
        const user = serviceUser();
        if (user !== undefined) await chown(back, user.uid, user.gid);
        const { warnings, notRun, proof } = await verify.act(given, run);
        expect({ warnings, notRun }).to.deep.equal({ warnings: [], notRun: [] });
        expect(proof).to.match(/^[0-9a-f]{64}$/);
    });

    it("warns of media that are missing where it is said that none came, and only then", async () => {
        const { given, run } = await imported({});
        const claimed = { ...given, source: { ...given.source, media: [archive] } };
        await expectError("SM-E0601", () => verify.act(claimed, run));
        const { warnings } = await verify.act(given, run);
        expect(warnings.map(({ id }) => id)).to.deep.equal(["media.complete"]);
    });
});
