/** A bundle of a real homeserver, step by step, as `pulumi up` does it. */
import { expect } from "chai";
import { execFile } from "node:child_process";
import { appendFile, mkdir, readdir, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { bundleManifest, type BundleManifest } from "../../../engine/bundle/write/bundleManifest.ts";
import { openLayers } from "../../../engine/bundle/input/open.ts";
import { openNames } from "../../../engine/bundle/write/bundleNames.ts";
import { clearExport } from "../../../steps/export/clearExport.ts";
import {
    clearExportContract,
    exportConfigContract,
    exportDatabaseContract,
    exportMediaContract,
    fenceContract,
    handOverContract,
    prepareBundleContract,
    sealBundleContract,
    verifyBundleContract,
} from "../../../contract/index.ts";
import { exportConfig } from "../../../steps/export/exportConfig.ts";
import { exportDatabase } from "../../../steps/export/exportDatabase.ts";
import { exportMedia } from "../../../steps/export/exportMedia.ts";
import { fence } from "../../../steps/migrate/fence.ts";
import { handOver } from "../../../steps/export/handOver.ts";
import { prepareBundle } from "../../../steps/export/prepareBundle.ts";
import { pinnedRun } from "../../../engine/runIdentity/runIdentity.ts";
import { sealBundle } from "../../../steps/export/sealBundle.ts";
import { verifyBundle } from "../../../steps/export/verifyBundle.ts";
import { expectError } from "../../support/expectError.ts";
import { done, runOf, secretsOf, sourceOf, undone } from "../../support/migrationSpecs.ts";
import { testRun } from "../../support/stepRun.ts";
import { smallPopulation, startTestSynapse, type TestSynapse } from "../../support/synapse.ts";

const passphrase = "secret-passphrase-0d41";
const programs = "/usr/lib/postgresql/15/bin";
const execute = promisify(execFile);

describe("the steps of a bundle", function () {
    this.timeout(120_000);
    let synapse: TestSynapse;
    let bundle: { directory: string; partBytes?: number };
    let manifest: BundleManifest;
    let manifestDigest: string;
    let fenceToken: string;

    const run = () => runOf(synapse, "b1");
    const common = () => ({ run: run(), source: sourceOf(synapse), fenceToken, bundle, passphrase });
    const prepareSpec = () => ({
        ...{ run: run(), source: sourceOf(synapse), bundle, passphrase },
        ...{ clientDirectory: programs, ...secretsOf(synapse) },
    });
    const verifySpec = () => ({ run: run(), bundle, passphrase, manifestDigest });

    before(async function () {
        this.timeout(180_000);
        synapse = await startTestSynapse({ population: smallPopulation });
        bundle = { directory: join(synapse.directory, "bundle"), partBytes: 1024 * 1024 };
        const prepared = await done(prepareBundle, prepareSpec(), prepareBundleContract.result);
        const fenced = await done(fence, { run: run(), source: sourceOf(synapse) }, fenceContract.result);
        fenceToken = fenced.token;
        const [database, media, configuration] = [
            await done(exportDatabase, { ...common(), clientDirectory: programs }, exportDatabaseContract.result),
            await done(exportMedia, { ...common(), remoteCache: "carry" }, exportMediaContract.result),
            await done(exportConfig, common(), exportConfigContract.result),
        ];
        const section = ({ sectionFile, sectionDigest }: typeof configuration) => ({ sectionFile, sectionDigest });
        const sealed = await done(
            sealBundle,
            {
                ...{ run: run(), serverName: synapse.homeserver.serverName, bundle, verifyKeys: prepared.verifyKeys },
                fencedAt: fenced.fencedAt,
                database: section(database),
                media: section(media),
                configuration: section(configuration),
            },
            sealBundleContract.result,
        );
        manifestDigest = sealed.manifestDigest;
        manifest = bundleManifest.parse(JSON.parse(await readFile(sealed.manifestFile, "utf8")));
    });
    after(async () => {
        await synapse.stop();
    });

    it("has the names of the guide, parts where they are longer than asked for, and nothing that others may read", async () => {
        const names = await readdir(bundle.directory);
        expect(names).to.include.members([
            ...openNames,
            "customer_db_export.sql.gz.gpg",
            "customer_config_export.tar.gz.gpg",
        ]);
        for (const whole of ["customer_media_export.tar.gz.gpg", "customer_backup_media_export.tar.gz.gpg"]) {
            const parts = names.filter((name) => name.startsWith(whole)).sort();
            expect(parts.slice(0, 2)).to.deep.equal([`${whole}.part-aa`, `${whole}.part-ab`]);
        }
        for (const name of names) {
            expect((await stat(join(bundle.directory, name))).mode & 0o777, name).to.equal(0o600);
            expect(name).to.match(
                /^(manifest\.json|README\.md|SHA256SUMS|customer_\w+\.(sql|tar)\.gz\.gpg(\.part-[a-z]{2})?)$/,
            );
        }
        expect((await stat(bundle.directory)).mode & 0o777).to.equal(0o700);
    });

    it("leaves no readable copy of database or media in the run directory", async () => {
        const left = await readdir(run().directory, { recursive: true });
        expect(left.filter((name) => /\.(sql|tgz|tar|gz|gpg)$|customer_|gnupg/.test(name))).to.deep.equal([]);
    });

    it("counts what it holds: every table of the source, every medium twice", async () => {
        const { rows } = await synapse.cluster.query("SELECT count(*)::int AS events FROM events");
        const events = manifest.database.tables.find(({ name }) => name === "events");
        expect([{ events: events?.rows }]).to.deep.equal(rows);
        expect(manifest.database.tables.length).to.be.greaterThan(150);
        expect(manifest.database.sequences.length).to.be.greaterThan(20);
        expect(manifest.media.export.media).to.be.greaterThan(5);
        expect(manifest.media.backup.files).to.be.greaterThan(manifest.media.export.media);
        expect(manifest.media.export.longestBytes).to.equal(2 * 1024 * 1024);
        expect(manifest.fencedAt).to.be.a("string");
    });

    it("names what it leaves out of the configuration, and holds none of the other secrets", async () => {
        expect(manifest.configuration.leftOut).to.include.members([
            "database",
            "registration_shared_secret",
            "form_secret",
        ]);
        const config = await opened("customer_config_export.tar.gz.gpg", ["--to-stdout"]);
        const { registrationSharedSecret } = synapse.homeserver.files;
        expect(config).to.include(secretsOf(synapse).pepper).and.include(secretsOf(synapse).macaroonSecretKey);
        expect(config).to.include(secretsOf(synapse).signingKey.trim());
        expect(config).not.to.include(registrationSharedSecret);
        expect(config).not.to.include(synapse.cluster.synapse.password);
    });

    it("says in its open files nothing that is secret", async () => {
        for (const name of openNames) {
            const text = await readFile(join(bundle.directory, name), "utf8");
            for (const secret of [passphrase, ...Object.values(secretsOf(synapse))])
                expect(text).not.to.include(secret);
        }
    });

    it("has checksums and commands in its notes that the standard programs take", async () => {
        await execute("sha256sum", ["--check", "--strict", "SHA256SUMS"], { cwd: bundle.directory });
        const notes = await readFile(join(bundle.directory, "README.md"), "utf8");
        const commands = notes.split("\n").filter((line) => /^ {4}.*gpg --no-symkey-cache --decrypt/.test(line));
        expect(commands).to.have.length(4);
        const unpacked = join(synapse.directory, "unpacked");
        await mkdir(unpacked);
        const home = join(synapse.directory, "gnupg");
        await mkdir(home, { mode: 0o700 });
        const secret = join(synapse.directory, "passphrase");
        await writeFile(secret, passphrase, { mode: 0o600 });
        // As written, but for the passphrase that a person would type.
        const quiet = `gpg --batch --pinentry-mode loopback --passphrase-file ${secret} --homedir ${home} --no-symkey-cache`;
        const script = commands
            .map((command) =>
                command
                    .replace("gpg --no-symkey-cache", quiet)
                    .replace("customer_db_export.sql.gz", `${bundle.directory}/customer_db_export.sql.gz`),
            )
            .map((command) => command.replace(/(decrypt|cat) (customer_(?!db))/, `$1 ${bundle.directory}/$2`))
            .join("\n");
        await execute("bash", ["-e", "-o", "pipefail", "-c", script], { cwd: unpacked });
        await execute("gpgconf", ["--homedir", home, "--kill", "all"]);
        expect(await readdir(unpacked)).to.have.members([
            ...["customer_db_export.sql", "customer_media_export", "media_store", "customer_config_export"],
        ]);
        const checked = notes.split("\n").find((line) => line.includes('customer_db_export.sql" | sha256sum --check'));
        await execute("bash", ["-e", "-c", checked?.trim() ?? "false"], { cwd: unpacked });
        // What matrix-media-repo's importer opens: archives, and nothing else.
        expect(await readdir(join(unpacked, "customer_media_export"))).to.deep.equal(
            manifest.media.export.parts.toSorted(),
        );
    });

    it("is proven by reading it again", async () => {
        const result = await done(verifyBundle, verifySpec(), verifyBundleContract.result);
        expect(result).to.deep.include({ passed: 7, warnings: [], notRun: [] });
    });

    for (const [title, damage, check] of [
        ["a bit that flipped", flipBit, /bundle-files: customer_db_export\.sql\.gz\.gpg has another SHA-256/],
        ["a file that was cut", (path: string) => truncate(path, 4000), /has 4000 bytes and not \d+/],
        ["a file that is gone", (path: string) => rm(path), /SM-E0931/],
    ] as const) {
        it(`refuses ${title}, and names the file`, async () => {
            const path = join(bundle.directory, "customer_db_export.sql.gz.gpg");
            const before = await readFile(path);
            try {
                await damage(path);
                const error = await expectError("SM-E0603", () =>
                    verifyBundle.act(verifySpec(), testRun("b1", run().directory)),
                );
                expect(error.detail.found)
                    .to.match(check)
                    .and.match(/bundle-database: /);
            } finally {
                await writeFile(path, before);
            }
        });
    }

    it("refuses a file that somebody put beside the bundle, and checksums that were edited", async () => {
        const [stranger, checksums] = [join(bundle.directory, "homeserver.yaml"), join(bundle.directory, "SHA256SUMS")];
        const before = await readFile(checksums);
        try {
            await writeFile(stranger, "");
            await appendFile(checksums, "\n");
            const error = await expectError("SM-E0603", () =>
                verifyBundle.act(verifySpec(), testRun("b1", run().directory)),
            );
            expect(error.detail.found)
                .to.match(/homeserver\.yaml is not of the bundle/)
                .and.match(/bundle-checksums/);
        } finally {
            await rm(stranger);
            await writeFile(checksums, before);
        }
    });

    it("refuses the manifest of another bundle", async () => {
        const spec = { ...verifySpec(), manifestDigest: "0".repeat(64) };
        await expectError("SM-E0911", () => verifyBundle.act(spec, testRun("b1", run().directory)));
    });

    it("is handed over only while the source stands still, and is committed then: the fence is never lifted again", async () => {
        const spec = {
            ...{ run: run(), source: sourceOf(synapse), fenceToken, bundle },
            ...{ manifestDigest, proof: "a".repeat(64) },
        };
        const { handedOverAt } = await done(handOver, spec, handOverContract.result);
        expect(Date.parse(handedOverAt)).to.be.at.most(Date.now());
        await undone(fence, { run: run(), source: sourceOf(synapse) });
        await undone(handOver, spec);
        await undone(prepareBundle, prepareSpec());
        expect(await synapse.homeserver.answers()).to.equal(false);
        expect(await readdir(bundle.directory)).to.include("customer_db_export.sql.gz.gpg");
        expect(await pinnedRun(join(synapse.directory, "runs"), {})).to.deep.include({
            id: "b1",
            committed: true,
        });
        await done(clearExport, { run: run(), handedOverAt }, clearExportContract.result);
        expect((await readdir(run().directory)).filter((name) => name.startsWith("export-"))).to.deep.equal([]);
        await done(verifyBundle, verifySpec(), verifyBundleContract.result);
    });

    describe("of a source that goes on, encrypted to the receiver's key", () => {
        let place: { directory: string; recipientKeyFile: string };
        const b2 = () => runOf(synapse, "b2");
        const spec = () => ({ run: b2(), source: sourceOf(synapse), bundle: place });
        const prepare = () => ({ ...spec(), clientDirectory: programs, ...secretsOf(synapse) });

        before(async () => {
            const home = join(synapse.directory, "receiver");
            await mkdir(home, { mode: 0o700 });
            const gpg = ["--batch", "--homedir", home, "--pinentry-mode", "loopback", "--passphrase", ""];
            await execute("gpg", [
                ...gpg,
                "--quick-generate-key",
                "receiver@example.org",
                "future-default",
                "default",
                "1d",
            ]);
            place = { directory: join(synapse.directory, "bundle-2"), recipientKeyFile: join(home, "receiver.pgp") };
            await execute("gpg", [...gpg, "--output", place.recipientKeyFile, "--export"]);
            await execute("gpgconf", ["--homedir", home, "--kill", "all"]);
        });

        it("says that it is a rehearsal, and that only the receiver can read it; going back removes all of it", async () => {
            const { verifyKeys } = await done(prepareBundle, prepare(), prepareBundleContract.result);
            const database = { ...spec(), clientDirectory: programs };
            const media = { ...spec(), remoteCache: "drop" };
            const sections = [
                await done(exportDatabase, database, exportDatabaseContract.result),
                await done(exportMedia, media, exportMediaContract.result),
                await done(exportConfig, spec(), exportConfigContract.result),
            ].map(({ sectionFile, sectionDigest }) => ({ sectionFile, sectionDigest }));
            const seal = {
                ...{ run: b2(), serverName: synapse.homeserver.serverName, bundle: place, verifyKeys },
                ...{ database: sections[0], media: sections[1], configuration: sections[2] },
            };
            const sealed = await done(sealBundle, seal, sealBundleContract.result);
            const notes = await readFile(join(place.directory, "README.md"), "utf8");
            expect(notes)
                .to.include("A rehearsal: the old server runs on")
                .and.include("Empty `e2e_one_time_keys_json`");
            const verify = { run: b2(), bundle: place, manifestDigest: sealed.manifestDigest };
            const result = await done(verifyBundle, verify, verifyBundleContract.result);
            expect(result.passed).to.equal(3);
            expect(result.notRun.map(({ id }) => id)).to.deep.equal([
                ...["bundle-database", "bundle-media-export", "bundle-media-backup", "bundle-configuration"],
            ]);
            await undone(sealBundle, seal);
            await undone(exportConfig, spec());
            await undone(exportMedia, media);
            await undone(exportDatabase, database);
            expect(await readdir(place.directory)).to.deep.equal([]);
            await undone(prepareBundle, prepare());
            expect(await readdir(synapse.directory)).not.to.include("bundle-2");
        });

        it("refuses secrets that are not the source's, and a key that cannot be used, before anything is made", async () => {
            const run = testRun("b3", runOf(synapse, "b2").directory);
            const other = { ...prepare(), pepper: "not-that-pepper" };
            await expectError("SM-E0820", () => prepareBundle.act(other, run));
            const noKey = { ...prepare(), bundle: { ...place, recipientKeyFile: synapse.homeserver.files.configFile } };
            await expectError("SM-E0928", () => prepareBundle.act(noKey, run));
            const nobody = { ...prepare(), bundle: { directory: place.directory } };
            await expectError("SM-E0928", () => prepareBundle.act(nobody, run));
            expect(await readdir(synapse.directory)).not.to.include("bundle-2");
        });

        it("refuses a directory that holds something, and one that another run has prepared", async () => {
            const run = testRun("b3", runOf(synapse, "b2").directory);
            const taken = { ...prepare(), bundle: { ...place, directory: bundle.directory } };
            await expectError("SM-E0713", () => prepareBundle.act(taken, run));
            const spec = { ...common(), run: b2(), clientDirectory: programs };
            await expectError("SM-E0713", () => exportDatabase.act(spec, run));
        });

        for (const [title, filter, end, code] of [
            ["that pg_dump could not finish (D04)", "head -c 30000", 1, "SM-E1101"],
            ["that is cut, though pg_dump ended well", "head -c 30000", 0, "SM-E0901"],
            ["that lacks a row", "sed '0,/^@/{/^@/d}'", 0, "SM-E0912"],
        ] as const) {
            it(`leaves nothing of a dump ${title}`, async () => {
                const clientDirectory = join(synapse.directory, "programs");
                await mkdir(clientDirectory, { recursive: true });
                const script = `#!/bin/bash\ncase "$1" in --version) exec ${programs}/pg_dump --version;; esac\n`;
                const dump = `${programs}/pg_dump "$@" | ${filter}\nexit ${end}\n`;
                await writeFile(join(clientDirectory, "pg_dump"), script + dump, { mode: 0o755 });
                await done(prepareBundle, prepare(), prepareBundleContract.result);
                try {
                    const run = testRun("b2", b2().directory);
                    await expectError(code, () => exportDatabase.act({ ...spec(), clientDirectory }, run));
                    expect(await readdir(place.directory)).to.deep.equal([]);
                    expect(await readdir(b2().directory)).not.to.include("pgpass-export-database");
                } finally {
                    await undone(prepareBundle, prepare());
                }
            });
        }
    });

    async function opened(name: string, args: readonly string[]): Promise<string> {
        const chunks: Buffer[] = [];
        const { stream, finished } = openLayers([join(bundle.directory, name)], {
            passphrase,
            workDirectory: run().directory,
        });
        for await (const chunk of stream) chunks.push(chunk);
        await finished;
        const archive = join(synapse.directory, "opened.tar");
        await writeFile(archive, Buffer.concat(chunks));
        return (await execute("tar", ["--extract", "--file", archive, ...args])).stdout;
    }
});

async function flipBit(path: string): Promise<void> {
    const content = await readFile(path);
    const at = Math.floor(content.length / 2);
    content[at] = (content[at] ?? 0) ^ 1;
    await writeFile(path, content);
}
