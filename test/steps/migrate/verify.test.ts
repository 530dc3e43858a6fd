import { chmod, mkdir, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { expect } from "chai";
import { restore } from "../../../steps/migrate/restore.ts";
import { acceptanceOf } from "../../../engine/media/missingMedia.ts";
import { TreeDigest } from "../../../engine/media/treeDigest.ts";
import { serviceUser } from "../../../engine/machines/serviceUser.ts";
import { prepareStore } from "../../../engine/media/targetStore.ts";
import { verify } from "../../../steps/migrate/verify.ts";
import { testCluster, type TestCluster } from "../../support/cluster.ts";
import { expectError } from "../../support/expectError.ts";
import { makeDump, restoreSpec, type MigrationDump } from "../../support/migrationDump.ts";

describe("the step verify", function () {
    this.timeout(120_000);
    let cluster: TestCluster;
    let made: MigrationDump;

    before(async () => {
        cluster = await testCluster();
        // One media row, whose file the source has not: completeness of media is tested where media are.
        made = await makeDump(cluster, async (source) => {
            await cluster.query(source, "TRUNCATE local_media_repository, local_media_repository_thumbnails");
            await cluster.query(
                source,
                "INSERT INTO local_media_repository (media_id, media_length) VALUES ('lost1lost', 1)",
            );
        });
    });

    /** A restored database and an empty media store, and what verify is given for them. */
    async function restored() {
        const name = cluster.newName("target");
        const given = restoreSpec(cluster, made, name);
        const { incoming, oneTimeKeys } = await restore.act(given, made.run);
        const mediaStore = join(cluster.directory, `media-${name}`);
        await prepareStore(mediaStore, made.run.id, serviceUser());
        const signingKeyFile = `${mediaStore}.key`;
        const secretsFile = `${mediaStore}-secrets.yaml`;
        for (const file of [signingKeyFile, secretsFile]) await writeFile(file, "", { mode: 0o600 });
        const spec = {
            run: given.run,
            source: await cluster.source(made.sourceName),
            database: given.database,
            incoming,
            manifestFile: made.manifestFile,
            manifestDigest: made.manifestDigest,
            oneTimeKeys: oneTimeKeys as "kept" | "emptied",
            mediaStore,
            mediaTreeDigest: new TreeDigest().value(),
            signingKeyFile,
            secretsFile,
            remoteCache: "carry" as const,
            acceptMissingMedia: acceptanceOf(["lost1lost"]),
        };
        return { spec, run: made.run };
    }

    it("passes for what was restored, and says how much was compared", async () => {
        const { spec, run } = await restored();
        const result = await verify.act(spec, run);
        expect(result.tables).to.equal(made.manifest.tables.length);
        expect(result.notRun).to.deep.equal([]);
        expect(result.proof).to.match(/^[0-9a-f]{64}$/);
        expect(run.evidences.at(-1)).to.have.keys("checks", "tables");
    });

    it("fails for one altered row, a sequence that is behind, a lost index, a media file too many and a readable secret, all at once", async () => {
        const { spec, run } = await restored();
        await cluster.query(
            spec.incoming,
            "UPDATE users SET creation_ts = creation_ts + 1 WHERE name = (SELECT min(name) FROM users)",
        );
        await cluster.query(spec.incoming, "SELECT setval('events_stream_seq', 1)");
        await cluster.query(spec.incoming, "DROP INDEX events_ts");
        await mkdir(join(spec.mediaStore, "local_content/aa/bb"), { recursive: true });
        await writeFile(join(spec.mediaStore, "local_content/aa/bb/cc"), "nobody's");
        await chmod(spec.secretsFile, 0o644);
        const error = await expectError("SM-E0601", () => verify.act(spec, run));
        for (const check of [
            "database-rows",
            "database-sequences",
            "database-definitions",
            "media.tree",
            "-secrets.yaml",
        ]) {
            expect(error.detail.found).to.contain(check);
        }
        expect(error.detail.found).to.contain("local_content/aa/bb/cc is one too many");
        const unusable = await expectError("SM-E0840", () => verify.act(spec, run));
        expect(unusable.detail.found).to.match(/local_content\/aa\/bb\/cc: owner root/);
    });

    it("makes every check, also after one cannot be made: lost tables, a lost secret file, altered rows and media are told at once", async () => {
        const { spec, run } = await restored();
        await cluster.query(
            spec.incoming,
            `DROP TABLE local_media_repository CASCADE;
             ALTER TABLE synapse_migration.marker RENAME COLUMN run TO renamed;
             DELETE FROM users WHERE name = (SELECT min(name) FROM users)`,
        );
        await rm(spec.signingKeyFile);
        await writeFile(join(spec.mediaStore, "local_content"), "no directory");
        const error = await expectError("SM-E0601", () => verify.act(spec, run));
        const lines = error.detail.found.split("\n");
        const lineOf = (id: string) => lines.find((line) => line.startsWith(`${id}: `)) ?? expect.fail(`no ${id}`);
        expect(lineOf("database-rows"))
            .to.contain("public.local_media_repository is missing")
            .and.to.contain("public.users: ");
        expect(lineOf("database-marker")).to.match(/it could not be made: SM-E0730 /);
        expect(lineOf("database-definitions")).to.contain("missing column public.local_media_repository");
        expect(lineOf("media.complete"))
            .to.contain("it could not be made: SM-E1104")
            .and.to.contain("local_media_repository");
        expect(lineOf("media.tree")).to.contain("local_content");
        expect(lineOf(`secret-file ${basename(spec.signingKeyFile)}`)).to.contain("there is no");
        const { checks } = run.evidences.at(-1) as { checks: { id: string; state: string }[] };
        expect(checks.find(({ id }) => id.endsWith("-secrets.yaml"))?.state).to.equal("passed");
        expect(checks.find(({ id }) => id === "database-owners")?.state).to.equal("passed");
        // What has an error of its own comes with it.
        await expectError("SM-E0840", () => verify.act(spec, run));
    });

    it("tells what differs beside a media store that cannot be read, whose checks count as not run", async () => {
        const { spec, run } = await restored();
        await rm(spec.mediaStore, { recursive: true });
        await rm(spec.secretsFile);
        const differs = await expectError("SM-E0601", () => verify.act(spec, run));
        expect(differs.detail.found).to.match(/^secret-file \S+-secrets\.yaml: there is no \S+$/);
        await expectError("SM-E0963", () => verify.act(spec, run));
        const { checks } = run.evidences.at(-1) as { checks: { id: string; state: string }[] };
        expect(checks.filter(({ state }) => state === "not-run").map(({ id }) => id)).to.deep.equal(["media"]);
    });

    it("warns of media that are accepted as missing, and fails for another list of them", async () => {
        const { spec, run } = await restored();
        const other = { ...spec, acceptMissingMedia: acceptanceOf(["lost1lost", "lost2lost"]) };
        const error = await expectError("SM-E0601", () => verify.act(other, run));
        expect(error.detail.found).to.contain("1 media have no file").and.to.contain("another list, of 2");
        expect((await verify.act(spec, run)).warnings.map(({ id }) => id)).to.include("media.complete");
    });

    it("does not mark a database as verified that it did not pass", async () => {
        const { spec, run } = await restored();
        await cluster.query(spec.incoming, "DELETE FROM users WHERE name = (SELECT min(name) FROM users)");
        await expectError("SM-E0601", () => verify.act(spec, run));
        const [marker] = await cluster.query(spec.incoming, "SELECT state FROM synapse_migration.marker");
        expect(marker).to.deep.equal({ state: "restored" });
    });
});
