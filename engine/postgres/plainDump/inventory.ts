/** What has been seen of a dump so far, and whether its parts fit together. */
import { MigrationError } from "../../run/errors.ts";
import { markerSchema } from "../databases/marker.ts";
import { refusePartialDump, type PlainDumpContent, type PlainDumpSequence, type PlainDumpTable } from "./content.ts";
import type { QualifiedName, TableName } from "./cursor.ts";
import type { Declarations } from "./declared/declarations.ts";
import { LineSum } from "./lineHash.ts";
import { describeName, type Statement } from "./statement.ts";

interface KnownTable extends TableName {
    readonly columns: readonly string[];
    readonly unlogged: boolean;
    hasData: boolean;
}

export class Inventory {
    /** Schemas in which names without one are looked up. */
    public searchPath: readonly string[] = [];
    public statements = 0;
    private readonly known = new Map<string, KnownTable>();
    /** Views: what has no rows in the dump, and may have indexes and triggers. */
    private readonly views = new Set<string>();
    private readonly tables: PlainDumpTable[] = [];
    private readonly sequences: PlainDumpSequence[] = [];
    /** Tables whose rows the dump says it has, by the comment in front of them. */
    private readonly announced = new Set<string>();
    private rowsAs: "COPY" | "INSERT" | undefined;
    private readonly leftOut = new Map<string, number>();
    private readonly owners = new Set<string>();

    /** Whether the dump has made no table yet. */
    public get untouched(): boolean {
        return this.known.size === 0;
    }

    /** COPY blocks that are whole. */
    public get tableCount(): number {
        return this.tables.length;
    }

    public resolve({ schema, name }: QualifiedName): TableName {
        return { schema: schema ?? this.searchPath[0] ?? "public", name };
    }

    /** Whether it belongs to our own marker, from an earlier migration of this homeserver. */
    public isOfMarker(statement: Statement): boolean {
        const named = "table" in statement ? statement.table : "name" in statement ? statement.name : undefined;
        return typeof named === "object" && this.resolve(named).schema === markerSchema;
    }

    public leave(what: string, owner?: string): void {
        if (owner !== undefined) this.owners.add(owner);
        this.leftOut.set(what, (this.leftOut.get(what) ?? 0) + 1);
    }

    public learnTable(statement: Statement & { kind: "table" }, where: string): void {
        const table = this.resolve(statement.table);
        const key = describeName(table);
        if (this.known.has(key)) throw new MigrationError("SM-E0901", { where, found: `table ${key} a second time` });
        this.known.set(key, { ...table, columns: statement.columns, unlogged: statement.unlogged, hasData: false });
    }

    public learnObject({ what, name }: Statement & { kind: "object" }): void {
        if (name !== undefined && (what === "view" || what === "materialized view"))
            this.views.add(describeName(this.resolve(name)));
    }

    public learnSequence({ sequence, lastValue, isCalled }: Statement & { kind: "setval" }): void {
        this.sequences.push({ ...this.resolve(sequence), lastValue, isCalled });
    }

    /** @throws MigrationError SM-E0907: of a name that is damaged, or of a dump with parts left out */
    public refuseUnknownTable(what: string, name: string, table: QualifiedName, where: string): void {
        const key = describeName(this.resolve(table));
        if (this.known.has(key) || this.views.has(key)) return;
        const found = `${what} ${name} of table ${key}, which the dump does not make`;
        throw new MigrationError("SM-E0907", { where, found });
    }

    public announceRows(table: QualifiedName): void {
        this.announced.add(describeName(this.resolve(table)));
    }

    /** Of a table as it was made; none for one that was not. */
    public columnsOf(table: QualifiedName): readonly string[] {
        return this.known.get(describeName(this.resolve(table)))?.columns ?? [];
    }

    /** A table without rows has no INSERT: all that is said of it is the comment. */
    public addEmptyTables(): void {
        if (this.rowsAs !== "INSERT") return;
        for (const [key, table] of this.known) {
            if (table.hasData || table.schema === markerSchema || !this.announced.has(key)) continue;
            table.hasData = true;
            const { schema, name, columns } = table;
            this.addTable({ schema, name, columns, rows: 0, bytes: 0, digest: new LineSum().toString() });
        }
    }

    /**
     * @throws MigrationError SM-E0907 for the rows of a table that the dump does not make, SM-E0901 when its columns are others, SM-E0937 when
     *     others came in another way
     */
    public beginRows(
        { table, columns }: { readonly table: QualifiedName; readonly columns: readonly string[] },
        where: string,
        rowsAs: "COPY" | "INSERT" = "COPY",
    ): TableName {
        const name = this.resolve(table);
        const key = describeName(name);
        this.rowsAs ??= rowsAs;
        if (this.rowsAs !== rowsAs)
            throw new MigrationError("SM-E0937", {
                where,
                found: `rows of table ${key} as ${rowsAs}, and of tables before it as ${this.rowsAs}`,
            });
        const known = this.known.get(key);
        if (known === undefined) {
            const found = `rows of table ${key}, which the dump does not make, as --data-only has it`;
            throw new MigrationError("SM-E0907", { where, found });
        }
        if (known.hasData)
            throw new MigrationError("SM-E0901", { where, found: `the rows of table ${key} a second time` });
        known.hasData = true;
        if (known.columns.length === columns.length && known.columns.every((column) => columns.includes(column)))
            return name;
        throw new MigrationError("SM-E0901", {
            where,
            found: `rows of table ${key} with the columns ${columns.join(", ")}`,
            expected: known.columns.join(", "),
        });
    }

    public addTable(table: PlainDumpTable): void {
        this.tables.push(table);
    }

    /** @throws MigrationError as {@link refusePartialDump} */
    public refusePartial(): void {
        const tables = [...this.known.values()].filter(({ schema }) => schema !== markerSchema);
        for (const kind of refusePartialDump(tables, "the dump")) this.leave(kind);
    }

    public content(
        dump: Pick<PlainDumpContent, "serverVersion" | "programVersion" | "bytes" | "sha256">,
        declarations: Declarations,
    ): PlainDumpContent {
        const byName = (a: TableName, b: TableName): number => (describeName(a) < describeName(b) ? -1 : 1);
        return {
            ...dump,
            tables: this.tables.sort(byName),
            sequences: this.sequences.sort(byName),
            leftOut: Object.fromEntries([...this.leftOut].sort()),
            owners: [...this.owners].sort(),
            statements: this.statements,
            declared: declarations.definitions(),
            declaredSequences: declarations.sequencesAt(this.sequences),
        };
    }
}
