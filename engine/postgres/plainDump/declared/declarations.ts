/**
 * What the text of a dump says that a database made from it has, in the form of `catalogue.ts`.
 *
 * Made out of the tokens alone, and not out of what the allow-list says of a statement: what is left out, put off or lost on the way to the
 * server is missing in the database then, and not here.
 *
 * Not covered: comments, statistics targets and compression, which change nothing that Synapse does; of views, rules, policies, procedures,
 * aggregates, types, domains and extended statistics, more than that they are there.
 */
import type { Definition } from "../../catalogue/catalogue.ts";
import { markerSchema } from "../../databases/marker.ts";
import type { Sequence } from "../../sequences/sequences.ts";
import type { PlainDumpSequence } from "../content.ts";
import { Cursor, splitAtCommas, type QualifiedName, type TableName } from "../cursor.ts";
import type { Token } from "../lexer.ts";
import { DeclaredColumn } from "./column.ts";
import { declaredSequence, sequenceText, type DeclaredSequence } from "./sequence.ts";
import { tableDefinitions, tableOptions, type DeclaredTable } from "./table.ts";
import { nameText, qualifiedText, textOf } from "./tokens.ts";

/** An index or a trigger: its statement, and what later ones say of it. */
interface Text {
    text: string;
    readonly flags: Set<string>;
}

type Resolve = (name: QualifiedName) => TableName;

const replicaIdentities = { full: "f", nothing: "n" } as const;

export class Declarations {
    private readonly tables = new Map<string, DeclaredTable>();
    private readonly sequences = new Map<string, TableName & { settings: DeclaredSequence }>();
    private readonly indexes = new Map<string, Text>();
    private readonly triggers = new Map<string, { text: string; enabled: string }>();
    /** All that no later statement changes. */
    private readonly others: Definition[] = [];
    private readonly resolve: Resolve;

    constructor(resolve: Resolve) {
        this.resolve = resolve;
    }

    public note(tokens: readonly Token[]): void {
        const cursor = new Cursor(tokens);
        if (cursor.take("create")) this.create(cursor, tokens);
        else if (cursor.take("alter table")) this.alterTable(cursor);
        else if (cursor.take("alter sequence")) this.alterSequence(cursor);
    }

    public definitions(): Definition[] {
        return [
            ...[...this.tables.values()].flatMap(tableDefinitions),
            ...[...this.indexes].map(([name, { text, flags }]) => ({
                ...{ kind: "index", name },
                definition: [text, ...flags].join(", "),
            })),
            ...[...this.triggers].map(([name, { text, enabled }]) => ({
                ...{ kind: "trigger", name },
                definition: `${text}, enabled ${enabled}`,
            })),
            ...[...this.sequences].map(([name, { settings }]) => ({
                ...{ kind: "sequence", name },
                definition: sequenceText(settings),
            })),
            ...this.others,
        ];
    }

    /** @param positions  of `setval`; a sequence without one stands at its beginning */
    public sequencesAt(positions: readonly PlainDumpSequence[]): Sequence[] {
        const at = new Map(positions.map((position) => [qualifiedText(position), position]));
        return [...this.sequences].map(([key, { schema, name, settings }]) => {
            const { start, increment, min, max } = settings;
            const { lastValue = start, isCalled = false } = at.get(key) ?? {};
            return { ...{ schema, name, lastValue, isCalled, start, increment, min, max } };
        });
    }

    private create(cursor: Cursor, tokens: readonly Token[]): void {
        const what = cursor.takeOne(
            ...([
                "unlogged table",
                "table",
                "unique index",
                "index",
                "unlogged sequence",
                "sequence",
                "trigger",
            ] as const),
            ...(["function", "view", "type", "domain", "statistics", "schema"] as const),
            ...(["or replace view", "materialized view", "procedure", "aggregate", "rule", "policy"] as const),
        );
        const name = cursor.takeName();
        if (what === undefined || name === undefined) return;
        if (what === "unique index" || what === "index") this.createIndex(name.name, cursor, tokens);
        else if (what === "rule" || what === "policy") this.createOf(what, name.name, cursor);
        else if (what === "trigger") this.createTrigger(name.name, cursor, tokens);
        // In place of a view that is there.
        else if (what !== "or replace view") this.createNamed(what, name, cursor, tokens);
    }

