/** YAML as Synapse reads it: PyYAML's YAML 1.1, with duplicate keys refused and the line of every top-level key kept. */
import { Document, Lexer, LineCounter, isMap, isScalar, parseDocument, visit, type ScalarTag, type Tags } from "yaml";
import { MigrationError } from "../../run/errors.ts";

/** One file: its top-level mapping, and the line (from 1) of each key. */
export interface ParsedYaml {
    readonly sections: Readonly<Record<string, unknown>>;
    readonly lines: Readonly<Record<string, number>>;
}

/** Configurations use a handful of aliases; a billion-laughs file resolves millions. */
const mostAliases = 1000;

/**
 * Parses one configuration file.
 *
 * Stricter than Synapse in one thing: a duplicate key is an error, as PyYAML would silently take the last.
 *
 * @returns undefined for a file that is empty or not a mapping, which Synapse ignores
 * @throws MigrationError SM-E0203 with file:line; the text of the file is never quoted, as it holds secrets
 */
export function parseSynapseYaml(file: string, text: string): ParsedYaml | undefined {
    refuseTabs(file, text);
    const lineCounter = new LineCounter();
    const document = parseDocument(text, { ...dialect, lineCounter, prettyErrors: false, uniqueKeys: true });
    const problem = document.errors[0] ?? document.warnings[0];
    if (problem !== undefined) {
        const { line, col } = lineCounter.linePos(problem.pos[0]);
        // What follows a colon in the library's messages may be a piece of the file.
        throw invalidYaml(`${file}:${line}:${col}`, problem.message.split(/[:\n]/, 1)[0] ?? problem.code);
    }
    if (!isMap(document.contents)) return undefined;
    const lines: Record<string, number> = {};
    for (const { key } of document.contents.items) {
        if (isScalar(key)) lines[String(key.value)] = lineCounter.linePos(key.range[0]).line;
    }
    return { sections: resolve(file, () => document.toJS({ maxAliasCount: mostAliases }) as unknown), lines };
}

/** Writes a mapping so that PyYAML reads exactly the same values back: every string is quoted. */
export function stringifySynapseYaml(sections: Readonly<Record<string, unknown>>): string {
    const document = new Document(sections, { ...dialect, aliasDuplicateObjects: false });
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

function resolve(file: string, read: () => unknown): Record<string, unknown> {
    try {
        const value = read();
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
        expected: "one YAML 1.1 mapping, each key once, indented with spaces",
    });
}

const decimal = (text: string): number => Number(text.replaceAll("_", ""));

/** `1:30` is ninety: digits of base sixty. */
function sexagesimal(text: string): number {
    const sign = text.startsWith("-") ? -1 : 1;
    const digits = text.replace(/^[-+]/, "").split(":");
    return sign * digits.reduce((sum, part) => sum * 60 + decimal(part), 0);
}

function integer(text: string): number {
    const sign = text.startsWith("-") ? -1 : 1;
    const digits = text.replace(/^[-+]/, "").replaceAll("_", "");
    if (digits.includes(":")) return sexagesimal(text);
    if (/^0[bx]/.test(digits)) return sign * Number(digits);
    return sign * Number.parseInt(digits, /^0./.test(digits) ? 8 : 10);
}

function float(text: string): number {
    if (/\.inf$/i.test(text)) return text.startsWith("-") ? -Infinity : Infinity;
    if (/^\.nan$/i.test(text)) return NaN;
    return text.includes(":") ? sexagesimal(text) : decimal(text);
}

/** PyYAML reads `1e-7` as a string and `1` as an integer, so a float always gets its point. */
function floatText(value: number): string {
    if (Number.isNaN(value)) return ".nan";
    if (!Number.isFinite(value)) return value < 0 ? "-.inf" : ".inf";
    return JSON.stringify(value).replace(/^(-?\d+)(?=e|$)/, "$1.0");
}

/** The patterns of PyYAML's resolver.py: `y` and `1e3` are strings there, other than in the YAML 1.1 type repository. */
const pythonScalars: ScalarTag[] = [
    {
        tag: "tag:yaml.org,2002:bool",
        default: true,
        identify: (value) => typeof value === "boolean",
        test: /^(?:yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$/,
        resolve: (text) => /^(?:yes|true|on)$/i.test(text),
        stringify: ({ value }) => String(value),
    },
    {
        tag: "tag:yaml.org,2002:int",
        default: true,
        identify: Number.isSafeInteger,
        test: /^(?:[-+]?0b[01_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+)$/,
        resolve: (text, onError) => {
            const value = integer(text);
            if (!Number.isSafeInteger(value)) onError("a whole number that is too large to be kept exactly");
            return value;
        },
        stringify: ({ value }) => String(value),
    },
    {
        tag: "tag:yaml.org,2002:float",
        default: true,
        identify: (value) => typeof value === "number",
        test: /^(?:[-+]?(?:[0-9][0-9_]*)\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$/,
        resolve: float,
        stringify: ({ value }) => floatText(Number(value)),
    },
];
const replaced = new Set(pythonScalars.map(({ tag }) => tag));

const dialect = {
    version: "1.1" as const,
    merge: true,
    customTags: (tags: Tags): Tags => [
        ...pythonScalars,
        ...tags.filter((tag) => typeof tag === "string" || !replaced.has(tag.tag)),
    ],
};
