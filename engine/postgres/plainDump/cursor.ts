/** Walks over the tokens of one statement. */
import type { Token } from "./lexer.ts";

export interface QualifiedName {
    /** Absent where the dump relies on `search_path`, as pg_dump did before 2018. */
    readonly schema?: string;
    readonly name: string;
}

/** A {@link QualifiedName} with its schema, of a table or whatever else is in one. */
export interface TableName {
    readonly schema: string;
    readonly name: string;
}

/** Each `take…` moves on when it finds what it looks for, and otherwise stays where it is. */
export class Cursor {
    private readonly tokens: readonly Token[];
    private at = 0;

    constructor(tokens: readonly Token[]) {
        this.tokens = tokens;
    }

    public get done(): boolean {
        return this.at >= this.tokens.length;
    }

    /** Keywords in lower case, separated by blanks: `alter table only`. */
    public take(words: string): boolean {
        const wanted = words.split(" ");
        const found = wanted.every((word, index) => {
            const token = this.tokens[this.at + index];
            return token?.kind === "word" && token.text === word;
        });
        if (found) this.at += wanted.length;
        return found;
    }

    /** The first of several that is there. */
    public takeOne<Words extends string>(...alternatives: readonly Words[]): Words | undefined {
        return alternatives.find((words) => this.take(words));
    }

    public takeSymbol(symbol: string): boolean {
        const token = this.tokens[this.at];
        if (token?.kind !== "symbol" || token.text !== symbol) return false;
        this.at += 1;
        return true;
    }

    public takeString(): string | undefined {
        return this.takeKind(["string"]);
    }

    /** A whole number with its sign. */
    public takeNumber(): string | undefined {
        const sign = this.takeSymbol("-") ? "-" : "";
        const digits = this.takeKind(["number"]);
        return digits === undefined ? undefined : sign + digits;
    }

    public takeIdentifier(): string | undefined {
        return this.takeKind(["word", "name"]);
    }

    public takeName(): QualifiedName | undefined {
        const first = this.takeIdentifier();
        if (first === undefined) return undefined;
        if (!this.takeSymbol(".")) return { name: first };
        const second = this.takeIdentifier();
        return second === undefined ? undefined : { schema: first, name: second };
    }

    /** `(…)` with all that is nested in it; undefined when there is none. */
    public takeParentheses(): readonly Token[] | undefined {
        if (!this.takeSymbol("(")) return undefined;
        const from = this.at;
        for (let depth = 1; this.at < this.tokens.length; this.at += 1) {
            depth += depthChange(this.tokens[this.at]);
            if (depth === 0) {
                this.at += 1;
                return this.tokens.slice(from, this.at - 1);
            }
        }
        return undefined;
    }

    public rest(): readonly Token[] {
        return this.tokens.slice(this.at);
    }

    /** Whether these keywords follow one another anywhere in the rest. */
    public contains(words: string): boolean {
        const rest = new Cursor(this.tokens.slice(this.at));
        for (; !rest.done; rest.at += 1) if (rest.take(words)) return true;
        return false;
    }

    /** Behind the first place where these keywords follow one another. */
    public skipTo(words: string): boolean {
        for (let index = this.at; index < this.tokens.length; index += 1) {
            const there = new Cursor(this.tokens.slice(index));
            if (there.take(words)) {
                this.at = index + words.split(" ").length;
                return true;
            }
        }
        return false;
    }

    private takeKind(kinds: readonly Token["kind"][]): string | undefined {
        const token = this.tokens[this.at];
        if (token === undefined || !kinds.includes(token.kind)) return undefined;
        this.at += 1;
        return token.text;
    }
}

/** The parts between the commas that are not nested in parentheses or brackets. */
export function splitAtCommas(tokens: readonly Token[]): readonly (readonly Token[])[] {
    if (tokens.length === 0) return [];
    const parts: Token[][] = [[]];
    let depth = 0;
    for (const token of tokens) {
        depth += depthChange(token);
        if (depth === 0 && token.kind === "symbol" && token.text === ",") parts.push([]);
        else parts.at(-1)?.push(token);
    }
    return parts;
}

function depthChange(token: Token | undefined): number {
    if (token?.kind !== "symbol") return 0;
    return "([".includes(token.text) ? 1 : ")]".includes(token.text) ? -1 : 0;
}