    private createNamed(what: string, name: QualifiedName, cursor: Cursor, tokens: readonly Token[]): void {
        const resolved = what === "schema" ? { schema: name.name, name: name.name } : this.resolve(name);
        if (resolved.schema === markerSchema) return;
        const key = qualifiedText(resolved);
        if (what === "table" || what === "unlogged table") this.createTable(resolved, what, cursor);
        else if (what === "sequence" || what === "unlogged sequence")
            this.sequences.set(key, { ...resolved, settings: declaredSequence(cursor) });
        else if (what === "function") this.others.push({ kind: what, name: key, definition: bodyOf(tokens) });
        else this.others.push({ kind: what, name: what === "schema" ? nameText(name.name) : key, definition: "" });
    }

    private createTable(table: TableName, what: "table" | "unlogged table", cursor: Cursor): void {
        const columns = new Map<string, DeclaredColumn>();
        for (const part of splitAtCommas(cursor.takeParentheses() ?? [])) {
            const inner = new Cursor(part);
            if (inner.take("constraint")) this.addConstraint(table, inner, part, columns);
            else if (part[0] !== undefined) columns.set(part[0].text, new DeclaredColumn(part.slice(1)));
        }
        const options = cursor.take("with") ? cursor.takeParentheses() : undefined;
        this.tables.set(qualifiedText(table), {
            ...table,
            ...{
                persistence: what === "table" ? "logged" : "unlogged",
                columns,
                replicaIdentity: "d",
                rowSecurity: false,
            },
            options: options === undefined ? undefined : tableOptions(options),
        });
    }

    private createIndex(name: string, cursor: Cursor, tokens: readonly Token[]): void {
        cursor.take("on");
        cursor.take("only");
        const table = cursor.takeName();
        const schema = table === undefined ? undefined : this.resolve(table).schema;
        if (schema === undefined || schema === markerSchema) return;
        this.indexes.set(qualifiedText({ schema, name }), { text: textOf(tokens), flags: new Set() });
    }

    private createTrigger(name: string, cursor: Cursor, tokens: readonly Token[]): void {
        const table = cursor.skipTo("on") ? cursor.takeName() : undefined;
        if (table === undefined || this.resolve(table).schema === markerSchema) return;
        const key = `${qualifiedText(this.resolve(table))}: ${nameText(name)}`;
        this.triggers.set(key, { text: textOf(tokens), enabled: "O" });
    }

    private createOf(kind: "rule" | "policy", name: string, cursor: Cursor): void {
        const relation = cursor.skipTo(kind === "rule" ? "to" : "on") ? cursor.takeName() : undefined;
        if (relation === undefined || this.resolve(relation).schema === markerSchema) return;
        this.others.push({ kind, name: `${qualifiedText(this.resolve(relation))}: ${nameText(name)}`, definition: "" });
    }

    /** @param cursor  at the constraint's name */
    private addConstraint(
        table: TableName,
        cursor: Cursor,
        tokens: readonly Token[],
        columns: ReadonlyMap<string, DeclaredColumn> | undefined,
    ): void {
        const name = cursor.takeIdentifier();
        if (name === undefined || table.schema === markerSchema) return;
        const rest = cursor.rest();
        if (new Cursor(rest).take("not null")) return;
        const primary = new Cursor(rest);
        if (primary.take("primary key"))
            for (const { text } of primary.takeParentheses() ?? []) {
                const column = columns?.get(text);
                if (column !== undefined) column.notNull = true;
            }
        const validated = new Cursor(tokens).contains("not valid") ? "not validated" : "validated";
        this.others.push({
            kind: "constraint",
            name: `${qualifiedText(table)}: ${nameText(name)}`,
            definition: `${textOf(rest)}, ${validated}`,
        });
    }

