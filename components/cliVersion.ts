/** Asks the engine whether it is of a version that the program works with. */
import * as pulumi from "@pulumi/pulumi";
import { MigrationError } from "../engine/run/errors.ts";
import { pulumiRange } from "../toolchain/versions.ts";

/**
 * Settles at once where there is no engine, as in tests.
 *
 * @param range  as Pulumi's engine understands it
 * @throws MigrationError SM-E0226, also for an engine that is too old to be asked
 */
export async function refuseOldCli(range = pulumiRange): Promise<void> {
    try {
        await pulumi.runtime.requirePulumiVersion(range);
    } catch (error) {
        throw new MigrationError("SM-E0226", {
            where: "the Pulumi CLI that runs this program",
            found: said(error),
            expected: range,
        });
    }
}

/** What the engine answers, without what gRPC puts before it. */
function said(error: unknown): string {
    return (error instanceof Error ? error.message : String(error)).replace(/^\d+ [A-Z_]+: /, "");
}
