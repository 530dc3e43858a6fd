import { expect } from "chai";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { z } from "zod";
import type { copyContract } from "../../../contract/index.ts";
import { copy } from "../../../steps/migrate/directCopy.ts";
import { tokenDigest, writeToken } from "../../../engine/fence/fenceToken.ts";
import { readWatermarks } from "../../../engine/fence/watermarks.ts";
import { compareDatabase } from "../../../engine/postgres/compare/compareDatabase.ts";
import { withClient } from "../../../engine/postgres/connection.ts";
import { readManifest } from "../../../engine/postgres/compare/dumpManifest.ts";
import { readMarker } from "../../../engine/postgres/databases/marker.ts";
import { restore } from "../../../steps/migrate/restore.ts";
import { expectError } from "../../support/expectError.ts";
import { testCluster, testServerName, type TestCluster } from "../../support/cluster.ts";
import { newRun } from "../../support/migrationDump.ts";
import type { TestRun } from "../../support/stepRun.ts";
import { until } from "../../../engine/run/until.ts";

type Spec = z.infer<typeof copyContract.spec>;

/** Of each of five tables, as COPY writes it. */
const fillerBytes = 1_500_000;
const fillers = Array.from(
    { length: 5 },
    (_, index) =>
        `CREATE TABLE filler${index} AS SELECT g AS id, repeat('x', 1480) AS text FROM generate_series(1, 1000) g;
        ALTER TABLE filler${index} ADD PRIMARY KEY (id); ALTER TABLE filler${index} OWNER TO synapse;`,
).join("\n");

