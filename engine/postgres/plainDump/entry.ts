/** What pg_dump says of an object in the comment above its statements, and how the object is kept out of another dump. */
import type { Token } from "./lexer.ts";

export interface DumpEntry {
    readonly name: string;
    /** `FUNCTION`, `FOREIGN TABLE`, … */
    readonly type: string;
    /** Undefined for what is in no schema. */
    readonly schema: string | undefined;
    /** Undefined where the dump does not tell. */
    readonly owner: string | undefined;
}

const told = (text: string | undefined): string | undefined => (text === "-" || text === "" ? undefined : text);

export function entryOf(comment: string): DumpEntry | undefined {
    const [, name, type, schema, owner] =
        /^-- (?:Data for )?Name: (.*); Type: ([A-Z ]+); Schema: (.*); Owner: ?(.*?)(?:; Tablespace: .*)?$/.exec(
            comment,
        ) ?? [];
    if (name === undefined || type === undefined) return undefined;
    return { name, type, schema: told(schema), owner: told(owner) };
}

/** Whether the statement is about it: a statement that somebody has put in stands below another one's comment. */
export function isAbout(tokens: readonly Token[], { name }: DumpEntry): boolean {
    const words = name.split(/[^\p{L}\p{N}_$-]+/u).filter((word) => word !== "");
    return tokens.some(({ text }) => words.includes(text));
}

export function describeEntry({ name, type, schema, owner }: DumpEntry): string {
    const where = schema === undefined ? "" : ` in schema ${schema}`;
    return `${type} ${name}${where}, ${owner === undefined ? "whose owner the dump does not tell" : `owner ${owner}`}`;
}

/** Taken by `--exclude-table`. */
const relations = ["TABLE", "VIEW", "MATERIALIZED VIEW", "FOREIGN TABLE", "SEQUENCE"];
/** Where SQL has another word than the table of contents. */
const words: Readonly<Record<string, string>> = { "PROCEDURAL LANGUAGE": "LANGUAGE" };

/** Synapse's own objects are all in `public`. */
export function keepOut({ name, type, schema }: DumpEntry): string {
    if (type === "EXTENSION")
        return (
            `does anything of Synapse's need it? If not: DROP EXTENSION ${quoted(name)} on the source, or leave it out of the dump, ` +
            `\`pg_dump --exclude-extension='${quoted(name)}'\` of PostgreSQL 17 or newer`
        );
    if (type === "BLOB" || type === "LARGE OBJECT" || type === "BLOBS")
        return "Synapse has no large objects: dump with `pg_dump --no-blobs`";
    if (schema !== undefined && schema !== "public")
        return `is it another program's? Dump without it: \`pg_dump --exclude-schema='${quoted(schema)}'\``;
    if (relations.includes(type))
        return `is it another program's? Dump without it: \`pg_dump --exclude-table='public.${quoted(name)}'\``;
    return `is it another program's, and needed no more? ${dropOf(type, name, schema)} on the source, then dump again; no option of pg_dump leaves it out`;
}

function dropOf(type: string, name: string, schema: string | undefined): string {
    // `CAST (a AS b)`, `USER MAPPING role SERVER name`
    if (name.startsWith(`${type} `)) return `DROP ${name.replace(/^USER MAPPING /, "USER MAPPING FOR ")}`;
    // A signature is written as SQL has it.
    const written = name.includes("(") ? name : quoted(name);
    return `DROP ${words[type] ?? type} ${schema === undefined ? "" : "public."}${written}`;
}

function quoted(name: string): string {
    return /^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`;
}
