/** Which sections of a configuration hold secrets, and those sections with every secret written out. */
import type { HomeserverConfig } from "../config/homeserverConfig.ts";
import { configuredFile } from "../config/configuredFile.ts";
import { changeAt, isMapping, without } from "../config/configTree.ts";
import { secretName, secretPathVariants } from "./secretSettings.ts";
import { readSourceSecret } from "./readSecretFile.ts";

/**
 * The sections with secrets in place of the files that held them.
 *
 * @throws MigrationError SM-E1003
 */
export async function inlineSecrets(
    config: Pick<HomeserverConfig, "machine" | "sections" | "directory" | "paths">,
): Promise<Readonly<Record<string, unknown>>> {
    let sections = config.sections;
    for (const { parent, pathKey, valueKey } of secretPathVariants) {
        // They are read first, as changes are made synchronously.
        const secrets = new Map<string, string>();
        for (const path of pathsAt(sections, parent, pathKey)) {
            const { text } = await readSourceSecret(
                config.machine,
                configuredFile(config, path),
                [...parent, pathKey].join("."),
            );
            secrets.set(path, valueKey === "key" ? text : text.trim());
        }
        const inline = (value: unknown): unknown => {
            if (Array.isArray(value)) return value.map(inline);
            if (!isMapping(value)) return value;
            const secret = secrets.get(String(value[pathKey]));
            const rest = without(value, (key) => key === pathKey);
            return secret === undefined ? rest : { ...rest, [valueKey]: secret };
        };
        const changed = changeAt({ sections }, ["sections", ...parent], inline)["sections"];
        if (isMapping(changed)) sections = changed;
    }
    return sections;
}

/** The files that the sections' secrets are in, as they are written there. */
export function secretFiles(
    sections: Readonly<Record<string, unknown>>,
): { readonly setting: string; readonly path: string }[] {
    return secretPathVariants.flatMap(({ parent, pathKey }) =>
        [...pathsAt(sections, parent, pathKey)].map((path) => ({ setting: [...parent, pathKey].join("."), path })),
    );
}

function pathsAt(
    sections: Readonly<Record<string, unknown>>,
    parent: readonly string[],
    pathKey: string,
): ReadonlySet<string> {
    const paths = new Set<string>();
    changeAt({ sections }, ["sections", ...parent], (value) => {
        for (const mapping of Array.isArray(value) ? (value as unknown[]) : [value]) {
            const path = isMapping(mapping) ? mapping[pathKey] : undefined;
            if (typeof path === "string" && path !== "") paths.add(path);
        }
        return value;
    });
    return paths;
}

/** Splits a configuration into what may be shown and what holds secrets; by whole sections, as Synapse merges by them. */
export function splitSecrets(sections: Readonly<Record<string, unknown>>): {
    readonly open: Readonly<Record<string, unknown>>;
    readonly secret: Readonly<Record<string, unknown>>;
} {
    const isSecret = (key: string): boolean => holdsSecret(key, sections[key]);
    return { open: without(sections, isSecret), secret: without(sections, (key) => !isSecret(key)) };
}

function holdsSecret(name: string, value: unknown): boolean {
    if (typeof value === "string") return secretName.test(name);
    if (Array.isArray(value)) return value.some((element: unknown) => holdsSecret(name, element));
    return isMapping(value) && Object.entries(value).some(([key, below]) => holdsSecret(key, below));
}
