/** The database of a bundle in pg_dump's directory format: written, read again, unpacked by hand, imported, taken back. */
import { expect } from "chai";
import { execFile } from "node:child_process";
import { mkdir, readdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { type DirectoryDatabase } from "../../../engine/bundle/write/bundleManifest.ts";
import { writeDirectoryDump } from "../../../engine/bundle/dump/directoryDump/write.ts";
import { compareDatabaseFile } from "../../../engine/bundle/write/readBack.ts";
import { receiverNotes } from "../../../engine/bundle/write/receiverNotes.ts";
import { recognise } from "../../../engine/bundle/input/recognise.ts";
import { importContract } from "../../../contract/index.ts";
import { exportDatabase } from "../../../steps/export/exportDatabase.ts";
import { importDump } from "../../../steps/migrate/import.ts";
import { readImportManifest } from "../../../engine/postgres/compare/importManifest.ts";
import { tableLineDigests } from "../../../engine/postgres/plainDump/lineDigest.ts";
import type { ErrorCode } from "../../../engine/run/errorCatalogue.ts";
import { backupOf, bundlePassphrase as passphrase, importSpec, newDirectory } from "../../support/bundle.ts";
import type { TestCluster } from "../../support/cluster.ts";
import { expectError } from "../../support/expectError.ts";
import { newRun } from "../../support/migrationDump.ts";
import { DirectoryBundles, signal, type Bundle } from "./directoryBundles.ts";

const execute = promisify(execFile);

describe("the database of a bundle in directory format", function () {
    this.timeout(120_000);
    let cluster: TestCluster;
    let source: string;
    let bundles: DirectoryBundles;
    let bundle: Bundle;

    before(async function () {
        this.timeout(180_000);
        bundles = await DirectoryBundles.create();
        ({ cluster, source } = bundles);
        bundle = await bundles.make();
    });

    const readBack = async (directory = bundle.directory) => ({
        ...{ directory, passphrase, runDirectory: await newDirectory(cluster, "work"), signal },
    });
    /** Of the source, as the server tells it now. */
    const sourceDigests = async (section: DirectoryDatabase) => {
        const columns = await cluster.query(
            source,
            `SELECT table_schema AS schema, table_name AS name, json_agg(column_name ORDER BY ordinal_position) AS columns
            FROM information_schema.columns GROUP BY 1, 2`,
        );
        const tables = section.tables.map(({ schema, name }) => {
            const found = columns.find((table) => table["schema"] === schema && table["name"] === name)?.["columns"];
            return { schema, name, columns: Array.isArray(found) ? found.map(String) : [] };
        });
        return tableLineDigests(cluster.address(source), tables, { jobs: 1 });
    };

    it("is in a few archives that nobody else may read, each file with its SHA-256, and in nothing beside them", async () => {
        const { database, directory, run } = bundle;
        const names = database.artefacts.map(({ name }) => name);
        expect(names).to.include.members(["customer_db_export.dir-1.tar.gpg", "customer_db_export.dir-2.tar.gpg"]);
        expect((await readdir(directory)).filter((name) => name.startsWith("customer_db")).sort()).to.deep.equal(names);
        for (const name of names) expect((await stat(join(directory, name))).mode & 0o777, name).to.equal(0o600);
        await execute("sha256sum", ["--check", "--strict", "SHA256SUMS"], { cwd: directory });
        expect((await readdir(run.directory)).sort()).to.deep.equal([
            ...["bundle-directory.json", "export-configuration.json", "export-database.json", "export-media.json"],
        ]);
    });

    it("has every table with its rows as the server gives them, and every sequence", async () => {
        const { database } = bundle;
        const rows = await sourceDigests(database);
        expect(database.tables.map(({ schema, name, rows, digest }) => ({ schema, name, rows, digest }))).to.deep.equal(
            rows,
        );
        expect(database.tables.find(({ name }) => name === "room_account_data")?.rows).to.be.at.least(3000);
        expect(database.members.filter(({ table }) => table === null).map(({ name }) => name)).to.match(/^toc\.dat/);
        expect(database.members).to.have.length(database.tables.length + 1);
        expect(database.members.some(({ name }) => name.endsWith(".dat.zst"))).to.equal(true);
        const [sequences] = await cluster.query(source, "SELECT count(*)::int AS count FROM pg_sequence");
        expect(database.sequences).to.have.length(Number(sequences?.["count"]));
    });

    it("is read back to its end, and nothing of it is written anywhere", async () => {
        const options = await readBack();
        expect(await compareDatabaseFile(bundle.database, options)).to.deep.equal([]);
        expect(await readdir(options.runDirectory)).to.deep.equal([]);
    });

    it("has commands in its notes that restore it with gpg, tar, zstd and pg_restore alone", async () => {
        const notes = await readFile(join(bundle.directory, "README.md"), "utf8");
        const unpacked = await newDirectory(cluster, "by-hand");
        const home = await newDirectory(cluster, "gnupg");
        const secret = join(home, "passphrase");
        await writeFile(secret, passphrase, { mode: 0o600 });
        const commands = notes.split("\n").filter((line) => /^ {4}.*(customer_db_export|createdb)/.test(line));
        expect(commands.map((line) => line.trim().split(" ")[0])).to.deep.equal([
            ...bundle.database.artefacts.map(() => "gpg"),
            ...["zstd", "createdb", "pg_restore"],
        ]);
        // As written, but for the passphrase that a person would type, and the place that the files are in.
        const quiet = `gpg --batch --pinentry-mode loopback --passphrase-file ${secret} --homedir ${home} --no-symkey-cache`;
        const script = commands
            .map((line) => line.replace("gpg --no-symkey-cache", quiet))
            .map((line) => line.replace("--decrypt ", `--decrypt ${bundle.directory}/`))
            .join("\n");
        const { PATH = "" } = process.env;
        const { password = "" } = cluster.superuserAddress();
        await execute("bash", ["-e", "-o", "pipefail", "-c", script], {
            cwd: unpacked,
            env: {
                ...{ PATH: `${cluster.programs}:${PATH}`, PGHOST: "127.0.0.1", PGPORT: String(cluster.port) },
                ...{ PGUSER: "postgres", PGPASSWORD: password, LANG: "C.UTF-8" },
            },
        });
        await execute("gpgconf", ["--homedir", home, "--kill", "all"]);
        const count = "SELECT count(*)::int AS rows, max(content) AS content FROM room_account_data";
        expect(await cluster.query("synapse", count)).to.deep.equal(await cluster.query(source, count));
        const constraints =
            "SELECT count(*)::int AS count FROM pg_constraint WHERE connamespace = 'public'::regnamespace";
        expect(await cluster.query("synapse", constraints)).to.deep.equal(await cluster.query(source, constraints));
        await cluster.query("postgres", "DROP DATABASE synapse");
    });

    it("is recognised by its manifest, and imported with the rows that the manifest has", async () => {
        expect(await recognise(bundle.directory)).to.deep.include({ content: "directory-dump", warnings: [] });
        const run = await newRun(cluster);
        const spec = await importSpec(cluster, run, backupOf([bundle.directory], { stoppedBeforeExport: true }));
        const result = importContract.result.parse(await importDump.act(spec, run));
        const { tables, input } = await readImportManifest(result.manifestFile, result.manifestDigest);
        const essence = (table: { schema: string; name: string; rows: number; digest: string }) =>
            `${table.schema}.${table.name} ${table.rows} ${table.digest}`;
        expect(tables.map(essence).sort()).to.deep.equal(bundle.database.tables.map(essence).sort());
        expect(input.files.map(({ sha256 }) => sha256)).to.have.members(
            bundle.database.artefacts.flatMap(({ files }) => files.map(({ sha256 }) => sha256)),
        );
        expect(await readdir(run.directory)).not.to.include("unpacked-dump");
    });

    it("is split into parts where that is asked for, which the notes join", async () => {
        const split = await bundles.make({ partBytes: 20_000 });
        const names = await readdir(split.directory);
        expect(
            names.filter((name) => /^customer_db_export\.dir-\d\.tar\.gpg\.part-a[ab]$/.test(name)),
        ).to.have.length.above(1);
        expect(receiverNotes(split.manifest)).to.match(/cat customer_db_export\.dir-\d\.tar\.gpg\.part-\* \| gpg/);
        await bundles.open(split.directory);
    });

    it("is compressed with gzip where there is no zstd, and what zstd compressed is refused there by name", async () => {
        const programs = await newDirectory(cluster, "programs");
        for (const name of ["gpg", "setpriv", "gpg-agent"])
            await symlink((await execute("which", [name])).stdout.trim(), join(programs, name)).catch(() => undefined);
        const { PATH } = process.env;
        process.env.PATH = programs;
        try {
            const gzip = await bundles.make();
            expect(gzip.database.members.filter(({ name }) => /\.gz$/.test(name))).not.to.be.empty;
            expect(gzip.database.members.filter(({ name }) => /\.zst$/.test(name))).to.be.empty;
            expect(receiverNotes(gzip.manifest)).to.match(/gunzip customer_db_export\.dir\/\*\.gz/);
            const { found } = await bundles.open(gzip.directory);
            expect(found.tables).to.have.length(gzip.database.tables.length);
            await expectError("SM-E1180", () => bundles.open(bundle.directory));
        } finally {
            process.env.PATH = PATH;
        }
    });

    const failures: readonly (readonly [string, string, ErrorCode])[] = [
        ["ends with an error", `"$REAL" "$@"; exit 1`, "SM-E1101"],
        ["loses a row", `"$REAL" "$@"; F=$(ls -S "$D"/[0-9]*.dat | head -1); sed -i 1d "$F"`, "SM-E0912"],
        ["leaves a file cut", `"$REAL" "$@"; F=$(ls -S "$D"/[0-9]*.dat | tail -1); truncate -s 1 "$F"`, "SM-E0906"],
        ["leaves a file out", `"$REAL" "$@"; F=$(ls -S "$D"/[0-9]*.dat | tail -1); rm "$F"`, "SM-E0912"],
        ["leaves large objects", `"$REAL" "$@"; echo > "$D/blob_1.dat"`, "SM-E0912"],
    ];
    for (const [title, script, code] of failures) {
        it(`leaves nothing of a dump when pg_dump ${title}`, async () => {
            const { run, directory } = await bundles.newPlace();
            const clientDirectory = await newDirectory(cluster, "fake");
            const real = join(cluster.programs, "pg_dump");
            const text = [
                "#!/bin/bash",
                `REAL=${real}; case "$1" in --version) exec $REAL --version;; esac`,
                `D=${join(run.directory, "export-database.dir")}`,
                // Without what it says about finished tables, so that all of them are still there at the end.
                script.replace('"$@"', '"$@" 2>/dev/null'),
            ].join("\n");
            await writeFile(join(clientDirectory, "pg_dump"), `${text}\n`, { mode: 0o755 });
            await symlink(join(cluster.programs, "pg_restore"), join(clientDirectory, "pg_restore"));
            await expectError(code, async () =>
                exportDatabase.act(await bundles.exportSpec(run, directory, { clientDirectory }), run),
            );
            expect(await readdir(directory)).to.deep.equal([]);
            expect(await readdir(run.directory)).to.deep.equal(["bundle-directory.json"]);
        });
    }

    it("is taken back whole, and a killed attempt's leftovers with it", async () => {
        const { run, directory } = await bundles.newPlace();
        const spec = await bundles.exportSpec(run, directory);
        await writeFile(join(directory, "customer_db_export.dir-7.tar.gpg.incoming"), "");
        await mkdir(join(run.directory, "export-database.dir"));
        await exportDatabase.act(spec, run);
        expect(await readdir(directory)).not.to.include("customer_db_export.dir-7.tar.gpg.incoming");
        await exportDatabase.undo?.(spec, run);
        expect(await readdir(directory)).to.deep.equal([]);
    });

    it("is not begun when it was told to stop before", async () => {
        const { run, directory } = await bundles.newPlace();
        const reason = new Error("told to stop");
        const place = {
            ...{ bundle: { directory }, passphrase, runDirectory: run.directory },
            signal: AbortSignal.abort(reason),
        };
        const dump = { address: cluster.address("postgres"), step: "test", clientDirectory: cluster.programs };
        const ended = await writeDirectoryDump({ ...dump, snapshot: "", tables: [], jobs: 2, place }).catch(
            (error: unknown) => error,
        );
        expect(ended).to.equal(reason);
        expect(await readdir(directory)).to.deep.equal([]);
    });
});
