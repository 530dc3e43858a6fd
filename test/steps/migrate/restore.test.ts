import { expect } from "chai";
import { spawn } from "node:child_process";
import { readFile, readdir, rename, rm, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { restore } from "../../../steps/migrate/restore.ts";
import { withClient } from "../../../engine/postgres/connection.ts";
import { createMarker, readMarker, type MarkerState } from "../../../engine/postgres/databases/marker.ts";
import { manifestDigest, writeManifest } from "../../../engine/postgres/compare/dumpManifest.ts";
import { expectError } from "../../support/expectError.ts";
import { testCluster, testServerName, type TestCluster } from "../../support/cluster.ts";
import { copyDump, makeDump, restoreSpec, type MigrationDump } from "../../support/migrationDump.ts";
import { untilTrue } from "../../support/waiting.ts";

describe("the step restore", function () {
    this.timeout(60_000);
    let cluster: TestCluster;
    let made: MigrationDump;

    before(async function () {
        this.timeout(180_000);
        cluster = await testCluster();
        made = await makeDump(cluster, async (source) => {
            await cluster.query(
                source,
                `INSERT INTO e2e_one_time_keys_json (user_id, device_id, algorithm, key_id, ts_added_ms, key_json)
                VALUES ('@otk:rehearsal.test', 'D', 'signed_curve25519', 'k1', 1, '{}')`,
            );
        });
    });

    const mark = (name: string, run: string, state: MarkerState) =>
        withClient(cluster.address(name), { step: "test" }, (client) =>
            createMarker(client, run, testServerName, state),
        );
    const markerOf = (name: string) => withClient(cluster.address(name), { step: "test" }, readMarker);
    const keysIn = async (name: string) =>
        (await cluster.query(name, "SELECT count(*)::int AS n FROM e2e_one_time_keys_json"))[0]?.["n"];
    const dataFile = ({ manifest }: MigrationDump): string => {
        const [largest] = manifest.files.filter(({ path }) => path.endsWith(".dat")).sort((a, b) => b.bytes - a.bytes);
        return largest?.path ?? "";
    };

    it("restores into a database of its own that Synapse's role owns, and marks it", async () => {
        const name = cluster.newName("target");
        const copy = await copyDump(cluster, made);
        const spec = restoreSpec(cluster, copy, name);
        const result = await restore.act(spec, copy.run);
        expect(result.incoming).to.equal(`${name}_incoming_${copy.run.id}`);
        expect(result.oneTimeKeys).to.equal("kept");
        expect(await keysIn(result.incoming)).to.be.greaterThan(0);
        expect((await markerOf(result.incoming))?.state).to.equal("restored");
        const [facts] = await cluster.query(
            result.incoming,
            "SELECT datcollate, pg_get_userbyid(datdba) AS owner FROM pg_database WHERE datname = current_database()",
        );
        expect(facts).to.deep.equal({ datcollate: "C", owner: "synapse" });
        expect((await readdir(copy.run.directory)).some((file) => file.startsWith("pgpass"))).to.equal(false);
        expect(await cluster.databases()).to.not.include(name);

        await restore.undo?.(spec, copy.run);
        expect(await cluster.databases()).to.not.include(result.incoming);
        await restore.undo?.(spec, copy.run);
    });

    it("empties the one-time keys unless the source was fenced before the dump", async () => {
        const copy = await copyDump(cluster, made);
        const { fenceToken, ...spec } = restoreSpec(cluster, copy, cluster.newName("target"));
        expect(fenceToken).to.be.a("string");
        const result = await restore.act(spec, copy.run);
        expect(result.oneTimeKeys).to.equal("emptied");
        expect(await keysIn(result.incoming)).to.equal(0);
    });

    it("finds a bit that was flipped, which pg_restore does not", async () => {
        const copy = await copyDump(cluster, made);
        const path = join(copy.run.directory, "dump", dataFile(made));
        const bytes = await readFile(path);
        const middle = Math.floor(bytes.length / 2);
        bytes.writeUInt8(bytes.readUInt8(middle) ^ 1, middle);
        await writeFile(path, bytes);
        const error = await refused(copy, "SM-E0906");
        expect(error.detail.found).to.equal(`${dataFile(made)} is altered: another SHA-256`);
    });

    it("finds a file that was cut inside of a COPY, which pg_restore does not", async () => {
        const copy = await copyDump(cluster, made);
        const path = join(copy.run.directory, "dump", dataFile(made));
        const { size } = await stat(path);
        await truncate(path, Math.floor(size / 2));
        const error = await refused(copy, "SM-E0906");
        expect(error.detail.found).to.equal(`${dataFile(made)} has ${Math.floor(size / 2)} bytes and not ${size}`);
    });

    it("finds a file that is missing, and one that is not of the dump", async () => {
        const copy = await copyDump(cluster, made);
        const directory = join(copy.run.directory, "dump");
        await rename(join(directory, dataFile(made)), join(directory, "99999.dat"));
        const error = await refused(copy, "SM-E0906");
        expect(error.detail.found).to.equal(`${dataFile(made)} is missing\n99999.dat is not of this dump`);
    });

    it("refuses the manifest of another dump, and the dump of another homeserver", async () => {
        const copy = await copyDump(cluster, made);
        await refused({ ...copy, manifestDigest: "0".repeat(64) }, "SM-E0911");
        const other = { ...made.manifest, serverName: "other.test" };
        await writeManifest(copy.manifestFile, other);
        await refused({ ...copy, manifestDigest: manifestDigest(other) }, "SM-E0909");
    });

    it("refuses a server older than the source's, and an extension that it lacks", async () => {
        const copy = await copyDump(cluster, made);
        const newer = {
            ...made.manifest,
            database: { ...made.manifest.database, serverVersion: "99.1", serverVersionNumber: 990001 },
        };
        await writeManifest(copy.manifestFile, newer);
        await refused({ ...copy, manifestDigest: manifestDigest(newer) }, "SM-E0503");
        const definitions = [
            ...made.manifest.definitions,
            { kind: "extension", name: "no_such_extension", definition: "" },
        ];
        const extended = { ...made.manifest, definitions };
        await writeManifest(copy.manifestFile, extended);
        await refused({ ...copy, manifestDigest: manifestDigest(extended) }, "SM-E0511");
    });

    it("refuses an incoming database that holds anything and is not marked, and names what it holds", async () => {
        const copy = await copyDump(cluster, made);
        const name = cluster.newName("target");
        const incoming = await cluster.createDatabase("empty", `${name}_incoming_${copy.run.id}`);
        await cluster.query(incoming, "CREATE VIEW public.precious AS SELECT 1", "synapse");
        const error = await refused(copy, "SM-E0804", name);
        expect(error.detail.found).to.equal("view public.precious");
        await restore.undo?.(restoreSpec(cluster, copy, name), copy.run);
        expect(await cluster.databases()).to.include(incoming);
    });

    it("refuses an incoming database of another run, and leaves it when it is undone", async () => {
        const copy = await copyDump(cluster, made);
        const name = cluster.newName("target");
        const incoming = await cluster.createDatabase("empty", `${name}_incoming_${copy.run.id}`);
        await mark(incoming, "other", "restored");
        await refused(copy, "SM-E0708", name);
        await restore.undo?.(restoreSpec(cluster, copy, name), copy.run);
        expect(copy.run.said.at(-1)).to.match(/marker of run other.*it stays/);
        expect(await cluster.databases()).to.include(incoming);
    });

    it("never restores over a target that any run has committed", async () => {
        const copy = await copyDump(cluster, made);
        const name = await cluster.createDatabase("empty", cluster.newName("target"));
        await mark(name, "earlier", "committed");
        await refused(copy, "SM-E0707", name);
        expect(await cluster.databases()).to.not.include(`${name}_incoming_${copy.run.id}`);
    });

    it("refuses the source's own database as the target", async () => {
        await refused(await copyDump(cluster, made), "SM-E0803", made.sourceName);
    });

    it("restores again from the start after it was killed in the middle", async () => {
        const copy = await copyDump(cluster, made);
        const name = cluster.newName("target");
        const spec = restoreSpec(cluster, copy, name);
        const incoming = `${name}_incoming_${copy.run.id}`;
        const child = spawn(
            process.execPath,
            ["--import", "tsx", fileURLToPath(import.meta.resolve("../../support/restoreProcess.ts"))],
            { stdio: ["pipe", "ignore", "inherit"], env: { ...process.env, NODE_V8_COVERAGE: "" } },
        );
        const ended = new Promise((resolve) => child.once("exit", (_code, signal) => resolve(signal)));
        child.stdin.end(JSON.stringify(spec));
        await untilTrue(async () => (await cluster.databases()).includes(incoming) && (await tablesIn(incoming)) > 50);
        child.kill("SIGKILL");
        expect(await ended).to.equal("SIGKILL");
        expect((await markerOf(incoming))?.state).to.equal("restoring");
        await restore.act(spec, copy.run);
        expect((await markerOf(incoming))?.state).to.equal("restored");
        expect(await tablesIn(incoming)).to.equal(made.manifest.tables.length + 1);
        expect((await readdir(copy.run.directory)).some((file) => file.startsWith("pgpass"))).to.equal(false);
    });

    it("names the unique index that the rows of a damaged source break", async () => {
        const copy = await makeDump(cluster, async (source) => {
            await cluster.query(
                source,
                `UPDATE pg_index SET indisready = false, indislive = false WHERE indexrelid = 'users_name_key'::regclass`,
            );
            await cluster.query(source, "INSERT INTO users SELECT * FROM users LIMIT 1");
            await cluster.query(
                source,
                `UPDATE pg_index SET indisready = true, indislive = true WHERE indexrelid = 'users_name_key'::regclass`,
            );
        });
        const error = await refused(copy, "SM-E0513");
        expect(error.detail.found).to.equal('could not create unique index "users_name_key"');
    });

    it("finds that the whole archive is missing", async () => {
        const copy = await copyDump(cluster, made);
        await rm(join(copy.run.directory, "dump"), { recursive: true });
        await refused(copy, "SM-E0906");
    });

    async function refused(
        copy: MigrationDump,
        code: Parameters<typeof expectError>[0],
        name = cluster.newName("target"),
    ) {
        const before = await cluster.databases();
        const error = await expectError(code, () => restore.act(restoreSpec(cluster, copy, name), copy.run));
        if (code !== "SM-E0513") expect(await cluster.databases()).to.deep.equal(before);
        return error;
    }

    async function tablesIn(name: string): Promise<number> {
        const rows = await cluster.query(
            name,
            "SELECT count(*)::int AS n FROM pg_class WHERE relkind = 'r' AND oid >= 16384",
        );
        return Number(rows[0]?.["n"]);
    }
});
