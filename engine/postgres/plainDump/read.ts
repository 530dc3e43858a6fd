/** Reads a plain dump from its first byte to its last, refuses what is wrong with it, and hands the rest to a sink. */
import { MigrationError } from "../../run/errors.ts";
import { ByteSource } from "./byteSource.ts";
import { classify, statementName } from "./classify.ts";
import { markerSchema } from "../databases/marker.ts";
import type { PlainDumpContent } from "./content.ts";
import { readCopyBlock } from "./copyBlock.ts";
import { Declarations } from "./declared/declarations.ts";
import { describeEntry, entryOf, isAbout, keepOut, type DumpEntry } from "./entry.ts";
import { DumpFrame } from "./frame.ts";
import { passHead } from "./head.ts";
import { InsertBlock } from "./insertBlock.ts";
import { insertHeadOf } from "./insertHead.ts";
import { Inventory } from "./inventory.ts";
import { isTooLong, itemOf, longestStatement } from "./items.ts";
import type { Item, Lexed, Token } from "./lexer.ts";
import { noSink, type PlainDumpSink } from "./sink.ts";
import { describeName, type PlacedStatement, type Statement } from "./statement.ts";
import { Utf8Check } from "./utf8Check.ts";

export interface ReadProgress {
    /** Of the decompressed dump, so far. */
    readonly bytes: number;
    readonly tables: number;
    readonly rows: number;
}

export interface ReadOptions {
    readonly signal?: AbortSignal | undefined;
    readonly onProgress?: ((progress: ReadProgress) => void) | undefined;
    /** Takes a dump of some tables, as `pg_dump -t` makes it, which is not a homeserver's. Whoever reads it says which it must have. */
    readonly someTables?: boolean | undefined;
}

const newline = 10;

/**
 * @throws MigrationError SM-E0901 to SM-E0904, SM-E0907, SM-E0909, SM-E0936, SM-E0937 with the line; whatever the dump's stream or the sink throw
 */
export async function readPlainDump(
    dump: AsyncIterable<Buffer>,
    sink: PlainDumpSink,
    options: ReadOptions = {},
): Promise<PlainDumpContent> {
    const source = new ByteSource(dump, options.signal);
    try {
        return await new Reading(source, sink, options).run();
    } finally {
        // What the stream says when it is let go of is not news any more.
        await source.close().catch(() => undefined);
    }
}

class Reading {
    private readonly source: ByteSource;
    private readonly sink: PlainDumpSink;
    private readonly options: ReadOptions;
    private readonly frame = new DumpFrame();
    private readonly inventory = new Inventory();
    private readonly declarations = new Declarations((name) => this.inventory.resolve(name));
    private rows = 0;
    /** The last object that is whole, for the message about a dump that is cut off. */
    private last = "nothing";
    /** Rows that come as INSERTs, as long as they are of the same table. */
    private inserts: InsertBlock | undefined;
    /** Of pg_dump's table of contents: what it says above a statement. */
    private entry: DumpEntry | undefined;
    /** Whether the dump ends in an empty line. */
    private emptyEnd = false;

    constructor(source: ByteSource, sink: PlainDumpSink, options: ReadOptions) {
        this.source = source;
        this.sink = sink;
        this.options = options;
    }

    public async run(): Promise<PlainDumpContent> {
        await passHead(this.source);
        for (;;) {
            if (await this.insert()) continue;
            const lexed = await this.lex();
            if (lexed === undefined) break;
            await this.item(lexed);
        }
        await this.endInserts();
        this.inventory.addEmptyTables();
        if (!this.frame.complete || !this.emptyEnd) throw this.cutOff("its last lines are missing");
        const { serverVersion, programVersion } = this.frame;
        const { bytes } = this.source;
        if (this.options.someTables !== true) this.inventory.refusePartial();
        const dump = { serverVersion, programVersion, bytes, sha256: this.source.digest() };
        return this.inventory.content(dump, this.declarations);
    }

    /** The next item, undefined behind the last. The source's line is then that of the item's first byte. */
    private async lex(): Promise<Lexed | undefined> {
        const { source } = this;
        const lexed = await itemOf(source);
        if (typeof lexed === "object") return lexed;
        if (lexed === "more")
            throw isTooLong(source) ? this.tooLong() : this.cutOff("it ends inside of a statement or a line");
        this.emptyEnd = source.buffer.subarray(source.at).includes(newline);
        source.moveTo(source.buffer.length);
        return undefined;
    }

    private async item({ item, end }: Lexed): Promise<void> {
        const where = this.here();
        if (item.kind === "statement") return this.statement(item, end, where);
        if (item.kind === "comment") {
            this.frame.comment(item.text, where);
            const entry = entryOf(item.text);
            this.entry = entry ?? this.entry;
            if (entry?.type === "TABLE DATA" && entry.schema !== undefined)
                this.inventory.announceRows({ schema: entry.schema, name: entry.name });
        } else this.frame.command(item.text, this.inventory.untouched, where);
        this.source.moveTo(end);
    }

    private async statement(item: Item & { kind: "statement" }, end: number, where: string): Promise<void> {
        const { line } = this.source;
        await this.endInserts();
        this.frame.statement(where);
        this.refuseOtherText(end, where);
        const statement = classify(item.tokens);
        const name = statementName(item.tokens);
        this.source.moveTo(end);
        this.inventory.statements += 1;
        this.declarations.note(item.tokens);
        const { searchPath } = this.inventory;
        if (this.inventory.isOfMarker(statement) && statement.kind !== "copy") {
            if (statement.kind === "table") this.inventory.learnTable(statement, where);
            this.inventory.leave("marker of an earlier migration");
        } else if (this.note(statement, where, item.tokens))
            await this.sink.statement({ statement, text: item.text, line, searchPath });
        else if (statement.kind === "copy") await this.copy(statement, where);
        this.last = `${name} in line ${line}`;
    }

