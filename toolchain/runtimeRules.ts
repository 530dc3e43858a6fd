/** By what the program may be run: rules about Node, Pulumi's packages and the CLI that need neither of them. */
import { MigrationError } from "../engine/run/errors.ts";
import {
    commandPluginVersion,
    isAtLeast,
    oldestNode,
    pulumiRange,
    pulumiSdkVersion,
    pulumiVersion,
} from "./versions.ts";

/** Packages whose version decides which provider and which engine are asked for what. */
const pinnedPackages = {
    "@pulumi/pulumi": pulumiSdkVersion,
    "@pulumi/command": commandPluginVersion,
} as const;
/** Their names. */
export const pinnedNames = ["@pulumi/pulumi", "@pulumi/command"] as const satisfies (keyof typeof pinnedPackages)[];

/**
 * SM-E0224 when Node is too old. `nodeGuard.mjs` says the same where this file cannot be loaded.
 *
 * @param found  as `process.versions.node`
 * @param program  the path of that Node
 */
export function nodeProblem(found: string, program: string): MigrationError | undefined {
    if (isAtLeast(found, oldestNode)) return undefined;
    return new MigrationError("SM-E0224", {
        where: program,
        found: `Node ${found}`,
        expected: `Node ${oldestNode} or newer`,
    });
}

/**
 * SM-E0223 when a pinned package is not installed in exactly its version.
 *
 * @param found  version from the package's package.json; undefined when it is not there
 */
export function packageProblem(
    name: keyof typeof pinnedPackages,
    found: string | undefined,
): MigrationError | undefined {
    const expected = pinnedPackages[name];
    if (found === expected) return undefined;
    return new MigrationError("SM-E0223", {
        where: `node_modules/${name}/package.json`,
        found: found === undefined ? `no ${name}` : `${name} ${found}`,
        expected: `exactly ${expected}`,
    });
}

/** Whether the program works with a CLI of this version; no leading `v` is needed. */
export function isAcceptedCli(version: string): boolean {
    return isAtLeast(version, pulumiVersion) && !isAtLeast(version, "4.0.0");
}

/** SM-E0226 when the CLI is too old, or of a major version that nobody has tried. */
export function cliProblem(version: string, program: string): MigrationError | undefined {
    if (isAcceptedCli(version)) return undefined;
    return new MigrationError("SM-E0226", { where: program, found: `Pulumi ${version}`, expected: pulumiRange });
}
