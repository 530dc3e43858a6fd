/** Bundles with a database in pg_dump's directory format, made by the steps themselves from a database with rows that are hard to carry. */
import { cp, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import { writeArtefact } from "../../../engine/bundle/write/artefact.ts";
import { prepareBundleDirectory } from "../../../engine/bundle/write/bundleDirectory.ts";
import {
    bundleManifest,
    keepSection,
    type BundleManifest,
    type DirectoryDatabase,
} from "../../../engine/bundle/write/bundleManifest.ts";
import { openDump } from "../../../engine/bundle/dump/openDump.ts";
import { exportDatabase } from "../../../steps/export/exportDatabase.ts";
import { inspectPlainDump } from "../../../engine/postgres/plainDump/inspect.ts";
import { sealBundle } from "../../../steps/export/sealBundle.ts";
import { bundlePassphrase as passphrase, newDirectory } from "../../support/bundle.ts";
import { testCluster, testServerName, type TestCluster } from "../../support/cluster.ts";
import { newRun } from "../../support/migrationDump.ts";
import type { TestRun } from "../../support/stepRun.ts";

const fenceToken = "f".repeat(64);
export const signal = new AbortController().signal;

export interface Bundle {
    readonly directory: string;
    readonly manifest: BundleManifest;
    readonly database: DirectoryDatabase;
    readonly run: TestRun;
}

export class DirectoryBundles {
    public readonly cluster: TestCluster;
    /** Name of the database. */
    public readonly source: string;

    private constructor(cluster: TestCluster, source: string) {
        this.cluster = cluster;
        this.source = source;
    }

    public static async create(): Promise<DirectoryBundles> {
        const cluster = await testCluster();
        const source = await cluster.createDatabase("synapse", cluster.newName("source"));
        await cluster.query(
            source,
            `INSERT INTO room_account_data (user_id, room_id, account_data_type, stream_id, content)
                SELECT '@user' || n, E'!tab\\tback\\\\slash\\nline\\rreturn', 'süß ' || n, 1, E'\\\\.' FROM generate_series(1, 3000) n;
            INSERT INTO received_transactions (transaction_id, origin, ts, response_code, has_been_referenced)
                SELECT n::text, md5(n::text), n, 200, 0 FROM generate_series(1, 4000) n`,
        );
        return new DirectoryBundles(cluster, source);
    }

    public async exportSpec(run: TestRun, directory: string, more: object = {}) {
        return {
            ...{
                run: { id: run.id, directory: run.directory },
                source: await this.cluster.source(this.source),
                fenceToken,
            },
            ...{
                bundle: { directory },
                passphrase,
                clientDirectory: this.cluster.programs,
                format: "directory" as const,
            },
            ...more,
        };
    }

    public async newPlace(): Promise<{ run: TestRun; directory: string }> {
        const run = await newRun(this.cluster);
        const directory = join(this.cluster.directory, this.cluster.newName("bundle"));
        await prepareBundleDirectory(directory, run.directory);
        return { run, directory };
    }

    /** With sections about media and configuration that hold next to nothing. */
    public async make(more: { partBytes?: number } = {}): Promise<Bundle> {
        const { run, directory } = await this.newPlace();
        const place = { bundle: { directory }, passphrase, runDirectory: run.directory, signal };
        const spec = await this.exportSpec(run, directory, { bundle: { directory, ...more } });
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
    }

    public async open(directory: string, more: object = {}) {
        const workDirectory = await newDirectory(this.cluster, "work");
        const { progress } = await newRun(this.cluster);
        const options = { passphrase, workDirectory, clientDirectory: this.cluster.programs, progress, ...more };
        try {
            const opened = await openDump([directory], options);
            const found = await inspectPlainDump(opened.stream);
            const finished = await opened.finished;
            await opened.close();
            return { found, finished };
        } finally {
            expect(await readdir(workDirectory), "what is left in the work directory").to.deep.equal([]);
        }
    }

    public async readOptions(directory: string) {
        return {
            ...{ directory, passphrase, workDirectory: await newDirectory(this.cluster, "work") },
            async take(_name: string, members: AsyncIterable<Buffer>) {
                let bytes = 0;
                for await (const chunk of members) bytes += chunk.length;
                expect(bytes).to.be.above(0);
            },
        };
    }

    public async copyOf(directory: string): Promise<string> {
        const copy = join(await newDirectory(this.cluster, "copy"), "bundle");
        await cp(directory, copy, { recursive: true });
        return copy;
    }
}

async function* content(text: string): AsyncGenerator<Buffer, void> {
    yield Promise.resolve(Buffer.from(text));
}
