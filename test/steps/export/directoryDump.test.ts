/** The database of a bundle in pg_dump's directory format: written, read again, unpacked by hand, imported, and damaged in every way. */
import { expect } from "chai";
import { execFile } from "node:child_process";
import {
    cp,
    copyFile,
    mkdir,
    readdir,
    readFile,
    rename,
    rm,
    stat,
    symlink,
    truncate,
    writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { writeArtefact } from "../../../steps/bundle/artefact.ts";
import { prepareBundleDirectory } from "../../../steps/bundle/bundleDirectory.ts";
import {
    bundleManifest,
    keepSection,
    type BundleManifest,
    type DirectoryDatabase,
} from "../../../steps/bundle/bundleManifest.ts";
import { writeDirectoryDump } from "../../../steps/bundle/directoryDump/write.ts";
import { readDirectoryDump } from "../../../steps/bundle/directoryDump/read.ts";
import { openDump } from "../../../steps/bundle/openDump.ts";
import { compareDatabaseFile } from "../../../steps/bundle/readBack.ts";
import { receiverNotes } from "../../../steps/bundle/receiverNotes.ts";
import { recognise } from "../../../steps/bundle/recognise.ts";
import { importContract } from "../../../steps/contract.ts";
import { exportDatabase } from "../../../steps/exportDatabase.ts";
import { importDump } from "../../../steps/import.ts";
import { readImportManifest } from "../../../steps/postgres/importManifest.ts";
import { inspectPlainDump } from "../../../steps/postgres/plainDump/inspect.ts";
import { tableLineDigests } from "../../../steps/postgres/plainDump/lineDigest.ts";
import type { ErrorCode } from "../../../steps/run/errorCatalogue.ts";
import { sealBundle } from "../../../steps/sealBundle.ts";
import { backupOf, bundlePassphrase as passphrase, importSpec, newDirectory } from "../../support/bundle.ts";
import { testCluster, testServerName, type TestCluster } from "../../support/cluster.ts";
import { expectError } from "../../support/expectError.ts";
import { newRun } from "../../support/migrationDump.ts";
import type { TestRun } from "../../support/stepRun.ts";

const execute = promisify(execFile);
const fenceToken = "f".repeat(64);
const signal = new AbortController().signal;

describe("the database of a bundle in directory format", function () {
    this.timeout(120_000);
    let cluster: TestCluster;
    let source: string;
    let bundle: Bundle;

    before(async function () {
        this.timeout(180_000);
        cluster = await testCluster();
        source = await cluster.createDatabase("synapse", cluster.newName("source"));
        await cluster.query(
            source,
            `INSERT INTO room_account_data (user_id, room_id, account_data_type, stream_id, content)
                SELECT '@user' || n, E'!tab\\tback\\\\slash\\nline\\rreturn', 'süß ' || n, 1, E'\\\\.' FROM generate_series(1, 3000) n;
            INSERT INTO received_transactions (transaction_id, origin, ts, response_code, has_been_referenced)
                SELECT n::text, md5(n::text), n, 200, 0 FROM generate_series(1, 4000) n`,
        );
        bundle = await makeBundle();
    });

    interface Bundle {
        readonly directory: string;
        readonly manifest: BundleManifest;
        readonly database: DirectoryDatabase;
        readonly run: TestRun;
    }

    const exportSpec = async (run: TestRun, directory: string, more: object = {}) => ({
        ...{ run: { id: run.id, directory: run.directory }, source: await cluster.source(source), fenceToken },
        ...{ bundle: { directory }, passphrase, clientDirectory: cluster.programs, format: "directory" as const },
        ...more,
    });
    const newPlace = async (): Promise<{ run: TestRun; directory: string }> => {
        const run = await newRun(cluster);
        const directory = join(cluster.directory, cluster.newName("bundle"));
        await prepareBundleDirectory(directory, run.directory);
        return { run, directory };
    };
    /** With sections about media and configuration that hold next to nothing. */
    const makeBundle = async (more: { partBytes?: number } = {}): Promise<Bundle> => {
        const { run, directory } = await newPlace();
        const place = { bundle: { directory }, passphrase, runDirectory: run.directory, signal };
        const spec = await exportSpec(run, directory, { bundle: { directory, ...more } });
        const database = await exportDatabase.act(spec, run);
        const small = (name: string) => writeArtefact(name, content("nothing"), "rows", place);
        const mediaExport = { parts: ["export-part-1.tgz"], media: 0, bytes: 0, longestBytes: 0, previews: 0 };
        const media = {
            export: { artefact: await small("customer_media_export.tar.gz.gpg"), ...mediaExport, quarantined: 0 },
            backup: {
                artefact: await small("customer_backup_media_export.tar.gz.gpg"),
                ...{ files: 0, bytes: 0, treeDigest: "0".repeat(64), folders: [] },
            },
            leftOut: [],
        };
        const config = { artefact: await small("customer_config_export.tar.gz.gpg"), files: [], leftOut: [] };
        const section = ({ sectionFile, sectionDigest }: Pick<typeof database, "sectionFile" | "sectionDigest">) => ({
            sectionFile,
            sectionDigest,
        });
        const { manifestFile } = await sealBundle.act(
            {
                ...{ run: spec.run, serverName: testServerName, bundle: spec.bundle, verifyKeys: {} },
                fencedAt: new Date().toISOString(),
                database: section(database),
                media: section(await keepSection("media", media, [], 0, run.directory)),
                configuration: section(await keepSection("configuration", config, [], 0, run.directory)),
            },
            run,
        );
        const manifest = bundleManifest.parse(JSON.parse(await readFile(manifestFile, "utf8")));
        if (manifest.database.format !== "directory") throw new Error("the bundle has another format");
        return { directory, manifest, database: manifest.database, run };
    };
    const readBack = async (directory = bundle.directory) => ({
        ...{ directory, passphrase, runDirectory: await newDirectory(cluster, "work"), signal },
    });
    const readOptions = async (directory: string) => ({
        ...{ directory, passphrase, workDirectory: await newDirectory(cluster, "work") },
        async take(_name: string, members: AsyncIterable<Buffer>) {
            let bytes = 0;
            for await (const chunk of members) bytes += chunk.length;
            expect(bytes).to.be.above(0);
        },
    });
    const open = async (directory: string, more: object = {}) => {
        const workDirectory = await newDirectory(cluster, "work");
        const { progress } = await newRun(cluster);
        const options = { passphrase, workDirectory, clientDirectory: cluster.programs, progress, ...more };
        try {
            const opened = await openDump([directory], options);
            const found = await inspectPlainDump(opened.stream);
            const finished = await opened.finished;
            await opened.close();
            return { found, finished };
        } finally {
            expect(await readdir(workDirectory), "what is left in the work directory").to.deep.equal([]);
        }
    };
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

    const [first, second] = ["customer_db_export.dir-1.tar.gpg", "customer_db_export.dir-2.tar.gpg"];
    const damages: readonly (readonly [string, (directory: string) => Promise<unknown>, ErrorCode, RegExp])[] = [
        ["an archive that is missing", (at) => rm(join(at, second)), "SM-E0906", /dir-2\.tar\.gpg is missing/],
        [
            "an archive too many",
            (at) => copyFile(join(at, first), join(at, "customer_db_export.dir-9.tar.gpg")),
            "SM-E0906",
            /dir-9\.tar\.gpg is not of this dump/,
        ],
        ["an archive that is cut", (at) => truncate(join(at, first), 4000), "SM-E0906", /has 4000 bytes and not \d+/],
        [
            "archives that were swapped",
            async (at) => {
                await rename(join(at, first), join(at, "x"));
                await rename(join(at, second), join(at, first));
                await rename(join(at, "x"), join(at, second));
            },
            "SM-E0906",
            /has \d+ bytes and not \d+/,
        ],
        ["a bit that flipped in the middle", (at) => flipBit(join(at, first), 1 / 2), "SM-E0924", /./],
        [
            "a manifest that was edited",
            (at) => edit(join(at, "manifest.json"), /"rows": \d{4}/, '"rows": 1'),
            "SM-E0932",
            /manifest\.json/,
        ],
        [
            "a manifest of another version",
            async (at) => {
                await rm(join(at, "SHA256SUMS"));
                await edit(join(at, "manifest.json"), /bundle-1"/, 'bundle-2"');
            },
            "SM-E0911",
            /bundle-1/,
        ],
    ];
    for (const [title, damage, code, found] of damages) {
        it(`refuses ${title} before anything is loaded`, async () => {
            const directory = await copyOf(bundle.directory);
            await damage(directory);
            expect((await expectError(code, () => open(directory))).message).to.match(found);
        });
    }

    it("names gpg for a bit that flipped, wherever in the message the rows are that it is seen in first", async () => {
        for (let sixteenth = 2; sixteenth < 16; sixteenth++) {
            const directory = await copyOf(bundle.directory);
            await flipBit(join(directory, first), sixteenth / 16);
            await expectError("SM-E0924", () => open(directory));
        }
    });

    it("refuses archives of another bundle with the same passphrase, whatever their size", async () => {
        const directory = await copyOf(bundle.directory);
        const other = await makeBundle();
        const [mine] = bundle.database.artefacts;
        const [theirs] = other.database.artefacts;
        if (mine === undefined || theirs === undefined) throw new Error("a bundle without archives");
        await copyFile(join(other.directory, theirs.name), join(directory, mine.name));
        // As if it was as long, which a dump of the same database may well be.
        const artefacts = bundle.database.artefacts.map(({ files, ...artefact }) => ({
            ...artefact,
            files: files.map((file) => (artefact.name === mine.name ? { ...file, bytes: theirs.bytes } : file)),
        }));
        const options = await readOptions(directory);
        await expectError("SM-E0906", () => readDirectoryDump({ ...bundle.database, artefacts }, options));
    });

    const disagreements: readonly (readonly [
        string,
        (section: DirectoryDatabase) => Partial<DirectoryDatabase>,
        RegExp,
    ])[] = [
        [
            "lack a member",
            ({ members }) => ({ members: [...members, { name: "1.dat", bytes: 3, table: null }] }),
            /1 members are missing, as 1\.dat/,
        ],
        ["have one too many", ({ members }) => ({ members: members.slice(1) }), /is not of this dump, or there twice/],
        [
            "have one that is shorter",
            ({ members }) => ({ members: members.map((member) => ({ ...member, bytes: member.bytes + 1 })) }),
            /\d+ bytes and not \d+/,
        ],
        [
            "have one that is longer",
            ({ members }) => ({ members: members.map((member) => ({ ...member, bytes: member.bytes - 1 })) }),
            /more than \d+ bytes/,
        ],
        [
            "have other rows",
            ({ tables }) => ({ tables: tables.map((table) => ({ ...table, digest: "0".repeat(32) })) }),
            /not the ones that were written/,
        ],
        [
            "have the rows of one table in the place of another's",
            ({ members }) => ({
                members: members.map((member) => ({
                    ...member,
                    table:
                        member.table === "public.users"
                            ? "public.events"
                            : member.table === "public.events"
                              ? "public.users"
                              : member.table,
                })),
            }),
            /rows of public\.(users|events)/,
        ],
    ];
    for (const [title, change, found] of disagreements) {
        it(`refuses archives that ${title}, though gpg finds nothing wrong`, async () => {
            const section = { ...bundle.database, ...change(bundle.database) };
            const options = await readOptions(bundle.directory);
            expect((await expectError("SM-E0906", () => readDirectoryDump(section, options))).message).to.match(found);
        });
    }

    it("is split into parts where that is asked for, which the notes join", async () => {
        const split = await makeBundle({ partBytes: 20_000 });
        const names = await readdir(split.directory);
        expect(
            names.filter((name) => /^customer_db_export\.dir-\d\.tar\.gpg\.part-a[ab]$/.test(name)),
        ).to.have.length.above(1);
        expect(receiverNotes(split.manifest)).to.match(/cat customer_db_export\.dir-\d\.tar\.gpg\.part-\* \| gpg/);
        await open(split.directory);
    });

    it("is compressed with gzip where there is no zstd, and what zstd compressed is refused there by name", async () => {
        const programs = await newDirectory(cluster, "programs");
        for (const name of ["gpg", "setpriv", "gpg-agent"])
            await symlink((await execute("which", [name])).stdout.trim(), join(programs, name)).catch(() => undefined);
        const { PATH } = process.env;
        process.env.PATH = programs;
        try {
            const gzip = await makeBundle();
            expect(gzip.database.members.filter(({ name }) => /\.gz$/.test(name))).not.to.be.empty;
            expect(gzip.database.members.filter(({ name }) => /\.zst$/.test(name))).to.be.empty;
            expect(receiverNotes(gzip.manifest)).to.match(/gunzip customer_db_export\.dir\/\*\.gz/);
            const { found } = await open(gzip.directory);
            expect(found.tables).to.have.length(gzip.database.tables.length);
            await expectError("SM-E1180", () => open(bundle.directory));
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
            const { run, directory } = await newPlace();
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
                exportDatabase.act(await exportSpec(run, directory, { clientDirectory }), run),
            );
            expect(await readdir(directory)).to.deep.equal([]);
            expect(await readdir(run.directory)).to.deep.equal(["bundle-directory.json"]);
        });
    }

    it("is taken back whole, and a killed attempt's leftovers with it", async () => {
        const { run, directory } = await newPlace();
        const spec = await exportSpec(run, directory);
        await writeFile(join(directory, "customer_db_export.dir-7.tar.gpg.incoming"), "");
        await mkdir(join(run.directory, "export-database.dir"));
        await exportDatabase.act(spec, run);
        expect(await readdir(directory)).not.to.include("customer_db_export.dir-7.tar.gpg.incoming");
        await exportDatabase.undo?.(spec, run);
        expect(await readdir(directory)).to.deep.equal([]);
    });

    it("is not begun when it was told to stop before", async () => {
        const { run, directory } = await newPlace();
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

    async function copyOf(directory: string): Promise<string> {
        const copy = join(await newDirectory(cluster, "copy"), "bundle");
        await cp(directory, copy, { recursive: true });
        return copy;
    }
});

async function* content(text: string): AsyncGenerator<Buffer, void> {
    yield Promise.resolve(Buffer.from(text));
}

async function edit(path: string, text: RegExp, replacement: string): Promise<void> {
    const [before, after] = [await readFile(path, "utf8"), (await readFile(path, "utf8")).replace(text, replacement)];
    if (before === after) throw new Error(`${path} has nothing like ${String(text)}`);
    await writeFile(path, after);
}

async function flipBit(path: string, share: number): Promise<void> {
    const bytes = await readFile(path);
    const at = Math.floor(bytes.length * share);
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    await writeFile(path, bytes);
}
