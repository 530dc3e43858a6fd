/** The keys of a stack's configuration, what each may hold, and its default. `Pulumi.yaml` describes the same keys to people. */
import { z } from "zod";
import {
    absolutePath,
    acceptedList,
    bundleSource,
    phases,
    replicationAddress,
    selfHostedSource,
} from "../../contract/index.ts";
import { parseJson } from "../../engine/run/parseJson.ts";
import { targetSchema } from "../targets/target.ts";

/** How Pulumi hands a value over: always as text, which is JSON for objects. */
export type ConfigKind = "string" | "integer" | "boolean" | "object";

/** Several files, or one that needs no list. */
const paths = z.preprocess((value) => (typeof value === "string" ? [value] : value), z.array(absolutePath).min(1));

/** The source as it is configured: its server name is that of the whole stack. */
const sourceSchema = z.discriminatedUnion("kind", [
    selfHostedSource
        .omit({ serverName: true })
        .extend({ homeserverConfig: paths, machine: selfHostedSource.shape.machine.default({ kind: "local" }) }),
    bundleSource
        .omit({ serverName: true })
        .extend({ database: paths, media: paths.optional(), homeserverConfig: paths.optional() }),
]);

/** Values that may be read by everybody who reads the stack's file. */
export const plainSchema = z.strictObject({
    serverName: z.string().min(1).max(255),
    stack: z.string().min(1).optional(),
    phase: z.enum(phases).optional(),
    rehearsal: z.boolean().default(false),
    disposable: z.boolean().default(false),
    protect: z.boolean().default(false),
    run: z
        .string()
        .regex(/^[a-z0-9]{1,16}$/, "must be 1 to 16 lower-case letters and digits")
        .optional(),
    source: sourceSchema,
    target: targetSchema,
    copy: z.enum(["archive", "direct", "replicate", "port"]).optional(),
    verify: z.enum(["quick", "strict"]).optional(),
    replicationAddress: z
        .string()
        .regex(/^.+:\d{1,5}$/, "must be host:port")
        .transform((text) => ({ host: text.replace(/:\d+$/, ""), port: Number(text.split(":").at(-1)) }))
        .pipe(replicationAddress)
        .optional(),
    /** 0 and absent are the same: Pulumi demands a value for each number that it knows of. */
    copyJobs: z.number().int().min(0).max(64).default(0),
    copyRateLimit: z.number().int().min(0).max(1_000_000).default(0),
    mediaRateLimit: z.number().int().min(0).max(1_000_000).default(0),
    sourceAfterFailure: z.enum(["restore", "keep"]).default("restore"),
    safeguardHours: z.number().int().min(24).default(24),
    remoteMedia: z.enum(["carry", "drop"]).default("carry"),
    acknowledge: z
        .string()
        .transform((text) => text.split(/[\s,]+/).filter((code) => code !== ""))
        .pipe(z.array(z.string().regex(/^SM-W\d{4}$/, "must be codes of warnings, for example SM-W0818")))
        .default([]),
    foreignCode: z
        .string()
        .transform((text) => text.split(/[\n;]+/).map((name) => name.trim()))
        .transform((names) => names.filter((name) => name !== ""))
        .default([]),
    acceptMissingMedia: acceptedList.optional(),
    sqliteNul: z.literal("strip").optional(),
    workDirectory: absolutePath.optional(),
    reportDirectory: absolutePath.optional(),
    publicBaseUrl: z.url({ protocol: /^https?$/ }).optional(),
    canaryUser: z.string().min(1).optional(),
    canaryBaseUrl: z.url({ protocol: /^(https?|http\+unix)$/ }).optional(),
});
export type PlainConfig = z.infer<typeof plainSchema>;
export type PlainKey = keyof typeof plainSchema.shape;

/** How Pulumi hands the key's value over, by what the schema takes. */
export const kindOf = (key: PlainKey): ConfigKind => kindOfSchema(plainSchema.shape[key]);

function kindOfSchema(schema: z.core.$ZodType): ConfigKind {
    if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault) return kindOfSchema(schema.unwrap());
    if (schema instanceof z.ZodPipe) return kindOfSchema(schema.in);
    if (schema instanceof z.ZodBoolean) return "boolean";
    if (schema instanceof z.ZodNumber) return "integer";
    return schema instanceof z.ZodObject || schema instanceof z.ZodDiscriminatedUnion ? "object" : "string";
}

/** Values that are only ever kept encrypted, and never become part of {@link plainSchema}'s object. */
export const secretKeys = [
    "signingKey",
    "pepper",
    "macaroonSecretKey",
    "canaryPassword",
    "passphrase",
    "secretKey",
    "s3AccessKeyId",
    "s3SecretAccessKey",
] as const;
export type SecretKey = (typeof secretKeys)[number];

/** Text as it comes from Pulumi, as the kind that its key has; undefined when it cannot be read as that. */
export function decoded(kind: ConfigKind, text: string): unknown {
    if (kind === "string") return text;
    if (kind === "boolean" && !["true", "false"].includes(text)) return undefined;
    if (kind === "integer" && !/^-?\d{1,15}$/.test(text)) return undefined;
    return parseJson(text);
}

/** The keys that an object of the schema may have at the path, for suggestions: where there are several kinds, of the kind that `values` has. */
export function keysAt(path: readonly PropertyKey[], values: unknown, schema: z.core.$ZodType = plainSchema): string[] {
    if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault) return keysAt(path, values, schema.unwrap());
    if (schema instanceof z.ZodDiscriminatedUnion) {
        const chosen = schema.options.filter((option) => isOfKind(values, schema.def.discriminator, option));
        const options = chosen.length > 0 ? chosen : schema.options;
        return [...new Set(options.flatMap((option) => keysAt(path, values, option)))];
    }
    if (!(schema instanceof z.ZodObject)) return [];
    const [first, ...rest] = path;
    if (first === undefined) return Object.keys(schema.shape);
    const field: unknown = Reflect.get(schema.shape, first);
    return field instanceof z.ZodType ? keysAt(rest, memberOf(values, first), field) : [];
}

function isOfKind(value: unknown, discriminator: string, option: z.core.$ZodType): boolean {
    const kind = option instanceof z.ZodObject ? (Reflect.get(option.shape, discriminator) as unknown) : undefined;
    return kind instanceof z.ZodType && kind.safeParse(memberOf(value, discriminator)).success;
}

const memberOf = (value: unknown, key: PropertyKey): unknown =>
    typeof value === "object" && value !== null ? Reflect.get(value, key) : undefined;
