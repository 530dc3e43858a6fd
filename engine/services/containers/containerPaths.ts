/** What a container's own view of the disk is on its machine: by its mounts. Pure. */
import { resolve } from "node:path";
import { hostPath, insideOf, type PathMap } from "../../machines/pathMap.ts";
import type { ProcessFacts } from "../../machines/procfs.ts";
import { configFiles } from "../synapseProcess.ts";
import type { ContainerFacts } from "./containerFacts.ts";

/** All of it: what is in no mount leads to nowhere, see {@link insideOf}. */
export function containerPaths({ name, mounts }: Pick<ContainerFacts, "name" | "mounts">): PathMap {
    const root = insideOf(name);
    return Object.fromEntries([
        ["/", root] as const,
        // Of a file system in memory there is nothing on the disk.
        ...mounts.map(({ destination, source }) => [destination, source === "" ? root + destination : source] as const),
    ]);
}

/** Files and directories of a configuration that a process in a container was started with, as its machine has them. */
export function configFilesOnMachine(process: ProcessFacts, container: ContainerFacts | undefined): string[] {
    const files = configFiles(process);
    if (container === undefined) return files;
    const paths = containerPaths(container);
    return files.map((file) => hostPath(resolve(container.workingDirectory, file), paths));
}
