/** `ALTER …` in a dump. */
import { Cursor } from "./cursor.ts";
import { refused, type Statement } from "./statement.ts";

/** What may be given to a role of the old server. */
const owned = [
    ...[
        "table",
        "sequence",
        "index",
        "view",
        "materialized view",
        "function",
        "procedure",
        "aggregate",
        "type",
        "domain",
        "schema",
        "collation",
    ],
    ...[
        "statistics",
        "publication",
        "subscription",
        "database",
        "large object",
        "operator",
        "text search configuration",
        "extension",
    ],
] as const;

/** Of `--clean`, which takes off a table what others hold on to before it drops it. */
const dropped: Statement = { kind: "leftOut", what: "drop" };

/** @param cursor  behind `ALTER` */
export function classifyAlter(cursor: Cursor): Statement | undefined {
    if (cursor.take("default privileges")) return { kind: "leftOut", what: "privileges" };
    const role = cursor.takeOne("role", "user", "group");
    if (role !== undefined) return classifyRole(cursor);
    const what = cursor.takeOne(...owned);
    if (what === undefined) return undefined;
    if (what === "database") return { kind: "leftOut", what: "settings of the database" };
    if (what === "publication" || what === "subscription") return { kind: "leftOut", what: `${what}s` };
    cursor.take("if exists");
    cursor.take("only");
    const name = cursor.takeName();
    if (name === undefined) return undefined;
    if (what === "function" || what === "aggregate" || what === "procedure") cursor.takeParentheses();
    if (cursor.take("owner to")) {
        const owner = cursor.takeIdentifier();
        return owner === undefined || !cursor.done ? undefined : { kind: "leftOut", what: "owners", owner };
    }
    const object: Statement = { kind: "object", what: `alter ${what}`, name };
    switch (what) {
        case "table":
            return alterTable(cursor, name);
        case "sequence":
            return cursor.take("owned by") && cursor.takeName() !== undefined ? object : undefined;
        case "index":
            return cursor.take("alter column") && cursor.takeNumber() && cursor.take("set statistics")
                ? object
                : undefined;
        case "statistics":
            return cursor.take("set statistics") ? object : undefined;
        case "view":
            return cursor.take("alter column") && cursor.takeIdentifier() && cursor.take("set default")
                ? object
                : undefined;
        default:
            return undefined;
    }
}

function alterTable(cursor: Cursor, table: { schema?: string; name: string }): Statement | undefined {
    const object: Statement = { kind: "object", what: "alter table", name: table };
    if (cursor.take("add constraint")) {
        const name = cursor.takeIdentifier();
        if (name === undefined) return undefined;
        if (!cursor.take("foreign key")) {
            const kind = cursor.takeOne("primary key", "unique", "check", "exclude", "not null");
            return kind === undefined ? undefined : { kind: "constraint", name, table };
        }
        if (cursor.takeParentheses() === undefined || !cursor.take("references")) return undefined;
        const references = cursor.takeName();
        return references === undefined ? undefined : { kind: "constraint", name, table, references };
    }
    if (cursor.take("drop constraint")) {
        cursor.take("if exists");
        return cursor.takeIdentifier() !== undefined && cursor.done ? dropped : undefined;
    }
    if (cursor.take("alter column")) {
        const column = cursor.takeIdentifier();
        if (column === undefined) return undefined;
        if (cursor.take("drop default")) return cursor.done ? dropped : undefined;
        const change = cursor.takeOne(
            ...["set default", "set statistics", "set storage", "set compression", "set not null", "add generated"],
        );
        if (change !== undefined) return object;
        return cursor.take("set") && cursor.takeParentheses() !== undefined && cursor.done ? object : undefined;
    }
    if (cursor.take("disable trigger")) {
        // Around the rows of a dump made with --data-only --disable-triggers.
        if (cursor.take("all"))
            return refused("ALTER TABLE … DISABLE TRIGGER ALL, as --data-only writes it", "SM-E0907");
        return cursor.takeIdentifier() !== undefined && cursor.done ? object : undefined;
    }
    if (cursor.takeOne("cluster on", "enable trigger", "enable always trigger", "enable replica trigger") !== undefined)
        return cursor.takeIdentifier() !== undefined && cursor.done ? object : undefined;
    if (cursor.take("replica identity")) return object;
    if (cursor.takeOne("enable row level security", "force row level security") !== undefined)
        return cursor.done ? object : undefined;
    return undefined;
}

function classifyRole(cursor: Cursor): Statement | undefined {
    const role = cursor.takeIdentifier();
    if (role === undefined) return undefined;
    if (cursor.contains("superuser")) return refused(`ALTER ROLE ${role} SUPERUSER`);
    return { kind: "leftOut", what: "roles", owner: role };
}
