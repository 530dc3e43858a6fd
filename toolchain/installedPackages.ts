/** Which version of an npm package this project would load. */
import { createRequire } from "node:module";
import { z } from "zod";

const manifest = z.looseObject({ version: z.string() });

/** From the package's package.json; undefined when the package is not installed. */
export function installedVersion(name: string): string | undefined {
    const load = createRequire(import.meta.url);
    try {
        return manifest.parse(load(`${name}/package.json`)).version;
    } catch {
        return undefined;
    }
}
