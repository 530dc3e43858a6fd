/** What the migration runs on, for the report. */
import { createRequire } from "node:module";
import { z } from "zod";

const manifest = z.looseObject({ version: z.string() });

/**
 * Versions by name. Stays the same from one run to the next, unless something was installed.
 *
 * @param variables  the process environment; `SYNAPSE_MIGRATION_PLUGINS` says which plugins the set-up has put on the PATH
 */
export function runtimeEnvironment(variables: Readonly<Record<string, string | undefined>>): Record<string, string> {
    const load = createRequire(import.meta.url);
    const version = (path: string): string => manifest.parse(load(path)).version;
    return {
        "synapse-migration": version("../package.json"),
        node: process.versions.node,
        "@pulumi/pulumi": version("@pulumi/pulumi/package.json"),
        "@pulumi/command": version("@pulumi/command/package.json"),
        plugins: variables["SYNAPSE_MIGRATION_PLUGINS"] ?? "not recorded: the set-up was not asked",
    };
}
