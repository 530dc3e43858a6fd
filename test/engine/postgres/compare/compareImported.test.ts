import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import { importDump } from "../../../../steps/migrate/import.ts";
import { compareImported, type CompareImportedOptions } from "../../../../engine/postgres/compare/compareImported.ts";
import {
    readImportManifest,
    writeImportManifest,
    type ImportManifest,
} from "../../../../engine/postgres/compare/importManifest.ts";
import { readDefinitions } from "../../../../engine/postgres/catalogue/catalogue.ts";
import { withClient } from "../../../../engine/postgres/connection.ts";
import { backupOf, importSpec, newDirectory, pgDump } from "../../../support/bundle.ts";
import { testCluster, type TestCluster } from "../../../support/cluster.ts";
import { expectError } from "../../../support/expectError.ts";
import { newRun } from "../../../support/migrationDump.ts";

const kept: CompareImportedOptions = { oneTimeKeys: "kept", owner: "synapse", mediaRowsAdded: 0 };

describe("compareImported", function () {
    this.timeout(120_000);
    let cluster: TestCluster;
    let incoming: string;
    let manifest: ImportManifest;
    let digest: string;

    before(async () => {
        cluster = await testCluster();
        const source = await cluster.createDatabase("synapse", cluster.newName("source"));
        const directory = join(await newDirectory(cluster), "dump.dir");
        await pgDump(cluster, source, ["--format", "directory", "--file", directory]);
        const run = await newRun(cluster);
        const spec = await importSpec(cluster, run, backupOf([directory], { stoppedBeforeExport: true }));
        const result = await importDump.act(spec, run);
        ({ incoming, manifestDigest: digest } = result);
        manifest = await readImportManifest(result.manifestFile, digest);
    });

    const compare = (more: Partial<CompareImportedOptions> = {}) =>
        compareImported(cluster.superuserAddress(incoming), manifest, {
            ...kept,
            ...more,
        });
    const failedOf = ({ checks }: Awaited<ReturnType<typeof compare>>) =>
        checks.filter(({ state }) => state === "failed").map(({ id, evidence }) => `${id}: ${evidence}`);

    it("passes every check of a database that is what its dump says", async () => {
        const { checks, tables } = await compare();
        expect(checks.filter(({ state }) => state !== "passed")).to.deep.equal([]);
        expect(tables).to.have.length(manifest.tables.length);
        expect(tables.reduce((sum, { targetRows }) => sum + targetRows, 0)).to.be.greaterThan(100);
    });

    it("finds what was never loaded, though the manifest has been written after the database", async () => {
        const definitions = await withClient(cluster.superuserAddress(incoming), { step: "test" }, async (client) => {
            await client.query("DROP INDEX public.events_ts; ALTER TABLE public.users ALTER COLUMN admin DROP DEFAULT");
            return readDefinitions(client);
        });
        const { checks } = await compareImported(
            cluster.superuserAddress(incoming),
            { ...manifest, definitions },
            kept,
        );
        await cluster.query(
            incoming,
            "CREATE INDEX events_ts ON events USING btree (origin_server_ts, stream_ordering); ALTER INDEX events_ts OWNER TO synapse; ALTER TABLE users ALTER COLUMN admin SET DEFAULT 0",
        );
        const failed = checks.filter(({ state }) => state === "failed");
        expect(failed.map(({ id }) => id)).to.deep.equal(["database-declared"]);
        expect(failed[0]?.evidence)
            .to.contain("missing index public.events_ts")
            .and.to.contain("changed column public.users.admin");
        expect(failedOf(await compare())).to.deep.equal([]);
    });

    for (const [title, change, back, expected] of [
        [
            "one altered row",
            "UPDATE users SET creation_ts = creation_ts + 1 WHERE name = (SELECT min(name) FROM users)",
            "UPDATE users SET creation_ts = creation_ts - 1 WHERE name = (SELECT min(name) FROM users)",
            /^database-rows: public\.users: \d+ rows, but not the same ones$/,
        ],
        [
            "a row that was added",
            "INSERT INTO users (name) VALUES ('@mallory:rehearsal.test')",
            "DELETE FROM users WHERE name = '@mallory:rehearsal.test'",
            /^database-rows: public\.users: \d+ rows in the dump, \d+ in the database$/,
        ],
        [
            "a sequence that was moved",
            "SELECT setval('events_stream_seq', nextval('events_stream_seq') + 5)",
            "",
            /^database-sequences: .*events_stream_seq/,
        ],
        [
            "a sequence that has given out its value, and does not say so",
            "SELECT setval('events_stream_seq', (SELECT last_value FROM events_stream_seq), false)",
            "",
            /^database-sequences: .*events_stream_seq/,
        ],
        [
            "an index that was dropped",
            "DROP INDEX events_ts",
            "CREATE INDEX events_ts ON events USING btree (origin_server_ts, stream_ordering); ALTER INDEX events_ts OWNER TO synapse",
            /^database-definitions: .*events_ts/,
        ],
        [
            "a table that was added",
            "CREATE TABLE extra (id int); ALTER TABLE extra OWNER TO synapse",
            "DROP TABLE extra",
            /^database-definitions: .*extra/,
        ],
        [
            "an object of another owner",
            "ALTER TABLE events OWNER TO postgres",
            "ALTER TABLE events OWNER TO synapse",
            /^database-owners: .*events/,
        ],
        [
            "another run's marker",
            "UPDATE synapse_migration.marker SET run = 'other'",
            "RESET",
            /^database-marker: .*other/,
        ],
    ] as const) {
        it(`finds ${title}`, async () => {
            const sequence = manifest.sequences.find(({ name }) => name === "events_stream_seq");
            await cluster.query(incoming, change);
            try {
                expect(failedOf(await compare())).to.satisfy((all: string[]) => all.some((one) => expected.test(one)));
            } finally {
                if (back === "")
                    await cluster.query(
                        incoming,
                        `SELECT setval('events_stream_seq', ${sequence?.lastValue}, ${sequence?.isCalled})`,
                    );
                else
                    await cluster.query(
                        incoming,
                        back === "RESET" ? `UPDATE synapse_migration.marker SET run = '${manifest.run}'` : back,
                    );
            }
        });
    }

    it("takes rows that came with the media, as many as were added, and no other", async () => {
        const add = "INSERT INTO local_media_repository (media_id, media_length) VALUES ('fromarchive', 1)";
        await cluster.query(incoming, add);
        try {
            expect(failedOf(await compare({ mediaRowsAdded: 1 }))).to.deep.equal([]);
            expect(failedOf(await compare({ mediaRowsAdded: 2 }))).to.have.length(1);
            expect(failedOf(await compare())).to.have.length(1);
        } finally {
            await cluster.query(incoming, "DELETE FROM local_media_repository WHERE media_id = 'fromarchive'");
        }
    });

    it("names a column that is not there among all else that differs", async () => {
        await cluster.query(incoming, "ALTER TABLE users RENAME password_hash TO hash");
        try {
            const failed = failedOf(await compare());
            expect(failed.map((one) => one.split(":")[0])).to.have.members([
                "database-rows",
                "database-definitions",
                "database-declared",
            ]);
            expect(failed.join("\n")).to.contain("password_hash");
        } finally {
            await cluster.query(incoming, "ALTER TABLE users RENAME hash TO password_hash");
        }
    });

    it("wants every one-time key where they were kept, and none where they were emptied", async () => {
        expect(failedOf(await compare({ oneTimeKeys: "emptied" }))).to.have.length(1);
        expect(failedOf(await compare())).to.deep.equal([]);
        await cluster.query(incoming, "TRUNCATE e2e_one_time_keys_json");
        const emptied = await compare({ oneTimeKeys: "emptied" });
        expect(failedOf(emptied)).to.deep.equal([]);
        expect(emptied.checks.map(({ evidence }) => evidence).join("\n")).to.contain("one-time keys emptied");
    });

    it("names every table that is not there, and another encoding", async () => {
        const other = cluster.newName();
        await cluster.query(
            "postgres",
            `CREATE DATABASE ${other} TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'`,
        );
        const failed = failedOf(await compareImported(cluster.superuserAddress(other), manifest, kept)).join("\n");
        expect(failed)
            .to.match(/database-rows: public\.\w+ is missing/)
            .and.to.contain("SQL_ASCII");
    });

    describe("the manifest of an import", () => {
        it("is refused when it is missing, no manifest, altered, or another one", async () => {
            const directory = await newDirectory(cluster);
            const file = join(directory, "manifest.json");
            const refused = (given = digest) => expectError("SM-E0911", () => readImportManifest(file, given));
            await refused();
            await writeFile(file, "{");
            await refused();
            expect(await writeImportManifest(file, manifest)).to.equal(digest);
            await refused("0".repeat(64));
            await writeFile(file, JSON.stringify({ digest, manifest: { ...manifest, serverName: "other.test" } }));
            await refused();
            await writeImportManifest(file, manifest);
            expect(await readImportManifest(file, digest)).to.deep.equal(manifest);
        });
    });
});
