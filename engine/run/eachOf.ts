/** Looks that do not depend on each other: what one of them finds must not hide what the others would. */
import { MigrationError, MigrationErrors, throwAll } from "./errors.ts";

/**
 * Takes each look, one after the other, also after one has refused.
 *
 * @throws MigrationErrors of all that have refused; at once what is no documented error
 */
export async function eachOf(...looks: readonly (() => Promise<unknown>)[]): Promise<void> {
    const refusals: MigrationError[] = [];
    for (const look of looks) await look().catch((error: unknown) => refusals.push(...documented(error)));
    throwAll(refusals);
}

/**
 * As `Promise.all`, but waits for all of them.
 *
 * @throws as {@link eachOf}
 */
export async function allOf<Parts extends readonly Promise<unknown>[]>(
    ...parts: Parts
): Promise<{ -readonly [Index in keyof Parts]: Awaited<Parts[Index]> }> {
    const ended = await Promise.allSettled(parts);
    throwAll(ended.flatMap((part) => (part.status === "rejected" ? documented(part.reason) : [])));
    return Promise.all<Parts>(parts);
}

function documented(error: unknown): readonly MigrationError[] {
    if (error instanceof MigrationError) return [error];
    if (error instanceof MigrationErrors) return error.errors;
    throw error;
}
