/** All definitions of a database, from its catalogues: never from a list of what Synapse is expected to have. */
import { escapeIdentifier } from "pg";
import { z } from "zod";
import { definitionQueries, ownerQuery } from "./catalogueQueries.ts";
import { neededExtensions } from "./serverObjects.ts";
import { query, resetSearchPath, type Client } from "../connection.ts";

export const definitionShape = z.strictObject({
    /** `table`, `column`, `index`, `constraint`, `trigger`, `function`, `sequence`, `comment`, ... */
    kind: z.string(),
    /** With its schema, quoted where SQL needs it: `public.users.name`. */
    name: z.string(),
    /** Canonical text, equal on every server where the object is the same. */
    definition: z.string(),
});
export type Definition = z.infer<typeof definitionShape>;

export interface Difference {
    readonly kind: string;
    readonly name: string;
    readonly difference: "missing" | "extra" | "changed";
    /** In the first and in the second database. */
    readonly expected?: string;
    readonly found?: string;
}

/**
 * Reads the definitions of all schemas but the system's and our own, sorted. Owners and privileges are not part of them, nor are
 * invalid indexes, publications and subscriptions: a dump does not carry those. Nor is what {@link leftBehind} names.
 */
export async function readDefinitions(client: Client): Promise<Definition[]> {
    return withEmptySearchPath(client, async () => {
        const definitions: Definition[] = [];
        for (const sql of definitionQueries) definitions.push(...(await query(client, definitionShape, sql)));
        // The version is the server's affair: a newer server brings a newer one.
        for (const name of await neededExtensions(client))
            definitions.push({ kind: "extension", name: escapeIdentifier(name), definition: "" });
        return definitions.sort((a, b) => compareText(keyOf(a), keyOf(b)));
    });
}

const ownedShape = z.object({ kind: z.string(), name: z.string(), owner: z.string() });
export type OwnedObject = z.infer<typeof ownedShape>;

/** Every object that has an owner, with it: the database itself, its schemas but `public`, relations, functions, types. */
export async function readOwners(client: Client): Promise<OwnedObject[]> {
    return withEmptySearchPath(client, () => query(client, ownedShape, ownerQuery));
}

/** What the second database lacks, has besides, or has in another form. Empty when they are equal. */
export function compareDefinitions(expected: readonly Definition[], found: readonly Definition[]): Difference[] {
    const foundByKey = new Map(found.map((definition) => [keyOf(definition), definition]));
    const expectedKeys = new Set(expected.map(keyOf));
    const differences: Difference[] = [];
    for (const definition of expected) {
        const { kind, name } = definition;
        const other = foundByKey.get(keyOf(definition));
        if (other === undefined)
            differences.push({ kind, name, difference: "missing", expected: definition.definition });
        else if (unquoted(other.definition) !== unquoted(definition.definition))
            differences.push({
                kind,
                name,
                difference: "changed",
                expected: definition.definition,
                found: other.definition,
            });
    }
    for (const definition of found) {
        const { kind, name } = definition;
        if (!expectedKeys.has(keyOf(definition)))
            differences.push({ kind, name, difference: "extra", found: definition.definition });
    }
    return differences;
}

/** One line: `missing index public.users_idx`, `changed column public.users.name: text, not null -> text`. */
export function describeDifference({ kind, name, difference, expected, found }: Difference): string {
    const change = difference === "changed" ? `: ${expected ?? ""} -> ${found ?? ""}` : "";
    return `${difference} ${kind} ${name}${change}`.replaceAll(/\s+/g, " ");
}

const keyOf = ({ kind, name }: Definition): string => `${kind} ${unquoted(name)}`;
/** A word that is a keyword of one version only, as `json` is since PostgreSQL 16, is quoted by that one alone. */
export const unquoted = (text: string): string => text.replaceAll(/"([a-z_][a-z0-9_]*)"/g, "$1");
const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

async function withEmptySearchPath<T>(client: Client, work: () => Promise<T>): Promise<T> {
    await client.query("SET search_path = ''");
    try {
        return await work();
    } finally {
        await resetSearchPath(client).catch(() => undefined);
    }
}