    private alterTable(cursor: Cursor): void {
        cursor.take("if exists");
        cursor.take("only");
        const given = cursor.takeName();
        if (given === undefined) return;
        const name = this.resolve(given);
        const table = this.tables.get(qualifiedText(name));
        if (cursor.take("add constraint")) {
            this.addConstraint(name, cursor, cursor.rest(), table?.columns);
            return;
        }
        if (table === undefined) return;
        if (cursor.take("alter column")) {
            this.alterColumn(table, cursor);
            return;
        }
        if (cursor.take("cluster on")) {
            this.flag(table, cursor.takeIdentifier(), "clustered");
            return;
        }
        if (cursor.take("enable row level security")) table.rowSecurity = true;
        if (cursor.take("replica identity")) {
            const identity = cursor.takeOne("full", "nothing");
            table.replicaIdentity = identity === undefined ? "i" : replicaIdentities[identity];
            if (cursor.take("using index")) this.flag(table, cursor.takeIdentifier(), "replica identity");
        }
        const enabled = cursor.takeOne("disable trigger", "enable always trigger", "enable replica trigger");
        const trigger = enabled === undefined ? undefined : cursor.takeIdentifier();
        const found = this.triggers.get(`${qualifiedText(name)}: ${nameText(trigger ?? "")}`);
        if (found !== undefined)
            found.enabled = enabled?.includes("always") === true ? "A" : enabled?.[0] === "d" ? "D" : "R";
    }

    /** Of an index that a constraint has made, nothing but the constraint is declared. */
    private flag({ schema }: DeclaredTable, index: string | undefined, flag: string): void {
        this.indexes.get(qualifiedText({ schema, name: index ?? "" }))?.flags.add(flag);
    }

    private alterColumn(table: DeclaredTable, cursor: Cursor): void {
        const name = cursor.takeIdentifier() ?? "";
        const column = table.columns.get(name);
        if (column === undefined) return;
        const what = cursor.takeOne("set default", "set not null", "set storage", "add generated", "set");
        if (what === "set default") column.value = textOf(cursor.rest());
        else if (what === "set not null") column.notNull = true;
        else if (what === "set storage") column.setStorage(cursor.takeIdentifier()?.toLowerCase() ?? "");
        else if (what === "set") {
            const options = cursor.takeParentheses();
            if (options !== undefined) column.setOptions(options);
        } else if (what === "add generated") {
            column.identity = cursor.take("always") ? "always" : "by default";
            const settings = cursor.skipTo("as identity") ? cursor.takeParentheses() : undefined;
            const named = new Cursor(settings ?? []);
            const sequence = named.take("sequence name") ? named.takeName() : undefined;
            if (sequence === undefined) return;
            const of = `identity of ${qualifiedText(table)}.${nameText(name)}`;
            const resolved = this.resolve(sequence);
            const declared = { ...declaredSequence(named, column.type), of };
            this.sequences.set(qualifiedText(resolved), { ...resolved, settings: declared });
        }
    }

    private alterSequence(cursor: Cursor): void {
        const given = cursor.takeName();
        const sequence = given === undefined ? undefined : this.sequences.get(qualifiedText(this.resolve(given)));
        if (sequence === undefined || !cursor.take("owned by")) return;
        // `table.column` where the dump relies on search_path, else `schema.table.column`.
        const parts = cursor.rest().flatMap(({ kind, text }) => (kind === "symbol" ? [] : [text]));
        const [column = "", table = "", schema] = parts.reverse();
        const owner = this.resolve({ name: table, ...(schema === undefined ? {} : { schema }) });
        sequence.settings = { ...sequence.settings, of: `owned by ${qualifiedText(owner)}.${nameText(column)}` };
    }
}

/** Of a function, what it runs: the last string of its statement. */
function bodyOf(tokens: readonly Token[]): string {
    return textOf(tokens.filter(({ kind }) => kind === "string").slice(-1));
}
