/** What became of a damaged artefact. */
import { MigrationError, MigrationErrors } from "../../engine/run/errors.ts";

export type Verdict =
    /** Refused, by this code. */
    | { readonly kind: "found"; readonly by: string }
    /** What was read is what was there before. */
    | { readonly kind: "benign" }
    /** Content that nothing in the artefact says anything about. */
    | { readonly kind: "undetectable"; readonly what: string }
    | { readonly kind: "missed"; readonly read: string };

export const benign: Verdict = { kind: "benign" };
export const found = (by: string): Verdict => ({ kind: "found", by });
export const missed = (read: string): Verdict => ({ kind: "missed", read });

export const hangs = "it had not ended after ten seconds";

/** Refusals are what is looked for; any other error is a defect. */
export async function judged(read: () => Promise<Verdict>): Promise<Verdict> {
    try {
        return await read();
    } catch (error) {
        if (error instanceof MigrationErrors && error.errors[0] !== undefined) return found(error.errors[0].code);
        if (error instanceof MigrationError) return found(error.code);
        if (error instanceof Error && error.name === "TimeoutError") return missed(hangs);
        return missed(
            `an error without a code: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
        );
    }
}

const layers: readonly (readonly [RegExp, string])[] = [
    [/^SM-E091[0]$/, "gzip"],
    [/^SM-E0911$/, "manifest of the dump"],
    [/^SM-E0906$/, "SHA-256 in the manifest"],
    [/^SM-E0905$/, "pg_restore"],
    [/^SM-E09(17|58)$/, "recognition"],
    [/^SM-E09(0\d)$/, "reader of plain dumps"],
    [/^SM-E092\d$/, "OpenPGP"],
    [/^SM-E0932$/, "checksum beside it"],
    [/^SM-E093\d$/, "set of files"],
    [/^SM-E094\d$/, "zip"],
    [/^SM-E095\d$/, "tar"],
    [/^SM-E096\d$/, "media archive"],
    [/^SM-E097\d$/, "SQLite"],
    [/^SM-E0508$/, "SQLite"],
    [/^media/, "database's rows of media"],
    [/^PostgreSQL/, "loading"],
];

export const layerOf = (by: string): string => layers.find(([pattern]) => pattern.test(by))?.[1] ?? "other";
