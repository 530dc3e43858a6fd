/** The allow-list: exactly the statements that pg_dump 9.6 to 18 writes for a database like Synapse's. */
import { classifyAlter } from "./classifyAlter.ts";
import { classifyCreate } from "./classifyCreate.ts";
import { classifySet } from "./classifySet.ts";
import { Cursor } from "./cursor.ts";
import type { Token } from "./lexer.ts";
import { refused, type Statement } from "./statement.ts";

/**
 * Says what to do with a statement. What is not known is refused, whatever it does.
 *
 * Expressions within an allowed statement (defaults, checks, conditions of indexes) are not looked into: they run with the rights of the
 * database's owner, who is no superuser, in a database that holds nothing else.
 *
 * @param name  for messages: the statement's beginning, without values
 */
export function classify(tokens: readonly Token[]): Statement {
    const cursor = new Cursor(tokens);
    const statement = classifyTokens(cursor);
    if (statement !== undefined) return statement;
    return refused(statementName(tokens));
}

/** The words before the first value or parenthesis, for messages: `ALTER SYSTEM SET archive_command`. Never a value. */
export function statementName(tokens: readonly Token[]): string {
    const words: string[] = [];
    for (const { kind, text } of tokens.slice(0, 12)) {
        if (kind === "string" || kind === "number" || text === "(" || text === "=") break;
        words.push(kind === "word" ? (keywords.has(text) ? text.toUpperCase() : text) : text);
    }
    return words.join(" ").replaceAll(" . ", ".").slice(0, 120) || "a statement without words";
}

const keywords = new Set(
    `alter aggregate as begin call cast comment commit copy create database default definer delete do domain drop execute explain extension
    foreign from function grant group if import index insert into is language listen load lock materialized merge not notify on only operator
    or owner policy procedural procedure program publication reassign refresh reindex replace reset revoke role rollback rule schema security
    select sequence server set start stdin subscription superuser system table tablespace temporary to transaction trigger truncate trusted type
    unlogged update user vacuum values view with wrapper`.split(/\s+/),
);

function classifyTokens(cursor: Cursor): Statement | undefined {
    if (cursor.take("set")) return classifySet(cursor);
    if (cursor.take("select")) return classifySelect(cursor);
    if (cursor.take("copy")) return classifyCopy(cursor);
    if (cursor.take("create")) return classifyCreate(cursor);
    if (cursor.take("alter")) return classifyAlter(cursor);
    if (cursor.take("comment on")) return classifyComment(cursor);
    if (cursor.take("refresh materialized view")) {
        const name = cursor.takeName();
        return name === undefined || !cursor.done ? undefined : { kind: "refresh", view: name };
    }
    if (cursor.takeOne("grant", "revoke") !== undefined) return { kind: "leftOut", what: "privileges" };
    if (cursor.take("drop")) return { kind: "leftOut", what: "drop" };
    return undefined;
}

function classifySelect(cursor: Cursor): Statement | undefined {
    if (cursor.take("*") || cursor.takeSymbol("*")) {
        const isStatistics = cursor.take("from pg_catalog") && cursor.takeSymbol(".");
        const restores = cursor.takeOne("pg_restore_relation_stats", "pg_restore_attribute_stats");
        if (!isStatistics || restores === undefined) return undefined;
        return cursor.takeParentheses() !== undefined && cursor.done
            ? { kind: "leftOut", what: "statistics" }
            : undefined;
    }
    if (!cursor.take("pg_catalog") || !cursor.takeSymbol(".")) return undefined;
    const call = cursor.takeOne("set_config", "setval");
    const args = call === undefined ? undefined : cursor.takeParentheses();
    if (args === undefined || !cursor.done) return undefined;
    const inner = new Cursor(args);
    if (call === "set_config") {
        const setsPath = inner.takeString() === "search_path" && inner.takeSymbol(",") && inner.takeString() === "";
        return setsPath && inner.takeSymbol(",") && inner.take("false") && inner.done
            ? { kind: "searchPath", path: [] }
            : undefined;
    }
    const sequence = parseName(inner.takeString() ?? "");
    const lastValue = inner.takeSymbol(",") ? inner.takeNumber() : undefined;
    const isCalled = inner.takeSymbol(",") ? inner.takeOne("true", "false") : undefined;
    if (sequence === undefined || lastValue === undefined || isCalled === undefined || !inner.done) return undefined;
    return { kind: "setval", sequence, lastValue, isCalled: isCalled === "true" };
}

/** A name inside of a string: `public.events_stream_seq`, `"Odd.name"`. */
function parseName(text: string): { schema?: string; name: string } | undefined {
    const match = /^(?:("(?:[^"]|"")+"|[^".]+)\.)?("(?:[^"]|"")+"|[^".]+)$/.exec(text);
    const plain = (part: string): string => (part.startsWith('"') ? part.slice(1, -1).replaceAll('""', '"') : part);
    const [, schema, name] = match ?? [];
    if (name === undefined) return undefined;
    return { ...(schema === undefined ? {} : { schema: plain(schema) }), name: plain(name) };
}

function classifyCopy(cursor: Cursor): Statement | undefined {
    const table = cursor.takeName();
    const list = cursor.takeParentheses();
    if (table === undefined || list === undefined || !cursor.take("from stdin") || !cursor.done) return undefined;
    const inner = new Cursor(list);
    const columns: string[] = [];
    do {
        const column = inner.takeIdentifier();
        if (column === undefined) return undefined;
        columns.push(column);
    } while (inner.takeSymbol(","));
    return inner.done && new Set(columns).size === columns.length ? { kind: "copy", table, columns } : undefined;
}

const commentable = [
    ...[
        "table",
        "column",
        "index",
        "sequence",
        "constraint",
        "trigger",
        "function",
        "procedure",
        "aggregate",
        "type",
        "domain",
        "view",
        "materialized view",
        "rule",
        "policy",
        "collation",
        "statistics",
    ],
] as const;

function classifyComment(cursor: Cursor): Statement | undefined {
    // They belong to the server's own roles, or to the database that is left behind.
    const foreign = cursor.takeOne("extension", "database", "publication", "subscription", "language");
    if (foreign !== undefined) return { kind: "leftOut", what: `comments on ${foreign}s` };
    if (cursor.take("schema")) {
        if (cursor.takeIdentifier() === "public") return { kind: "leftOut", what: "comments on schema public" };
        return { kind: "object", what: "comment" };
    }
    const what = cursor.takeOne(...commentable);
    if (what === undefined) return undefined;
    const name = cursor.takeName();
    return name === undefined ? undefined : { kind: "object", what: "comment" };
}
