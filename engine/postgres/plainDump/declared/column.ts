/** What a dump says of one column: in its `CREATE TABLE`, and in the `ALTER TABLE` statements behind it. */
import { Cursor } from "../cursor.ts";
import type { Token } from "../lexer.ts";
import { nameText, textOf } from "./tokens.ts";

/** Written by `catalogue.ts` as one letter. */
const storages: Readonly<Record<string, string>> = { plain: "p", external: "e", extended: "x", main: "m" };

export class DeclaredColumn {
    public readonly type: string;
    public notNull: boolean;
    public value: string | undefined;
    public identity: string | undefined;
    private readonly others: string[] = [];

    /** @param rest  behind the column's name */
    constructor(rest: readonly Token[]) {
        const end = rest.findIndex((_, at) => startsClause(rest.slice(at)));
        const [type, clauses] = end < 0 ? [rest, []] : [rest.slice(0, end), rest.slice(end)];
        this.type = textOf(type);
        this.notNull = new Cursor(clauses).contains("not null");
        const generated = after(clauses, "generated always as");
        const computed = generated?.takeParentheses();
        if (computed !== undefined) this.others.push(`generated ${textOf(computed)}`);
        const collation = after(clauses, "collate")?.takeName();
        if (collation !== undefined) this.others.push(`collation ${nameText(collation.name)}`);
        this.value = defaultOf(clauses);
    }

    public setStorage(storage: string): void {
        this.others.push(`storage ${storages[storage] ?? storage}`);
    }

    /** @param options  in parentheses behind `SET` */
    public setOptions(options: readonly Token[]): void {
        this.others.push(`options ${textOf(options)}`);
    }

    /** In the form of `catalogue.ts`. */
    public get definition(): string {
        return [
            this.type,
            ...(this.notNull ? ["not null"] : []),
            ...(this.value === undefined ? [] : [`default ${this.value}`]),
            ...(this.identity === undefined ? [] : [`identity ${this.identity}`]),
            ...this.others,
        ].join(", ");
    }
}

const clauseWords = ["collate", "default", "not null", "null", "constraint", "check", "generated"] as const;

function startsClause(tokens: readonly Token[]): boolean {
    return new Cursor(tokens).takeOne(...clauseWords) !== undefined;
}

function after(tokens: readonly Token[], words: string): Cursor | undefined {
    const cursor = new Cursor(tokens);
    return cursor.skipTo(words) ? cursor : undefined;
}

/** pg_dump writes nothing behind it but what says that the column is not null. */
function defaultOf(clauses: readonly Token[]): string | undefined {
    const from = clauses.findIndex(({ kind, text }) => kind === "word" && text === "default");
    if (from < 0) return undefined;
    const rest = clauses.slice(from + 1);
    const end = rest.findIndex((_, at) => new Cursor(rest.slice(at)).takeOne("not null", "constraint") !== undefined);
    return textOf(end < 0 ? rest : rest.slice(0, end));
}
