/** Where a file is that a configuration names, be it beside the configuration. */
import { resolve } from "node:path";
import { hostPath, type PathMap } from "../../machines/pathMap.ts";

export function configuredFile(
    config: { readonly directory: string; readonly workingDirectory?: string | undefined; readonly paths: PathMap },
    path: string,
): string {
    return hostPath(resolve(config.workingDirectory ?? config.directory, path), config.paths);
}
