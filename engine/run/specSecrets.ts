/** The secrets in a specification: what its schema marks as such, found in values that the schema need not accept. */
import { z } from "zod";
import { removedSecret, secretKind, type SecretKind } from "../../contract/secret.ts";
import { armoredBody } from "./armoredKey.ts";

type Schema = z.core.$ZodType;

/**
 * An access key that was drawn at random, as AWS and others do it. One that a person chose may be the name of a bucket too, which results
 * and messages have to say.
 */
const randomAccessKey = /^(?=.*[A-Z])[A-Za-z0-9]{16,}$/;

/**
 * What must not be said of a specification, wherever it is nested. It is asked for before the value is parsed, as a message of the parser
 * may quote it: what the schema does not know is passed over, and of a union all options count.
 *
 * A secret that was replaced by {@link withoutSecrets} is none any more: as a word of its own, it is in many a message.
 */
export function secretsIn(schema: Schema, value: unknown): string[] {
    return secretsAt([schema], value);
}

/** The specification with its secrets replaced, good enough to undo the step with. */
export function withoutSecrets(schema: Schema, value: unknown): unknown {
    return replacedAt([schema], value);
}

function secretsAt(schemas: readonly Schema[], value: unknown): string[] {
    const { kinds, shapes } = meaningOf(schemas);
    if (kinds.size > 0) return textsIn(value).flatMap((text) => [...kinds].flatMap((kind) => toRegister(kind, text)));
    return membersOf(value).flatMap(([name, member]) => secretsAt(memberSchemas(shapes, name), member));
}

function replacedAt(schemas: readonly Schema[], value: unknown): unknown {
    const { kinds, shapes } = meaningOf(schemas);
    // Null and the like are no secrets, but say whether there is one.
    if (kinds.size > 0) return textsIn(value).length > 0 ? removedSecret : value;
    const replaced = membersOf(value).map(
        ([name, member]) => [name, replacedAt(memberSchemas(shapes, name), member)] as const,
    );
    if (Array.isArray(value)) return replaced.map(([, member]) => member);
    return isObject(value) ? Object.fromEntries(replaced) : value;
}

function toRegister(kind: SecretKind, text: string): string[] {
    if (text === removedSecret) return [];
    if (kind === "text") return [text];
    if (kind === "accessKey") return randomAccessKey.test(text) ? [text] : [];
    const body = armoredBody(text);
    // What is no key at all may be another secret that was taken for one.
    return body.length > 0 ? body : [text];
}

/** All that could be read in the place of a secret: whoever gives a list or a number there means it as one. */
function textsIn(value: unknown): string[] {
    const texts: string[] = [];
    // No recursion: what was given may be nested deeper than the stack is.
    const pending = [value];
    while (pending.length > 0) {
        const next = pending.pop();
        if (typeof next === "string" || typeof next === "number") texts.push(String(next));
        for (const [, member] of membersOf(next)) pending.push(member);
    }
    return texts;
}

interface Meaning {
    /** Of the secrets that the schemas mark; empty for what is none. */
    readonly kinds: ReadonlySet<SecretKind>;
    /** Objects, records, arrays and the like, out of whatever they are wrapped in. */
    readonly shapes: readonly z.core.$ZodTypes[];
}

/** Unwraps schemas, and takes every option of a union: what the value is meant to be is not known before it is parsed. */
function meaningOf(schemas: readonly Schema[]): Meaning {
    const seen = new Set<Schema>();
    const shapes: z.core.$ZodTypes[] = [];
    const kinds = new Set<SecretKind>();
    const pending = [...schemas];
    for (let schema = pending.pop(); schema !== undefined; schema = pending.pop()) {
        // A lazy schema may lead to itself.
        if (seen.has(schema)) continue;
        seen.add(schema);
        const kind = secretKind(schema);
        if (kind !== undefined) kinds.add(kind);
        // Zod's own way for libraries: the union of all its schemas, told apart by `def.type`.
        const known = schema as z.core.$ZodTypes;
        const inner = wrappedBy(known);
        if (inner === undefined) shapes.push(known);
        else pending.push(...inner);
    }
    return { kinds, shapes };
}

/** Undefined for what is not wrapped. */
function wrappedBy(schema: z.core.$ZodTypes): readonly Schema[] | undefined {
    const { def } = schema._zod;
    switch (def.type) {
        case "optional":
        case "nullable":
        case "nonoptional":
        case "default":
        case "prefault":
        case "catch":
        case "readonly":
        case "success":
        case "promise":
            return [def.innerType];
        case "union":
            return def.options;
        case "intersection":
            return [def.left, def.right];
        case "pipe":
            return [def.in, def.out];
        case "lazy":
            return [def.getter()];
        default:
            return undefined;
    }
}

function memberSchemas(shapes: readonly z.core.$ZodTypes[], name: string): Schema[] {
    return shapes.flatMap((schema) => memberSchema(schema, name) ?? []);
}

function memberSchema(schema: z.core.$ZodTypes, name: string): Schema | null | undefined {
    const { def } = schema._zod;
    switch (def.type) {
        case "object":
            return Object.hasOwn(def.shape, name) ? def.shape[name] : def.catchall;
        case "record":
            return def.valueType;
        case "array":
            return def.element;
        case "tuple":
            return def.items[Number(name)] ?? def.rest;
        default:
            return undefined;
    }
}

const isObject = (value: unknown): value is object =>
    typeof value === "object" && value !== null && !Array.isArray(value);

/** Elements of an array by their position, fields of an object by their name. */
function membersOf(value: unknown): [string, unknown][] {
    return typeof value === "object" && value !== null ? Object.entries(value) : [];
}