    /** @returns whether it is for the sink */
    private note(statement: PlacedStatement["statement"], where: string, tokens: readonly Token[]): boolean {
        const { inventory } = this;
        switch (statement.kind) {
            case "refused":
                throw new MigrationError(statement.code, { where, ...this.blame(statement, tokens) });
            case "setting":
            case "copy":
                return false;
            case "searchPath":
                inventory.searchPath = statement.path;
                return false;
            case "createDatabase":
                this.frame.createDatabase(statement.database, where);
                inventory.leave("databases");
                return false;
            case "leftOut":
                // pg_dump --clean drops before it makes anything.
                if (statement.what === "drop" && !inventory.untouched)
                    throw new MigrationError("SM-E0903", { where, found: statementName(tokens) });
                inventory.leave(statement.what, statement.owner);
                return false;
            case "table":
                inventory.learnTable(statement, where);
                return true;
            case "setval":
                inventory.learnSequence(statement);
                return true;
            case "index":
            case "constraint":
            case "trigger":
                inventory.refuseUnknownTable(statement.kind, statement.name, statement.table, where);
                return true;
            case "object":
                inventory.learnObject(statement);
                return true;
            case "extension":
            case "refresh":
                return true;
        }
    }

    /** What of the source the statement is about, and how it is kept out of the dump. */
    private blame(
        { code, found }: Statement & { kind: "refused" },
        tokens: readonly Token[],
    ): { found: string; fix?: string } {
        const { entry } = this;
        if (code !== "SM-E0903" || entry === undefined || !isAbout(tokens, entry)) return { found };
        return { found: `${found}; it is ${describeEntry(entry)}`, fix: keepOut(entry) };
    }

    private async copy(statement: Statement & { kind: "copy" }, where: string): Promise<void> {
        const { inventory } = this;
        const block = { ...inventory.beginRows(statement, where), columns: statement.columns };
        const isOfMarker = inventory.isOfMarker(statement);
        const table = await readCopyBlock(this.source, block, isOfMarker ? noSink : this.sink, {
            onRows: (rows) => {
                this.rows += rows;
                this.report();
            },
            cutOff: (found) => this.cutOff(found),
        });
        if (isOfMarker) inventory.leave("marker of an earlier migration");
        else inventory.addTable(table);
        this.report();
    }

    /** @returns whether the next item is an INSERT, which is read then */
    private async insert(): Promise<boolean> {
        const { source, inventory } = this;
        const head = await insertHeadOf(source);
        if (head === undefined) return false;
        const where = this.here();
        this.frame.statement(where);
        this.refuseOtherText(head.end, where);
        const { table } = head;
        const name = describeName(inventory.resolve(table));
        const columns = head.columns ?? inventory.columnsOf(table);
        const open = this.inserts;
        // Of two statements of a table, both name the same columns, in the same order.
        if (open === undefined || describeName(open.block) !== name || open.block.columns.join() !== columns.join()) {
            await this.endInserts();
            inventory.statements += 1;
            const block = { ...inventory.beginRows({ table, columns }, where, "INSERT"), columns };
            const isOfMarker = block.schema === markerSchema;
            this.inserts = new InsertBlock({ ...block, firstLine: source.line }, isOfMarker ? noSink : this.sink, {
                onRows: (rows) => {
                    this.rows += rows;
                    this.report();
                },
                cutOff: (found) => this.cutOff(found),
            });
            await this.inserts.begin();
        }
        this.last = `INSERT INTO ${name} in line ${source.line}`;
        source.moveTo(head.end);
        await this.inserts?.statement(source);
        return true;
    }

    private async endInserts(): Promise<void> {
        const table = await this.inserts?.end();
        this.inserts = undefined;
        if (table === undefined) return;
        if (table.schema === markerSchema) this.inventory.leave("marker of an earlier migration");
        else this.inventory.addTable(table);
        this.report();
    }

    private refuseOtherText(end: number, where: string): void {
        const { source } = this;
        const text = source.buffer.subarray(source.at, end);
        const nul = text.indexOf(0);
        const fault = new Utf8Check().firstFault(text) ?? (nul < 0 ? undefined : nul);
        if (fault === undefined) return;
        throw new MigrationError("SM-E0904", {
            where: `${where}, byte ${source.offsetOf(source.at + fault)}`,
            found: "a statement that is not UTF-8 text",
        });
    }

    private report(): void {
        const { tableCount } = this.inventory;
        this.options.onProgress?.({ bytes: this.source.bytes, tables: tableCount, rows: this.rows });
    }

    private here(): string {
        return `line ${this.source.line} of the dump`;
    }

    private cutOff(found: string): MigrationError {
        return new MigrationError("SM-E0901", {
            where: this.here(),
            found: `${found}; the last that is whole is ${this.last}`,
            expected: "-- PostgreSQL database dump complete, and the lines that pg_dump writes after it",
        });
    }

    private tooLong(): MigrationError {
        const found = `a statement of more than ${longestStatement} bytes`;
        return new MigrationError("SM-E0903", { where: this.here(), found });
    }
}
