/** What a dump says of one sequence: `CREATE SEQUENCE`, or the parentheses of an identity column. */
import type { Cursor } from "../cursor.ts";

const bounds: Readonly<Record<string, bigint>> = {
    smallint: 32767n,
    integer: 2147483647n,
    bigint: 9223372036854775807n,
};

export interface DeclaredSequence {
    readonly type: string;
    readonly start: string;
    readonly increment: string;
    readonly min: string;
    readonly max: string;
    readonly cache: string;
    readonly cycle: boolean;
    /** `owned by public.t.id`, `identity of public.t.id`. */
    readonly of?: string;
}

/** @param type  where the statement names none: of an identity, that of its column */
export function declaredSequence(cursor: Cursor, type = "bigint"): DeclaredSequence {
    const given: { type: string; start?: string; increment?: string; min?: string; max?: string; cache?: string } = {
        type,
    };
    let cycle = false;
    for (let found = true; found;) {
        const clause = cursor.takeOne(
            ...(["as", "start with", "increment by", "no minvalue", "no maxvalue"] as const),
            ...(["minvalue", "maxvalue", "cache", "cycle", "sequence name"] as const),
        );
        found = clause !== undefined;
        if (clause === "as") given.type = cursor.takeIdentifier() ?? given.type;
        else if (clause === "sequence name") cursor.takeName();
        else if (clause === "cycle") cycle = true;
        else if (clause === "start with") Object.assign(given, { start: cursor.takeNumber() });
        else if (clause === "increment by") Object.assign(given, { increment: cursor.takeNumber() });
        else if (clause === "minvalue") Object.assign(given, { min: cursor.takeNumber() });
        else if (clause === "maxvalue") Object.assign(given, { max: cursor.takeNumber() });
        else if (clause === "cache") Object.assign(given, { cache: cursor.takeNumber() });
    }
    const { increment = "1", cache = "1" } = given;
    const isDown = increment.startsWith("-");
    const bound = bounds[given.type] ?? bounds["bigint"] ?? 0n;
    const min = given.min ?? (isDown ? String(-bound - 1n) : "1");
    const max = given.max ?? (isDown ? "-1" : String(bound));
    return { type: given.type, increment, cache, cycle, min, max, start: given.start ?? (isDown ? max : min) };
}

/** In the form of `catalogue.ts`. */
export function sequenceText({ type, start, increment, min, max, cache, cycle, of }: DeclaredSequence): string {
    const parts = [type, `start ${start}`, `increment ${increment}`, `from ${min} to ${max}`, `cache ${cache}`];
    return [...parts, ...(cycle ? ["cycle"] : []), ...(of === undefined ? [] : [of])].join(", ");
}
