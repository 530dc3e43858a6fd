import { chmod, mkdir, readdir, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect } from "chai";
import type { z } from "zod";
import { quickAssessment } from "../../../steps/assess/assess.ts";
import { assessBundle } from "../../../engine/assess/bundleAssessment.ts";
import type { assessContract, BundleSource, Finding } from "../../../contract/index.ts";
import { openJournal } from "../../../engine/run/journal.ts";
import { prepareRunDirectory } from "../../../engine/run/runDirectory.ts";
import { installedSynapse, type InstalledSynapse } from "../../../engine/synapse/targetVersion.ts";
import { freePort } from "../../../engine/machines/freePort.ts";
import {
    backupOf,
    bundlePassphrase,
    compressed,
    edited,
    encrypted,
    newDirectory,
    plainDump,
    targetPython,
} from "../../support/bundle.ts";
import { testCluster, testServerName, type TestCluster } from "../../support/cluster.ts";
import { expectError } from "../../support/expectError.ts";
import { synapseDumpKey } from "../../support/synapseDump.ts";
import { withWorkDirectory } from "../../support/workDirectory.ts";

type Spec = z.infer<typeof assessContract.spec> & { readonly source: BundleSource };

const noMedia = "SM-W0968";
const acknowledged = ["SM-W0713", "SM-W0745", noMedia];

