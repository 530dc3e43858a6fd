/** Parts of a statement as text that the lexer reads again. */
import { escapeIdentifier } from "pg";
import type { Token } from "../lexer.ts";
import type { TableName } from "../cursor.ts";

export function textOf(tokens: readonly Token[]): string {
    return tokens.map(tokenText).join(" ");
}

function tokenText({ kind, text }: Token): string {
    // Backslashes stay as they are, as the lexer leaves them.
    if (kind === "string") return `'${text.replaceAll("'", "''")}'`;
    return kind === "name" ? nameText(text) : text;
}

/** As `quote_ident` writes it, but for keywords. */
export function nameText(name: string): string {
    return /^[a-z_][a-z0-9_]*$/.test(name) ? name : escapeIdentifier(name);
}

/** As `regclass` writes it to a session that searches no schema. */
export function qualifiedText({ schema, name }: TableName): string {
    return `${nameText(schema)}.${nameText(name)}`;
}
