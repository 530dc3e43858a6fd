/** Tells what the system says of a file from what has become of the machine. */
import { MigrationError } from "../run/errors.ts";

/** For `catch`, where a file that cannot be looked at is as good as none; an error of ours, such as that of a lost connection, goes on. */
export function undefinedUnlessLost(error: unknown): undefined {
    if (error instanceof MigrationError) throw error;
    return undefined;
}