describe("the assessment of a source that comes as files", function () {
    this.timeout(60_000);
    let cluster: TestCluster;
    let dump: Buffer;
    let file: string;
    let base: Omit<Spec, "run" | "source">;

    before(async function () {
        this.timeout(180_000);
        cluster = await testCluster();
        dump = await plainDump(cluster, await cluster.createDatabase("synapse", cluster.newName("source")));
        file = await fileOf("dump.sql", dump);
        const directory = await newDirectory(cluster);
        base = {
            targetDirectory: join(directory, "target"),
            targetPython: await answering(await installedSynapse(await targetPython())),
            targetServer: {
                ...{ kind: "managed", directory: join(directory, "database"), port: 0, programs: cluster.programs },
            },
            ...{ quick: false, enforce: false, acknowledged, passphrase: bundlePassphrase },
            ...{ signingKey: await synapseDumpKey(testServerName), pepper: "pepper-9d1f" },
        };
    });

    const fileOf = async (name: string, content: Buffer): Promise<string> => {
        const path = join(await newDirectory(cluster), name);
        await writeFile(path, content);
        return path;
    };
    /** In place of Synapse's Python, which takes a second to start: asked for its versions, it answers as that did. */
    const answering = async (versions: InstalledSynapse): Promise<string> => {
        const loaded = JSON.stringify({ version: versions.version, problems: [[]] });
        const program = `#!/bin/sh\n[ "$1" = -B ] && exec echo '${loaded}'\necho '${JSON.stringify(versions)}'\n`;
        const path = await fileOf("python", Buffer.from(program));
        // The user that the target's servers run as runs it, too.
        for (const place of [dirname(path), path]) await chmod(place, 0o755);
        return path;
    };
    /** All findings, and not only those that a result has room for. */
    const assessed = async (source: Partial<BundleSource> = {}, more: Partial<Spec> = {}) => {
        const directory = await newDirectory(cluster, "run");
        const kept: object[] = [];
        const spec = { ...base, run: { id: "r1", directory }, source: backupOf([file], source), ...more };
        const keep = (evidence: object): Promise<void> => {
            kept.push(evidence);
            return Promise.resolve();
        };
        const result = await assessBundle(spec, keep, join(directory, "assess.json"), undefined);
        expect(await readdir(directory)).to.deep.equal([]);
        const { findings, passed } = kept[0] as { findings: Finding[]; passed: string[] };
        return { result, findings, passed, ids: findings.map(({ id }) => id) };
    };
    const blocking = (findings: readonly Finding[]): string[] =>
        findings.filter(({ severity }) => severity === "error").map(({ id }) => id);

    it("reads a dump to its end, and tells the server and the schema that it comes from", async () => {
        const { result, findings, passed } = await assessed();
        expect(blocking(findings)).to.deep.equal([]);
        expect(passed).to.include("target-clock");
        expect(result.notRun).to.deep.equal([]);
        expect(result.versions["source"]).to.match(/^files of backup, PostgreSQL 15\.\d+.*, Synapse schema \d+$/);
        expect(result.versions["target"]).to.match(/^Synapse [\d.]+, schema \d+$/);
        expect(result.sizes.tables).to.be.greaterThan(100);
        expect(result.sizes.databaseBytes).to.equal(dump.length * 2);
    });

    it("finds code that is not Synapse's before anything is staged, in a preview too, until it is accepted (SM-E0545)", async () => {
        const text = dump.toString("latin1");
        const first = text.indexOf("CREATE TABLE ");
        const lure =
            "CREATE FUNCTION public.plant(n integer) RETURNS boolean LANGUAGE sql AS $_$ SELECT true $_$;\n\n" +
            "CREATE TABLE public.lure (n integer, CONSTRAINT lure_n_check CHECK (public.plant(n)));\n\n" +
            "COPY public.lure (n) FROM stdin;\n\\.\n\n";
        const behind = "CREATE VIEW public.spring AS SELECT 1 AS one;\n\n";
        const end = text.indexOf("--\n-- PostgreSQL database dump complete");
        const altered = text.slice(0, first) + lure + text.slice(first, end) + behind + text.slice(end);
        const path = await fileOf("lure.sql", Buffer.from(altered, "latin1"));
        const leftOver = (await readdir(tmpdir())).filter((name) => name.startsWith("synapse-migration-scratch-"));
        const named = (found: readonly Finding[]): string[] =>
            found.filter(({ id }) => id === "SM-E0545").map(({ evidence }) => evidence.split(": ").slice(1).join(": "));
        const inFront = ["check public.lure: lure_n_check", "function public.plant(integer)"];

        const preview = await assessed({ database: [path] }, { quick: true });
        expect(named(preview.findings)).to.deep.equal(inFront);
        const whole = await assessed({ database: [path] });
        expect(named(whole.findings)).to.deep.equal([...inFront, "view public.spring"]);
        expect(whole.result.errors).to.equal(3);
        const foreignCode = [...inFront, "view public.spring"];
        const accepted = await assessed({ database: [path] }, { foreignCode });
        expect(named(accepted.findings)).to.deep.equal([]);
        expect(accepted.passed).to.include("dump-code");

        const client = await newDirectory(cluster);
        const targetServer = { ...base.targetServer, programs: client } as Spec["targetServer"];
        const without = await assessed({ database: [path] }, { targetServer });
        expect(without.result.notRun, "no server can be made of a client's programs").to.include("dump-code");
        const left = (await readdir(tmpdir())).filter((name) => name.startsWith("synapse-migration-scratch-"));
        expect(left.filter((name) => !leftOver.includes(name))).to.deep.equal([]);
    });

    it("has the target's Synapse load the configuration that came with it", async () => {
        const configured = async (more: string): Promise<string[]> => {
            const text = `server_name: ${testServerName}\nreport_stats: false\n${more}`;
            const homeserverConfig = [await fileOf("homeserver.yaml", Buffer.from(text))];
            const real = { targetPython: await targetPython() };
            return blocking((await assessed({ homeserverConfig }, real)).findings);
        };
        expect(await configured("")).to.deep.equal([]);
        expect(await configured("modules: [{module: not_there.Module}]\n")).to.deep.equal(["SM-E0525"]);
    });

    it("leaves the content out of a quick look, and opens encrypted files for the beginning of it only", async () => {
        const path = await fileOf("dump.sql.gz.gpg", encrypted(compressed(dump), cluster.directory));
        const { result } = await assessed({ database: [path] }, { quick: true });
        expect(result.notRun).to.deep.equal(["dump-content", "dump-code", "target-configuration"]);
        expect(result.errors).to.equal(0);
        expect(result.sizes.databaseBytes).to.be.greaterThan(0);
    });

    it("says that a source of files cannot be fenced until that is acknowledged, and in a rehearsal not at all", async () => {
        const open = { acknowledged: ["SM-W0745", noMedia], quick: true };
        const { findings } = await assessed({}, open);
        expect(blocking(findings)).to.deep.equal(["SM-W0713"]);
        await expectError("SM-W0713", () => assessed({}, { ...open, enforce: true }));
        const acknowledgedOnce = await assessed({}, { quick: true, enforce: true });
        expect(acknowledgedOnce.findings.find(({ id }) => id === "SM-W0713")?.severity).to.equal("warning");
        expect((await assessed({}, { ...open, rehearsal: true })).ids).to.not.include("SM-W0713");
    });

    it("says that no media came until that is acknowledged", async () => {
        const given = { acknowledged: ["SM-W0713", "SM-W0745"], quick: true };
        expect(blocking((await assessed({}, given)).findings)).to.deep.equal([noMedia]);
        await expectError(noMedia, () => assessed({}, { ...given, enforce: true }));
        const store = await newDirectory(cluster);
        await mkdir(join(store, "local_content"));
        expect((await assessed({ media: [store] }, given)).ids).to.not.include(noMedia);
    });

    it("warns of an old signing key whose time cannot be right (P06)", async () => {
        const old = (expired_ts: number) => ({ oldSigningKeys: { "ed25519:a_old": { key: "b2xk", expired_ts } } });
        expect((await assessed(old(1_700_000_000), { quick: true })).ids).to.include("SM-W0551");
        expect((await assessed(old(1_700_000_000_000), { quick: true })).ids).to.not.include("SM-W0551");
    });

    it("warns where no macaroon secret came, or an empty one", async () => {
        expect((await assessed({}, { quick: true })).ids).to.include("SM-W0831");
        expect((await assessed({}, { quick: true, macaroonSecretKey: "" })).ids).to.include("SM-W0831");
        const given = await assessed({}, { quick: true, macaroonSecretKey: "macaroon-53ce" });
        expect(given.ids).to.not.include("SM-W0831");
    });

    it("refuses a pepper in the bundle's configuration that is not the stack's, before anything is made", async () => {
        const configured = async (pepper: string) => {
            const text = `server_name: ${testServerName}\npassword_config: {pepper: ${JSON.stringify(pepper)}}\n`;
            return { homeserverConfig: [await fileOf("homeserver.yaml", Buffer.from(text))] };
        };
        const quick = { quick: true };
        for (const pepper of ["not-that-pepper", "pepper-9d1f\n"])
            expect(blocking((await assessed(await configured(pepper), quick)).findings), pepper).to.include("SM-E0820");
        for (const pepper of ["pepper-9d1f", ""])
            expect((await assessed(await configured(pepper), quick)).ids).to.not.include("SM-E0820");
    });

    it("refuses a macaroon secret that is not that of the bundle's configuration, in it or in a file that it names", async () => {
        const file = await fileOf("macaroon", Buffer.from("macaroon-53ce\n"));
        await chmod(file, 0o600);
        for (const setting of ["macaroon_secret_key: macaroon-53ce", `macaroon_secret_key_path: ${file}`]) {
            const text = `server_name: ${testServerName}\n${setting}\n`;
            const homeserverConfig = [await fileOf("homeserver.yaml", Buffer.from(text))];
            const idsWith = async (macaroonSecretKey: string) =>
                (await assessed({ homeserverConfig }, { quick: true, macaroonSecretKey })).ids;
            expect(await idsWith("macaroon-77aa"), setting).to.include("SM-E0830");
            expect(await idsWith("macaroon-53ce"), setting).to.not.include("SM-E0830");
        }
    });

    it("tells a file that is no dump, in a quick look too, and names it", async () => {
        const path = await fileOf("notes.sql", Buffer.from("dear diary\n"));
        const { findings } = await assessed({ database: [path] }, { quick: true });
        expect(findings.find(({ id }) => id === "SM-E0917")?.evidence).to.contain("notes.sql");
    });

    it("tells damage that only shows at the end, and a wrong passphrase at once", async () => {
        const whole = compressed(dump);
        const cut = await fileOf("dump.sql.gz", whole.subarray(0, whole.length >> 1));
        expect((await assessed({ database: [cut] }, { quick: true })).result.errors).to.equal(0);
        expect((await assessed({ database: [cut] })).ids).to.include("SM-E0910");
        const secret = await fileOf("dump.sql.gz.gpg", encrypted(whole, cluster.directory));
        const wrong = await assessed({ database: [secret] }, { quick: true, passphrase: "not-this-one" });
        expect(wrong.ids).to.include("SM-E0920");
    });

    it("warns of a name that lies", async () => {
        const path = await fileOf("dump.sql.gz", dump);
        expect((await assessed({ database: [path] }, { quick: true })).ids).to.include("SM-W0910");
    });

    it("finds a target server that is older than the one that was dumped, or does not answer", async () => {
        const newer = edited(dump, /^-- Dumped from database version .*$/m, "-- Dumped from database version 99.1");
        const path = await fileOf("newer.sql", newer);
        expect((await assessed({ database: [path] })).ids).to.include("SM-E0503");
        const existing = {
            ...{ kind: "existing" as const, host: "127.0.0.1", admin: "migrator", programs: cluster.programs },
            ...{ adminPasswordFile: cluster.passwordFile, directory: join(cluster.directory, "none") },
        };
        const asked = await assessed({ database: [path] }, { targetServer: { ...existing, port: cluster.port } });
        expect(asked.findings.find(({ id }) => id === "SM-E0503")?.evidence).to.contain(String(cluster.port));
        const silent = await assessed({}, { targetServer: { ...existing, port: await freePort() } });
        expect(silent.ids).to.include("SM-E0522");
    });

    it("compares the schema of the dump with the target's Synapse", async () => {
        const schemaOf = async (version: number, compat: number): Promise<string[]> => {
            const changed = edited(
                edited(dump, /^(COPY public\.schema_version .*\n.*\t)\d+(\t.*)$/m, `$1${version}$2`),
                /^(COPY public\.schema_compat_version .*\n.*\t)\d+$/m,
                `$1${compat}`,
            );
            return (await assessed({ database: [await fileOf("schema.sql", changed)] })).ids;
        };
        expect(await schemaOf(9999, 9999)).to.include("SM-E0506");
        expect(await schemaOf(9999, 72))
            .to.include("SM-W0506")
            .and.not.include("SM-E0506");
        const empty = edited(dump, /^(COPY public\.schema_version .*\n)\S.*\n/m, "$1");
        expect((await assessed({ database: [await fileOf("half.sql", empty)] })).ids).to.include("SM-E0506");
    });

    it("finds that there is no room for what the dump becomes", async () => {
        const store = await newDirectory(cluster);
        await mkdir(join(store, "local_content"));
        // A file that has a size and takes no room.
        await writeFile(join(store, "local_content/large"), "");
        await truncate(join(store, "local_content/large"), 2 ** 43);
        expect((await assessed({ media: [store] }, { quick: true })).ids).to.include("SM-E1201");
    });

    it("refuses files that are not there", async () => {
        await expectError("SM-E0931", () => assessed({ database: ["/no/such/dump.sql"] }));
        await expectError("SM-E0931", () => assessed({ media: ["/no/such/media.zip"] }));
    });

    describe("in a preview", () => {
        it("is made before the run's directory is, and names the run after the files", () =>
            withWorkDirectory(async (directory) => {
                const path = await fileOf("dump.sql.gz.gpg", encrypted(compressed(dump), cluster.directory));
                const source = backupOf([path]);
                const first = await quickAssessment({ ...base, source, run: { directory } });
                expect(first.runId).to.match(/^[0-9a-f]{8}$/);
                const run = { id: "given", directory: join(directory, "given") };
                expect(await quickAssessment({ ...base, source, run })).to.include({ runId: "given", errors: 0 });
                const other = await quickAssessment({ ...base, source: backupOf([file]), run: { directory } });
                expect(other.runId).to.not.equal(first.runId);
            }));

        it("names another run for another export of the same name and size, and the same for a copy of it", () =>
            withWorkDirectory(async (directory) => {
                const runOf = async (content: Buffer): Promise<string> => {
                    const source = backupOf([await fileOf("dump.sql", content)]);
                    return (await quickAssessment({ ...base, source, run: { directory } })).runId;
                };
                const first = await runOf(dump);
                expect(await runOf(dump)).to.equal(first);
                for (const at of [dump.length - 100, 100]) {
                    const other = Buffer.from(dump);
                    other.writeUInt8(other.readUInt8(at) ^ 1, at);
                    expect(await runOf(other)).to.not.equal(first);
                }
            }));

        it("does not look at files that a run has loaded, which may be gone", () =>
            withWorkDirectory(async (directory) => {
                const path = await fileOf("dump.sql", dump);
                const spec = { ...base, source: backupOf([path]), run: { directory } };
                const { runId } = await quickAssessment(spec);
                await prepareRunDirectory(join(directory, runId));
                const journal = openJournal(join(directory, runId, "journal.jsonl"));
                const record = async (step: string, kind: "intent" | "done" | "undo" | "undone"): Promise<unknown> =>
                    journal.append({ step, phase: "migrate", kind });
                for (const step of ["import", "import-media"])
                    for (const kind of ["intent", "done"] as const) await record(step, kind);
                const thorough = ["dump-content", "dump-code", "target-configuration"];
                const loaded = [
                    "media-repository",
                    "target-clock",
                    "dump-format",
                    "media-format",
                    "free-space",
                    ...thorough,
                ];
                expect((await quickAssessment(spec)).notRun).to.have.members(loaded);
                await rm(path);
                const gone = await quickAssessment(spec);
                expect(gone).to.include({ runId, errors: 0 });
                expect(gone.notRun).to.have.members(loaded);
                for (const step of ["import-media", "import"])
                    for (const kind of ["undo", "undone"] as const) await record(step, kind);
                const undone = await quickAssessment(spec);
                expect(undone.findings.map(({ id }) => id)).to.deep.equal(["SM-E0931"]);
            }));
    });
});