describe("the step copy", function () {
    this.timeout(60_000);
    let cluster: TestCluster;

    before(async function () {
        this.timeout(180_000);
        cluster = await testCluster();
    });

    it("copies into a database of its own that Synapse's role owns, marks it, and writes a manifest that holds", async () => {
        const { spec, run } = await fenced();
        const result = await copy.act(spec, run);
        expect(result.incoming).to.equal(`${spec.database.name}_incoming_${run.id}`);
        expect(result).to.include({ oneTimeKeys: "kept" });
        expect(result.rows).to.be.greaterThan(500);
        expect(result.bytes).to.be.greaterThan(10_000);
        expect((await markerOf(result.incoming))?.state).to.equal("restored");
        expect(await keysIn(result.incoming)).to.be.greaterThan(0);
        expect(await failures(result, "kept")).to.deep.equal([]);
        expect(await readdir(run.directory)).to.have.members(["fence-token.json", "copy-manifest.json"]);
        await copy.undo?.(spec, run);
        expect(await cluster.databases()).to.not.include(result.incoming);
        expect(await readdir(run.directory)).to.deep.equal(["fence-token.json"]);
        await copy.undo?.(spec, run);
    });

    it("copies as a role of its own in place of a superuser, who owns all in the end; anew where its record was lost", async () => {
        const { spec, run } = await fenced();
        const database = await cluster.installed(spec.database.name, "postgres");
        for (let attempt = 0; attempt < 2; attempt++) {
            const result = await copy.act({ ...spec, database }, run);
            expect(await failures(result, "kept", "postgres")).to.deep.equal([]);
            const roles = `SELECT rolname FROM pg_roles WHERE rolname = '${result.incoming}'`;
            expect(await cluster.query("postgres", roles)).to.deep.equal([]);
        }
        await copy.undo?.({ ...spec, database }, run);
    });

    it("empties the one-time keys of a copy of a source that goes on", async () => {
        const { spec, run } = await running();
        const result = await copy.act(spec, run);
        expect(result.oneTimeKeys).to.equal("emptied");
        expect(await keysIn(result.incoming)).to.equal(0);
        expect(await failures(result, "emptied")).to.deep.equal([]);
    });

    it("makes nothing when the source was written to after it was fenced", async () => {
        const { spec, run, sourceName } = await fenced();
        await cluster.query(sourceName, "SELECT nextval('events_stream_seq')");
        await refused("SM-E0702", spec, run);
    });

    it("makes nothing when the source holds what only an archive can carry", async () => {
        const { spec, run } = await running("SELECT lo_create(0)");
        await refused("SM-E0540", spec, run);
    });

    it("makes nothing in place of the source itself", async () => {
        const { spec, run, sourceName } = await running();
        await refused("SM-E0803", { ...spec, database: cluster.target(sourceName) }, run);
    });

    it("goes on where it was when it was killed, as long as the source is fenced", async () => {
        const { spec, run, sourceName } = await fenced(fillers);
        await killed(spec, run);
        const result = await copy.act(spec, run);
        expect(run.said).to.include(`[test] continuing what an earlier attempt has copied into ${result.incoming}`);
        expect(run.evidences.at(-1)).to.include({ continued: true });
        expect(result.bytes).to.be.below(fillerBytes * 4.5);
        expect(await failures(result, "kept")).to.deep.equal([]);
        expect((await markerOf(result.incoming))?.state).to.equal("restored");
        expect((await readdir(run.directory)).sort()).to.deep.equal(["copy-manifest.json", "fence-token.json"]);
        // Again, as when only the answer was lost: nothing is left to be done. The swap removes what that is known by.
        const again = await copy.act(spec, run);
        expect(run.evidences.at(-1)).to.include({ continued: true });
        expect(again.bytes, "copied anew").to.equal(0);
        expect(await failures(again, "kept")).to.deep.equal([]);
        expect(await cluster.databases()).to.include(sourceName);
    });

    it("begins anew when it was killed while it copied a source that goes on", async () => {
        const { spec, run } = await running(fillers);
        await killed(spec, run);
        const result = await copy.act(spec, run);
        expect(run.evidences.at(-1)).to.include({ continued: false });
        expect(result.bytes).to.be.above(fillerBytes * 5);
        expect(await failures(result, "emptied")).to.deep.equal([]);
    });

    it("leaves nothing when it is undone after it was killed", async () => {
        const { spec, run } = await fenced(fillers);
        await killed(spec, run);
        await copy.undo?.(spec, run);
        expect((await cluster.databases()).filter((name) => name.includes(run.id))).to.deep.equal([]);
        expect(await readdir(run.directory)).to.deep.equal(["fence-token.json"]);
    });

    it("leaves a manifest that a restore refuses, as it is of no files", async () => {
        const { spec, run } = await running();
        const { manifestFile, manifestDigest } = await copy.act(spec, run);
        const { serverName } = spec.source;
        const { safeguard, database } = spec;
        const restoring = { run: spec.run, serverName, database, manifestFile, manifestDigest, safeguard, jobs: 1 };
        const { detail } = await expectError("SM-E0906", () => restore.act(restoring, run));
        expect(detail.where).to.equal(manifestFile);
    });

    async function running(also?: string): Promise<{ spec: Spec; run: TestRun; sourceName: string }> {
        const sourceName = await cluster.createDatabase("synapse", cluster.newName("source"));
        await cluster.query(
            sourceName,
            `INSERT INTO e2e_one_time_keys_json (user_id, device_id, algorithm, key_id, ts_added_ms, key_json)
            VALUES ('@otk:rehearsal.test', 'D', 'signed_curve25519', 'k1', 1, '{}')`,
        );
        if (also !== undefined) await cluster.query(sourceName, also);
        const run = await newRun(cluster);
        const spec: Spec = {
            run: { id: run.id, directory: run.directory },
            source: await cluster.source(sourceName),
            database: cluster.target(cluster.newName("target")),
            safeguard: "absent",
            jobs: 2,
        };
        return { spec, run, sourceName };
    }

    /** As the step fence leaves it. */
    async function fenced(also?: string): Promise<Awaited<ReturnType<typeof running>>> {
        const made = await running(also);
        const watermarks = await withClient(cluster.address(made.sourceName), { step: "test" }, readWatermarks);
        const fencedAt = new Date().toISOString();
        const token = { run: made.run.id, serverName: testServerName, fencedAt, watermarks };
        await writeToken(made.run.directory, token);
        return { ...made, spec: { ...made.spec, fenceToken: tokenDigest(token) } };
    }

    /** The step in a process of its own, which is killed between two tables. */
    async function killed(spec: Spec, run: TestRun): Promise<void> {
        const incoming = `${spec.database.name}_incoming_${run.id}`;
        const child = spawn(
            process.execPath,
            ["--import", "tsx", fileURLToPath(import.meta.resolve("../../support/copyProcess.ts"))],
            { stdio: ["pipe", "ignore", "inherit"], env: { ...process.env, NODE_V8_COVERAGE: "" } },
        );
        const ended = once(child, "exit");
        child.stdin.end(JSON.stringify({ ...spec, bytesPerSecond: fillerBytes }));
        const nothing = (): Error => new Error("no table was copied");
        await until(
            async () => {
                if (child.exitCode !== null) throw nothing();
                const [row] = (await cluster.databases()).includes(incoming)
                    ? await cluster.query(
                          incoming,
                          "SELECT to_regclass('synapse_migration.copy_part') IS NOT NULL AS begun",
                      )
                    : [];
                if (row?.["begun"] !== true) return undefined;
                const [done] = await cluster.query(
                    incoming,
                    "SELECT count(rows)::int AS n FROM synapse_migration.copy_part WHERE name LIKE 'filler%'",
                );
                return Number(done?.["n"]) > 0 || undefined;
            },
            { seconds: 45, everyMilliseconds: 20 },
            nothing,
        );
        child.kill("SIGKILL");
        expect((await ended)[1]).to.equal("SIGKILL");
        expect((await markerOf(incoming))?.state).to.equal("restoring");
    }

    async function failures(
        {
            incoming,
            manifestFile,
            manifestDigest,
        }: Pick<z.infer<typeof copyContract.result>, "incoming" | "manifestFile" | "manifestDigest">,
        oneTimeKeys: "kept" | "emptied",
        owner = "synapse",
    ): Promise<string[]> {
        const manifest = await readManifest(manifestFile, manifestDigest);
        const { checks } = await compareDatabase(cluster.superuserAddress(incoming), manifest, {
            oneTimeKeys,
            owner,
        });
        return checks.filter(({ state }) => state !== "passed").map(({ id, evidence }) => `${id}: ${evidence}`);
    }

    async function refused(code: Parameters<typeof expectError>[0], spec: Spec, run: TestRun): Promise<void> {
        const before = await cluster.databases();
        await expectError(code, () => copy.act(spec, run));
        expect(await cluster.databases()).to.deep.equal(before);
    }

    const markerOf = (name: string) => withClient(cluster.address(name), { step: "test" }, readMarker);
    const keysIn = async (name: string) =>
        (await cluster.query(name, "SELECT count(*)::int AS n FROM e2e_one_time_keys_json"))[0]?.["n"];
});
