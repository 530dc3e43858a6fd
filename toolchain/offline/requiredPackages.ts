/** What a Node program needs: the Pulumi plugins named by its dependencies, and the dependencies themselves. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { z } from "zod";

const manifest = z.object({
    version: z.string().default("0.0.0"),
    dependencies: z.record(z.string(), z.string()).default({}),
    pulumi: z
        .object({ resource: z.boolean().optional(), name: z.string().optional(), version: z.string().optional() })
        .optional(),
});

/** A package that the program depends on directly. */
export interface Dependency {
    readonly name: string;
    readonly version: string;
    /** The resource plugin that it needs, from the `pulumi` field of its package.json. */
    readonly plugin?: { readonly name: string; readonly version: string };
}

/**
 * The direct, installed dependencies of the program, from the nearest package.json at or above it.
 *
 * @param programDirectory  absolute path
 */
export function dependenciesOf(programDirectory: string): Dependency[] {
    const root = ancestors(programDirectory).find((directory) => existsSync(join(directory, "package.json")));
    if (root === undefined) return [];
    return Object.keys(readManifest(join(root, "package.json")).dependencies).flatMap((name) => {
        const path = ancestors(root)
            .map((directory) => join(directory, "node_modules", name, "package.json"))
            .find((candidate) => existsSync(candidate));
        if (path === undefined) return [];
        const { version, pulumi } = readManifest(path);
        if (pulumi?.resource !== true) return [{ name, version }];
        const plugin = { name: pulumi.name ?? name.replace(/^@pulumi\//, ""), version: pulumi.version ?? version };
        return [{ name, version, plugin }];
    });
}

function readManifest(path: string): z.infer<typeof manifest> {
    return manifest.parse(JSON.parse(readFileSync(path, "utf8")));
}

function ancestors(directory: string): string[] {
    const parent = dirname(directory);
    return parent === directory ? [directory] : [directory, ...ancestors(parent)];
}
