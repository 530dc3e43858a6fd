/** The columns that a `CREATE TABLE` of a dump declares, of built-in types alone: nothing of the statement itself is run. */
import { escapeIdentifier } from "pg";
import { MigrationError } from "../../run/errors.ts";
import { Cursor, splitAtCommas } from "./cursor.ts";
import { nextItem, type Token } from "./lexer.ts";

export interface DeclaredColumn {
    readonly name: string;
    /** As SQL; resolved in `pg_catalog`. */
    readonly type: string;
    readonly notNull: boolean;
}

const tableConstraints = ["constraint", "check", "primary key", "unique", "foreign key", "exclude using"] as const;
const behindType = new Set([
    ...["collate", "default", "not", "null", "constraint", "check", "generated"],
    ...["primary", "unique", "references", "storage", "compression"],
]);

/**
 * Defaults, checks and collations are left out: they may call functions, and rows of a dump have all their values.
 *
 * @param where  for messages
 * @throws MigrationError SM-E0987 for a type that is not PostgreSQL's own
 */
export function declaredColumns(createTable: string, where: string): DeclaredColumn[] {
    const lexed = nextItem(Buffer.from(`${createTable};`), 0);
    if (typeof lexed !== "object" || lexed.item.kind !== "statement") throw new Error(`not a statement: ${where}`);
    const cursor = new Cursor(lexed.item.tokens);
    cursor.take("create");
    cursor.take("unlogged");
    cursor.take("table");
    cursor.takeName();
    return splitAtCommas(cursor.takeParentheses() ?? []).flatMap((part) => {
        if (new Cursor(part).takeOne(...tableConstraints) !== undefined) return [];
        const [name, ...rest] = part;
        if (name === undefined) return [];
        if (new Cursor(rest).contains("generated always as") && !new Cursor(rest).contains("as identity")) return [];
        const end = rest.findIndex(({ kind, text }) => kind === "word" && behindType.has(text));
        const type = typeText(end < 0 ? rest : rest.slice(0, end), `${where}, column ${name.text}`);
        return [{ name: name.text, type, notNull: new Cursor(rest).contains("not null") }];
    });
}

function typeText(tokens: readonly Token[], where: string): string {
    const schema = tokens[1]?.text === "." ? tokens[0]?.text : undefined;
    const plain = tokens.every(({ kind, text }) => kind !== "string" && (kind !== "symbol" || ".(),[]".includes(text)));
    if (tokens.length > 0 && plain && (schema === undefined || schema === "pg_catalog"))
        return tokens.map(({ kind, text }) => (kind === "name" ? escapeIdentifier(text) : text)).join(" ");
    throw new MigrationError("SM-E0987", {
        where,
        found: `the type ${tokens.map(({ text }) => text).join("")}`,
        expected: "a type of PostgreSQL's own",
    });
}
