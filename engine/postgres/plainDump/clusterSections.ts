/** Finds the databases in a dump of a whole server, as pg_dumpall writes it: one dump of pg_dump each, behind roles and tablespaces. */
import { MigrationError } from "../../run/errors.ts";
import { ByteSource } from "./byteSource.ts";
import { connectedDatabase } from "./connectCommand.ts";
import { Cursor } from "./cursor.ts";
import { passHead } from "./head.ts";
import { itemOf } from "./items.ts";
import type { Item } from "./lexer.ts";

export interface ClusterSection {
    readonly database: string;
    /** Of the dump's bytes: pg_dump's first line, and behind its last. */
    readonly from: number;
    readonly to: number;
    /** Names without schemas. */
    readonly tables: ReadonlySet<string>;
}

const firstLine = /^-- PostgreSQL database (cluster )?dump(?:\r?\n|$)/m;
const endOfRows = Buffer.from("\n\\.\n");

/** @param head  the first bytes of a plain dump */
export function isClusterDump(head: Buffer): boolean {
    return firstLine.exec(head.toString("latin1"))?.[1] !== undefined;
}

/**
 * Reads the dump to its end. Statements are only looked at for what they make: none of them is believed, none is refused.
 *
 * @throws MigrationError SM-E0901 for a dump that is cut off, SM-E0903 for one that cannot be read in this way, SM-E0933, SM-E0934; what its
 *     stream throws
 */
export async function clusterSections(dump: AsyncIterable<Buffer>, signal?: AbortSignal): Promise<ClusterSection[]> {
    const source = new ByteSource(dump, signal);
    await passHead(source);
    const scan = new ClusterScan();
    for (;;) {
        const lexed = await itemOf(source);
        if (lexed === "end") break;
        if (lexed === "more") throw cutOff(source, "it ends inside of a statement, or of one that never ends");
        const { item, end } = lexed;
        scan.item(item, source.offsetOf(lexed.start), `line ${source.line} of the dump`);
        source.moveTo(end);
        if (item.kind === "statement" && isCopy(item) && !(await passRows(source)))
            throw cutOff(source, "it ends inside of the rows of a table");
    }
    if (!scan.complete) throw cutOff(source, "its last lines are missing");
    return scan.sections(source.bytes);
}

class ClusterScan {
    public complete = false;
    private readonly found: { database: string; from: number; to: number | undefined; tables: Set<string> }[] = [];
    private database = "";
    /** Whether the current one has its last line. */
    private ended = false;
    private closed = false;

    public sections(end: number): ClusterSection[] {
        return this.found.map((section) => ({ ...section, to: section.to ?? end }));
    }

    /** @param start  offset in the dump */
    public item(item: Item, start: number, where: string): void {
        const current = this.found.at(-1);
        if (this.ended && current !== undefined && current.to === undefined && !this.closes(item)) current.to = start;
        if (item.kind === "comment") this.comment(item.text, start);
        else if (item.kind === "command") this.command(item.text);
        else if (current?.to === undefined) this.statement(item, where);
    }

    /** Behind the last line of a section there are the rule below it, and the end of the restricted mode. */
    private closes(item: Item): boolean {
        if (item.kind === "command") return item.text.startsWith("\\unrestrict ");
        if (item.kind !== "comment" || item.text !== "--" || this.closed) return false;
        this.closed = true;
        return true;
    }

    private comment(text: string, start: number): void {
        if (text === "-- PostgreSQL database dump") {
            this.found.push({ database: this.database, from: start, to: undefined, tables: new Set() });
            [this.ended, this.closed] = [false, false];
        } else if (text === "-- PostgreSQL database dump complete") this.ended = true;
        else if (text === "-- PostgreSQL database cluster dump complete") this.complete = true;
    }

    private command(text: string): void {
        const [, argument] = /^\\connect (.*)$/.exec(text) ?? [];
        if (argument === undefined) return;
        this.database = connectedDatabase(argument);
        const current = this.found.at(-1);
        if (current !== undefined && current.to === undefined) current.database = this.database;
    }

    private statement({ tokens }: Item & { kind: "statement" }, where: string): void {
        const cursor = new Cursor(tokens);
        if (cursor.take("set standard_conforming_strings") && cursor.contains("off"))
            throw new MigrationError("SM-E0903", {
                where,
                found: `standard_conforming_strings = off in database ${this.database}: where its strings end is not known`,
                fix: `dump the homeserver's database alone: pg_dump DATABASE`,
            });
        if (cursor.takeOne("create table", "create unlogged table") === undefined) return;
        const name = cursor.takeName()?.name;
        if (name !== undefined) this.found.at(-1)?.tables.add(name);
    }
}

function isCopy({ tokens }: Item & { kind: "statement" }): boolean {
    const cursor = new Cursor(tokens);
    return cursor.take("copy") && cursor.contains("from stdin");
}

/** @param source  behind the statement's semicolon */
async function passRows(source: ByteSource): Promise<boolean> {
    for (;;) {
        const end = source.buffer.indexOf(endOfRows, source.at);
        if (end >= 0) {
            source.moveTo(end + endOfRows.length);
            return true;
        }
        source.moveTo(Math.max(source.at, source.buffer.length - endOfRows.length));
        if (!(await source.extend())) return false;
    }
}

function cutOff(source: ByteSource, found: string): MigrationError {
    return new MigrationError("SM-E0901", {
        where: `line ${source.line} of the dump`,
        found,
        expected: "-- PostgreSQL database cluster dump complete, as the last line of pg_dumpall",
    });
}
