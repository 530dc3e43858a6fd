/** Looks that do not depend on each other: what one of them finds must not hide what the others would. */
import { MigrationError, MigrationErrors, throwAll } from "./errors.ts";

/**
 * Takes each look, one after the other, also after one has refused.
 *
 * @throws MigrationErrors of all that have refused; at once what is no documented error
 */
export async function eachOf(...looks: readonly (() => Promise<unknown>)[]): Promise<void> {
    const refusals: MigrationError[] = [];
    for (const look of looks) {
        try {
            await look();
        } catch (error) {
            if (error instanceof MigrationError) refusals.push(error);
            else if (error instanceof MigrationErrors) refusals.push(...error.errors);
            else throw error;
        }
    }
    throwAll(refusals);
}
