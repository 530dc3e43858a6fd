/** `CREATE …` in a dump. */
import { Cursor, splitAtCommas } from "./cursor.ts";
import { refused, type Statement } from "./statement.ts";

/** Extensions that the owner of a database may create (`trusted` in PostgreSQL's own packages). */
const trustedExtensions = new Set([
    ...[
        "btree_gin",
        "btree_gist",
        "citext",
        "cube",
        "dict_int",
        "fuzzystrmatch",
        "hstore",
        "intarray",
        "isn",
        "lo",
        "ltree",
    ],
    ...[
        "pg_trgm",
        "pgcrypto",
        "seg",
        "tablefunc",
        "tcn",
        "tsm_system_rows",
        "tsm_system_time",
        "unaccent",
        "uuid-ossp",
    ],
]);
/** What operators install to look at a server; nothing of Synapse's depends on them. plpgsql is in every new database. */
const needlessExtensions = new Set([
    ...["plpgsql", "pg_stat_statements", "pg_buffercache", "pgstattuple", "amcheck", "adminpack"],
    ...["pageinspect", "pg_freespacemap", "pg_prewarm", "pg_visibility", "pgrowlocks", "pg_walinspect"],
]);

/** @param cursor  behind `CREATE` */
export function classifyCreate(cursor: Cursor): Statement | undefined {
    const what = cursor.takeOne(
        ...(["unlogged table", "table", "unique index", "index", "sequence", "unlogged sequence", "view"] as const),
        ...(["type", "domain", "function", "trigger", "statistics", "extension", "schema"] as const),
        ...(["materialized view", "or replace view", "procedure", "aggregate", "rule", "policy", "collation"] as const),
        ...(["publication", "subscription", "database", "role", "user", "group"] as const),
    );
    switch (what) {
        case "table":
        case "unlogged table":
            return classifyTable(cursor, what === "unlogged table");
        case "index":
        case "unique index":
            return classifyIndex(cursor);
        case "sequence":
        case "unlogged sequence":
        case "domain":
        case "view":
        case "statistics":
        case "collation":
        case "aggregate":
            return named(cursor, what);
        case "materialized view": {
            const view = named(cursor, what);
            // With data, it would run what it selects before anybody has looked at it.
            return cursor.skipTo("with no data") && cursor.done ? view : undefined;
        }
        case "or replace view":
            // In place of one that had to be made before its tables had their keys.
            return named(cursor, "view");
        case "rule":
        case "policy":
            return ofRelation(cursor, what);
        case "type":
            return classifyType(cursor);
        case "function":
        case "procedure":
            return classifyFunction(cursor, what);
        case "trigger":
            return classifyTrigger(cursor);
        case "extension":
            return classifyExtension(cursor);
        case "schema":
            return classifySchema(cursor);
        case "publication":
        case "subscription":
            return { kind: "leftOut", what: `${what}s` };
        case "database": {
            const database = cursor.takeIdentifier();
            return database === undefined ? undefined : { kind: "createDatabase", database };
        }
        case "role":
        case "user":
        case "group":
            return classifyRole(cursor);
        case undefined:
            return undefined;
    }
}

function named(cursor: Cursor, what: string): Statement | undefined {
    const name = cursor.takeName();
    return name === undefined ? undefined : { kind: "object", what, name };
}

/** Runs when the table or view is used, with the rights of its owner: whether it is wanted is asked of the database that it is in. */
function ofRelation(cursor: Cursor, what: "rule" | "policy"): Statement | undefined {
    const name = cursor.takeIdentifier();
    const found = name !== undefined && cursor.skipTo(what === "rule" ? "to" : "on");
    const relation = found ? cursor.takeName() : undefined;
    return relation === undefined ? undefined : { kind: "object", what, name: relation };
}

