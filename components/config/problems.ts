/** Turns what is wrong with a configuration into error blocks that name place, value and way out. */
import type { z } from "zod";
import { MigrationError } from "../../engine/run/errors.ts";
import { keysAt, plainSchema, secretKeys } from "./schema.ts";
import { closest } from "./suggestion.ts";

/** Names the place of a value: the stack's file, its line where it is known, and the path of keys. */
export type Locate = (path: readonly PropertyKey[]) => string;

const longestShownValue = 120;

/** @param values  all of the configuration: which keys there are depends on what kind of source or target it has */
export function unknownKey(
    path: readonly PropertyKey[],
    key: string,
    locate: Locate,
    values?: unknown,
): MigrationError {
    const candidates = path.length === 0 ? [...Object.keys(plainSchema.shape), ...secretKeys] : keysAt(path, values);
    const suggestion = closest(key, candidates);
    return new MigrationError("SM-E0201", {
        where: locate([...path, key]),
        found: `key "${key}"`,
        ...(candidates.length === 0 ? {} : { expected: `one of: ${candidates.join(", ")}` }),
        ...(suggestion === undefined ? {} : { fix: `did you mean "${suggestion}"?` }),
    });
}

export function invalidValue(
    path: readonly PropertyKey[],
    value: unknown,
    expected: string,
    locate: Locate,
): MigrationError {
    return new MigrationError("SM-E0211", { where: locate(path), found: shown(value), expected });
}

export function missingValue(path: readonly PropertyKey[], expected: string, locate: Locate): MigrationError {
    return new MigrationError("SM-E0212", { where: locate(path), found: "nothing", expected });
}

/** The problems that zod found, one error each. */
export function schemaProblems(error: z.ZodError, values: unknown, locate: Locate): MigrationError[] {
    return error.issues.flatMap((issue) => {
        if (issue.code === "unrecognized_keys")
            return issue.keys.map((key) => unknownKey(issue.path, key, locate, values));
        const value = valueAt(values, issue.path);
        const expected = issue.code === "invalid_union" ? unionChoices(issue) : bare(issue.message);
        return value === undefined
            ? missingValue(issue.path, expected, locate)
            : invalidValue(issue.path, value, expected, locate);
    });
}

/** zod's message without what the error block says elsewhere. */
const bare = (message: string): string =>
    message.replace(/^Invalid \w+: (expected |must )?/, "").replace(/, received \w+$/, "");

/** zod says of a wrong `kind` only that it is wrong; what may stand there is in the options it tried. */
function unionChoices(issue: z.core.$ZodIssueInvalidUnion): string {
    return "options" in issue && Array.isArray(issue.options) ? `one of: ${issue.options.join(", ")}` : issue.message;
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
    return path.reduce<unknown>((inner, key) => {
        // A single path that stands for a list of one.
        if (typeof inner === "string" && key === 0) return inner;
        return typeof inner === "object" && inner !== null ? (Reflect.get(inner, key) as unknown) : undefined;
    }, value);
}

function shown(value: unknown): string {
    const text = JSON.stringify(value);
    return text.length > longestShownValue ? `${text.slice(0, longestShownValue)}…` : text;
}
