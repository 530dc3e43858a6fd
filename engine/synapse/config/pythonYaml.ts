/** YAML as Synapse reads it: PyYAML's YAML 1.1, with the line of every top-level key, and with keys that come twice. */
import { Document, Lexer, LineCounter, isMap, isScalar, parseDocument, visit, type YAMLError } from "yaml";
import { MigrationError } from "../../run/errors.ts";
import { encryptedValue } from "./encryptedConfig.ts";
import { pythonDialect, pythonTexts, tooLarge } from "./pythonScalars.ts";
import { repeatedKeys, type RepeatedKey } from "./repeatedKeys.ts";

/** One file: its top-level mapping, and the line (from 1) of each key. */
export interface ParsedYaml {
    readonly sections: Readonly<Record<string, unknown>>;
    /** The database's sections again, each plain word as the text that Python makes of it: what psycopg2 hands to libpq. */
    readonly texts: Readonly<Record<string, unknown>>;
    readonly lines: Readonly<Record<string, number>>;
    /** Keys that are there more than once, of which the last counts. */
    readonly repeated: readonly RepeatedKey[];
}

/** Configurations use a handful of aliases; a billion-laughs file resolves millions. */
const mostAliases = 1000;

/** Whose arguments psycopg2 makes texts of, so that no number in them is too large. */
const textSections: ReadonlySet<unknown> = new Set(["database", "databases"]);

/**
 * Parses one configuration file.
 *
 * @returns undefined for a file that is empty or not a mapping, which Synapse ignores
 * @throws MigrationError SM-E0203 with file:line, SM-E0228 for a value that is encrypted; the text of the file is never quoted, as it
 *     holds secrets
 */
export function parseSynapseYaml(file: string, text: string): ParsedYaml | undefined {
    refuseTabs(file, text);
    const lineCounter = new LineCounter();
    const lineOf = (offset: number): number => lineCounter.linePos(offset).line;
    const document = parseDocument(text, { ...pythonDialect, lineCounter, prettyErrors: false });
    const problem = [...document.errors, ...document.warnings].find((found) => !isLargeArgument(document, found));
    if (problem !== undefined) {
        const { line, col } = lineCounter.linePos(problem.pos[0]);
        const encrypted = encryptedValue(`${file}:${line}`, problem.message);
        if (encrypted !== undefined) throw encrypted;
        // What follows a colon in the library's messages may be a piece of the file.
        throw invalidYaml(`${file}:${line}:${col}`, problem.message.split(/[:\n]/, 1)[0] ?? problem.code);
    }
    if (!isMap(document.contents)) return undefined;
    const repeated = repeatedKeys(document, lineOf);
    const twiceMerged = repeated.find(({ key }) => key.endsWith("<<"));
    if (twiceMerged !== undefined)
        throw invalidYaml(`${file}:${twiceMerged.lines[0] ?? 1}`, "two merge keys `<<` in one mapping");
    const lines: Record<string, number> = {};
    for (const { key } of document.contents.items) {
        if (isScalar(key)) lines[String(key.value)] = lineOf(key.range[0]);
    }
    return { sections: resolve(file, document), texts: textsOf(file, text), lines, repeated };
}

function textsOf(file: string, text: string): Record<string, unknown> {
    const document = parseDocument(text, { ...pythonTexts, prettyErrors: false });
    return Object.fromEntries(Object.entries(resolve(file, document)).filter(([key]) => textSections.has(key)));
}

function isLargeArgument({ contents }: Document.Parsed, problem: YAMLError): boolean {
    if (problem.message !== tooLarge || !isMap(contents)) return false;
    return contents.items.some(({ key, value }) => {
        const [from = 0, to = 0] = value?.range ?? [];
        return isScalar(key) && textSections.has(key.value) && problem.pos[0] >= from && problem.pos[0] < to;
    });
}

/** Writes a mapping so that PyYAML reads exactly the same values back: every string is quoted. */
export function stringifySynapseYaml(sections: Readonly<Record<string, unknown>>): string {
    const document = new Document(sections, { ...pythonDialect, aliasDuplicateObjects: false });
    visit(document, {
        Pair(_position, { key }) {
            if (isScalar(key) && !/^[A-Za-z_][\w-]*$/.test(String(key.value))) key.type = "QUOTE_DOUBLE";
        },
    });
    const text = document.toString({ defaultStringType: "QUOTE_DOUBLE", defaultKeyType: "PLAIN", lineWidth: 0 });
    // PyYAML refuses these characters unless they are escaped, or takes them for line breaks and folds them.
    return text.replace(/[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]/g, (character) => {
        return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
    });
}

function resolve(file: string, document: Document.Parsed): Record<string, unknown> {
    try {
        const value = document.toJS({ maxAliasCount: mostAliases }) as unknown;
        // Fails for what contains itself.
        JSON.stringify(value);
        if (typeof value === "object" && value !== null) return { ...value };
    } catch {
        // The library's message for an alias that cannot be resolved says no more than this.
    }
    throw invalidYaml(file, `anchors and aliases that expand more than ${mostAliases} times, or contain themselves`);
}

/** PyYAML takes no tab outside of quotes, comments and block texts; the library would take some. */
function refuseTabs(file: string, text: string): void {
    let line = 1;
    for (const token of new Lexer().lex(text)) {
        if (/^[ \t]*\t[ \t]*$/.test(token))
            throw invalidYaml(`${file}:${line}`, "a tab between words or as indentation");
        line += token.split("\n").length - 1;
    }
}

function invalidYaml(where: string, found: string): MigrationError {
    return new MigrationError("SM-E0203", {
        where,
        found,
        expected: "one YAML 1.1 mapping, indented with spaces",
    });
}