/** A table with a list of columns: not one of a query, of a type, of a parent or of partitions. */
function classifyTable(cursor: Cursor, unlogged: boolean): Statement | undefined {
    const table = cursor.takeName();
    const body = cursor.takeParentheses();
    if (table === undefined || body === undefined) return undefined;
    if (cursor.take("with") && cursor.takeParentheses() === undefined) return undefined;
    if (!cursor.done) return undefined;
    const columns = splitAtCommas(body).flatMap((part) => {
        const inner = new Cursor(part);
        if (inner.takeOne("constraint", "check", "primary key", "unique", "foreign key", "exclude using") !== undefined)
            return [];
        const column = inner.takeIdentifier();
        // GENERATED … AS IDENTITY has data, GENERATED ALWAYS AS (…) has none.
        const isComputed = inner.skipTo("generated always as") && inner.takeParentheses() !== undefined;
        return column === undefined || isComputed ? [] : [column];
    });
    return { kind: "table", table, columns, unlogged };
}

function classifyIndex(cursor: Cursor): Statement | undefined {
    const name = cursor.takeIdentifier();
    if (name === undefined || !cursor.take("on")) return undefined;
    cursor.take("only");
    const table = cursor.takeName();
    if (table === undefined || !cursor.take("using") || cursor.takeIdentifier() === undefined) return undefined;
    return cursor.takeParentheses() === undefined ? undefined : { kind: "index", name, table };
}

function classifyType(cursor: Cursor): Statement | undefined {
    const name = cursor.takeName();
    if (name === undefined || !cursor.take("as")) return undefined;
    cursor.take("enum");
    return cursor.takeParentheses() !== undefined && cursor.done ? { kind: "object", what: "type", name } : undefined;
}

/** SQL and PL/pgSQL alone, and with the body as a string: `BEGIN ATOMIC` holds semicolons. Those of others are refused by the database's checks. */
function classifyFunction(cursor: Cursor, what: "function" | "procedure"): Statement | undefined {
    const name = cursor.takeName();
    if (name === undefined || cursor.takeParentheses() === undefined) return undefined;
    if (cursor.contains("begin atomic") || !cursor.contains("as")) return undefined;
    // A quoted name with --quote-all-identifiers.
    const language = cursor.skipTo("language") ? cursor.takeIdentifier() : undefined;
    if (language !== "plpgsql" && language !== "sql")
        return refused(`${what} ${name.name} in another language than SQL and PL/pgSQL`);
    return { kind: "object", what, name };
}

function classifyTrigger(cursor: Cursor): Statement | undefined {
    const name = cursor.takeIdentifier();
    const found = name !== undefined && cursor.takeOne("before", "after", "instead of") !== undefined;
    const table = found && cursor.skipTo("on") ? cursor.takeName() : undefined;
    if (name === undefined || table === undefined || !cursor.contains("execute")) return undefined;
    return { kind: "trigger", name, table };
}

function classifyExtension(cursor: Cursor): Statement | undefined {
    cursor.take("if not exists");
    const extension = cursor.takeIdentifier();
    if (extension === undefined) return undefined;
    if (needlessExtensions.has(extension)) return { kind: "leftOut", what: "extensions" };
    return trustedExtensions.has(extension)
        ? { kind: "extension", extension }
        : refused(`CREATE EXTENSION ${extension}`);
}

function classifySchema(cursor: Cursor): Statement | undefined {
    const name = cursor.takeIdentifier();
    if (name === undefined || !cursor.done) return undefined;
    if (name === "public") return { kind: "leftOut", what: "schema public" };
    return { kind: "object", what: "schema", name: { schema: name, name } };
}

/** Roles belong to a server and not to a database: they are never made from a dump. */
function classifyRole(cursor: Cursor): Statement | undefined {
    const role = cursor.takeIdentifier();
    if (role === undefined) return undefined;
    if (cursor.contains("superuser")) return refused(`CREATE ROLE ${role} SUPERUSER`);
    return { kind: "leftOut", what: "roles", owner: role };
}
