/** Compares what a database is with what the text of its dump declares: what a loader has skipped or changed is found by this alone. */
import { describeDifference, unquoted, type Definition, type Difference } from "../catalogue/catalogue.ts";
import { Cursor, splitAtCommas } from "../plainDump/cursor.ts";
import { nextItem, type Token } from "../plainDump/lexer.ts";

/** Of these, what the catalogue says beyond what is declared counts too; a part that only the catalogue knows of does not. */
const knownParts: Readonly<Record<string, RegExp>> = {
    column: /^(not null|default|generated|identity|collation|storage|options)\b/,
    table: /^(logged|unlogged|replica identity|row security)\b/,
};
/** Declared by their names alone. */
const nameAlone: ReadonlySet<string> = new Set([
    ...["view", "materialized view", "rule", "policy", "procedure", "aggregate", "type", "statistics", "schema"],
]);
const compared = new Set(["table", "column", "index", "constraint", "trigger", "sequence", "function", ...nameAlone]);
const signed: ReadonlySet<string> = new Set(["function", "procedure", "aggregate"]);
/** What a dump makes with one word has several kinds in the catalogue. */
const kinds: Readonly<Record<string, string>> = { enum: "type", domain: "type" };
const makesIndex = /^(primary key|unique|exclude)\b/i;

/**
 * Versions of PostgreSQL write the same expression with more or fewer parentheses, casts and schemas, and so does one version before and after
 * a restore: these are left out of the comparison.
 *
 * @param declared  of `Declarations`
 * @param found  of `readDefinitions`
 * @returns one line for each difference
 */
export function compareDeclared(declared: readonly Definition[], found: readonly Definition[]): string[] {
    const expected = grouped(declared);
    const present = grouped(found.filter(({ kind }) => compared.has(kinds[kind] ?? kind)));
    const differences: Difference[] = [];
    for (const [key, definitions] of expected)
        for (const definition of definitions) differences.push(...differenceOf(definition, present.get(key)));
    const made = indexesOfConstraints(declared);
    for (const [key, [definition]] of present)
        if (definition !== undefined && !expected.has(key) && !isImplied(definition, made, expected))
            differences.push({ kind: definition.kind, name: definition.name, difference: "extra" });
    return differences.map(describeDifference);
}

/** Of functions with one name there may be several. */
function grouped(definitions: readonly Definition[]): Map<string, Definition[]> {
    const groups = new Map<string, Definition[]>();
    for (const definition of definitions) {
        const key = keyOf(definition);
        groups.set(key, [...(groups.get(key) ?? []), definition]);
    }
    return groups;
}

function keyOf({ kind, name }: Definition): string {
    // The signature of a function is written in types that have other names in the dump.
    const [base = name] = signed.has(kind) ? name.split("(") : [name];
    return `${kinds[kind] ?? kind} ${unquoted(base)}`;
}

function differenceOf(expected: Definition, found: readonly Definition[] | undefined): Difference[] {
    const { kind, name, definition } = expected;
    if (found === undefined) return [{ kind, name, difference: "missing" }];
    if (nameAlone.has(kinds[kind] ?? kind) || found.some((other) => isSame(expected, other))) return [];
    const [other] = found;
    return [{ kind, name, difference: "changed", expected: definition, found: other?.definition ?? "" }];
}

function isSame(expected: Definition, found: Definition): boolean {
    const [wanted, has] = [partsOf(expected), partsOf(found)];
    const known = knownParts[expected.kind];
    const counted = known === undefined ? has : has.filter((part) => known.test(part));
    return wanted.every((part) => has.includes(part)) && counted.every((part) => wanted.includes(part));
}

function partsOf({ kind, definition }: Definition): string[] {
    const lexed = nextItem(Buffer.from(`${definition};`), 0);
    const tokens = typeof lexed === "object" && lexed.item.kind === "statement" ? lexed.item.tokens : [];
    if (kind === "function")
        return tokens
            .filter((token) => token.kind === "string")
            .slice(-1)
            .map(({ text }) => text);
    return splitAtCommas(tokens).map(normalForm);
}

const dropped = new Set(["(", ")", "[", "]"]);
/** Behind the first word of a type's name. */
const moreOfType = ["varying", "precision", "without time zone", "with time zone"] as const;

function normalForm(tokens: readonly Token[]): string {
    const words: string[] = [];
    for (let at = 0; at < tokens.length; at += 1) {
        const [token, next, third] = tokens.slice(at, at + 3);
        if (token === undefined || dropped.has(token.text)) continue;
        if (isSymbol(token, ":") && isSymbol(next, ":")) at = castEnd(tokens, at + 2) - 1;
        else if (isName(token) && isSymbol(next, ".") && third !== undefined) at += 1;
        else if (token.kind === "string") words.push(token.text.replaceAll('"', "").replace(/^\w+\.(?=\w+$)/, ""));
        else words.push(token.kind === "word" && token.text === "procedure" ? "function" : token.text);
    }
    return words.join(" ");
}

/** Behind a cast's type and what is said of its length. */
function castEnd(tokens: readonly Token[], from: number): number {
    let rest = new Cursor(tokens.slice(from));
    rest.takeName();
    while (rest.takeOne(...moreOfType) !== undefined);
    const behind = rest.rest();
    rest = new Cursor(behind);
    const length = rest.takeParentheses();
    const isLength = length?.every(({ kind, text }) => kind === "number" || text === ",") === true;
    return tokens.length - (isLength ? rest.rest() : behind).length;
}

const isSymbol = (token: Token | undefined, text: string): boolean => token?.kind === "symbol" && token.text === text;
const isName = ({ kind }: Token): boolean => kind === "word" || kind === "name";

function indexesOfConstraints(declared: readonly Definition[]): Set<string> {
    const names = declared
        .filter(({ kind, definition }) => kind === "constraint" && makesIndex.test(definition))
        .map(({ name }) => unquoted(name).replace(/\.(?:"(?:[^"]|"")+"|[^".]+): /, "."));
    return new Set(names);
}

/** Of a constraint's index, the constraint is declared; columns of a type, and checks of a domain, are declared with them. */
function isImplied(
    { kind, name }: Definition,
    made: ReadonlySet<string>,
    expected: ReadonlyMap<string, unknown>,
): boolean {
    if (kind === "schema") return name === "public";
    if (kind === "index") return made.has(unquoted(name));
    if (kind !== "column" && kind !== "constraint") return false;
    const table = kind === "column" ? name.replace(/\.(?:"(?:[^"]|"")+"|[^".]+)$/, "") : name.split(": ")[0];
    return !expected.has(`table ${unquoted(table ?? "")}`);
}
