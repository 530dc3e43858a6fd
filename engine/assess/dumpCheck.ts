/** What a dump has to say for itself before it is loaded: it is read to its end, and nothing of it is kept but two small tables. */
import { openDump, type OpenDumpOptions } from "../bundle/dump/openDump.ts";
import { readOpened } from "../bundle/dump/readOpened.ts";
import type { Finding } from "../../contract/index.ts";
import { plainDumpWarnings } from "../postgres/plainDump/content.ts";
import { readPlainDump, type ReadProgress } from "../postgres/plainDump/read.ts";
import type { PlacedStatement } from "../postgres/plainDump/statement.ts";
import type { CopyBlock, PlainDumpSink } from "../postgres/plainDump/sink.ts";
import type { InstalledSynapse } from "../synapse/targetVersion.ts";
import { finding } from "../run/finding.ts";
import { Definitions } from "./dumpCode.ts";
import { newerSchema } from "./databaseChecks.ts";
import { olderTarget } from "./targetChecks.ts";

export interface DumpQuestion extends OpenDumpOptions {
    readonly paths: readonly string[];
    readonly targetSynapse: InstalledSynapse;
    /** Where it will be loaded. Absent, nothing is known of its version. */
    readonly targetServer: Parameters<typeof olderTarget>[1] | undefined;
}

export interface DumpAnswer {
    /** SM-E0503, SM-E0506, SM-W0506, SM-E0522, SM-E0523, SM-W0908. */
    readonly findings: readonly Finding[];
    /** For people: server and schema that it comes from. */
    readonly version: string;
    /** Of its SQL text. */
    readonly bytes: number;
    readonly tables: number;
    readonly definitions: Definitions;
}

/** @throws MigrationError those of {@link openDump} and of reading a plain dump */
export async function checkDump({ paths, targetSynapse, targetServer, ...opening }: DumpQuestion): Promise<DumpAnswer> {
    const opened = await openDump(paths, opening);
    try {
        const definitions = new Definitions();
        const schema = new SchemaVersions(definitions);
        let read: ReadProgress = { bytes: 0, tables: 0, rows: 0 };
        const content = await opening.progress.during(
            "reading the dump to its end",
            () =>
                readOpened(opened, (dump) =>
                    readPlainDump(dump, schema, {
                        signal: opening.signal,
                        onProgress: (progress) => (read = progress),
                    }),
                ),
            () => `${read.bytes} bytes, ${read.tables} tables, ${read.rows} rows`,
        );
        const major = Number.parseInt(content.serverVersion, 10);
        const server = { text: content.serverVersion, major };
        const older = targetServer === undefined || Number.isNaN(major) ? [] : await olderTarget(server, targetServer);
        return {
            findings: [...older, ...schema.findings(targetSynapse), ...warnings(content, paths)],
            version: `PostgreSQL ${content.serverVersion || "of a version that the dump does not tell"}, ${schema.described}`,
            bytes: content.bytes,
            tables: content.tables.length,
            definitions,
        };
    } finally {
        await opened.close();
    }
}

function warnings(content: Parameters<typeof plainDumpWarnings>[0], paths: readonly string[]): Finding[] {
    return plainDumpWarnings(content, paths.join(", ")).map(({ code, detail }) =>
        finding(code, `${detail.where}: ${detail.found}`),
    );
}

/** A row or two; more than this in a table of that name is not Synapse's. */
const longestTable = 4096;

/** Keeps the rows of the tables that Synapse has its schema's version in, and of nothing else; hands statements on. */
class SchemaVersions implements PlainDumpSink {
    private readonly found = new Map<string, number>();
    private block: CopyBlock | undefined;
    private text = "";
    private readonly definitions: Definitions;

    constructor(definitions: Definitions) {
        this.definitions = definitions;
    }

    public statement(placed: PlacedStatement): Promise<void> {
        return this.definitions.statement(placed);
    }

    public beginRows(block: CopyBlock): Promise<void> {
        this.block = columns[block.name] === undefined || block.schema !== "public" ? undefined : block;
        this.text = "";
        return Promise.resolve();
    }

    public rows(data: Buffer): Promise<void> {
        if (this.block !== undefined && this.text.length < longestTable) this.text += data.toString("latin1");
        return Promise.resolve();
    }

    public endRows(): Promise<void> {
        const { block } = this;
        const at = block?.columns.indexOf(columns[block.name] ?? "") ?? -1;
        const value = this.text.split("\n")[0]?.split("\t")[at] ?? "";
        if (block !== undefined && /^\d{1,9}$/.test(value)) this.found.set(block.name, Number(value));
        this.block = undefined;
        return Promise.resolve();
    }

    public get described(): string {
        const version = this.found.get("schema_version");
        return version === undefined ? "without a Synapse schema version" : `Synapse schema ${version}`;
    }

    public findings(targetSynapse: InstalledSynapse): Finding[] {
        const version = this.found.get("schema_version");
        if (version === undefined)
            return [finding("SM-E0506", "the table schema_version has no row, as after an incomplete restore")];
        return newerSchema(version, this.found.get("schema_compat_version"), targetSynapse);
    }
}

/** Table -> column with the version. */
const columns: Readonly<Record<string, string>> = {
    schema_version: "version",
    schema_compat_version: "compat_version",
};
