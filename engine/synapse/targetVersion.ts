/** What the installed Synapse says of itself. */
import { z } from "zod";
import { runProgram } from "../machines/program.ts";

const installed = z.object({
    version: z.string(),
    /** `SCHEMA_VERSION`: what it writes. */
    schema: z.number().int(),
    /** `SCHEMA_COMPAT_VERSION`: the oldest code that can still read what it writes. */
    compat: z.number().int(),
});
export type InstalledSynapse = z.infer<typeof installed>;

const program = `
import json, synapse
from synapse.storage.schema import SCHEMA_VERSION, SCHEMA_COMPAT_VERSION
print(json.dumps({"version": synapse.__version__, "schema": SCHEMA_VERSION, "compat": SCHEMA_COMPAT_VERSION}))
`;

/**
 * Asks the Synapse of a Python environment for its versions.
 *
 * @throws MigrationError SM-E1101 when there is none
 */
export async function installedSynapse(python: string): Promise<InstalledSynapse> {
    const { stdout } = await runProgram(python, ["-c", program], { timeoutSeconds: 60 });
    return installed.parse(JSON.parse(stdout));
}
