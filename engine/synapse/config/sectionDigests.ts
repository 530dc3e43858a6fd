/** Whether the source's configuration is still the one that the target's was made from: an administrator may change it in between. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { MigrationError } from "../../run/errors.ts";
import { parseJson } from "../../run/parseJson.ts";
import { runDirectoryPaths } from "../../run/runDirectory.ts";
import { specDigest } from "../../run/specDigest.ts";
import type { HomeserverConfig } from "./homeserverConfig.ts";

type Configured = Pick<HomeserverConfig, "sections" | "files">;

/** A digest of each section, keyed with the run's own key: sections hold secrets. */
export async function sectionDigests({ sections }: Configured, runDirectory: string): Promise<Record<string, string>> {
    const { digestKey } = runDirectoryPaths(runDirectory);
    const digests: Record<string, string> = {};
    for (const [name, value] of Object.entries(sections)) digests[name] = await specDigest(value, digestKey);
    return digests;
}

const evidence = z.looseObject({ sourceSections: z.record(z.string(), z.string()) });

/**
 * @param step  whose evidence has the digests; a run of an earlier version has none, and is not asked
 * @throws MigrationError SM-E0718 naming the sections that are others
 */
export async function refuseChangedSource(config: Configured, runDirectory: string, step: string): Promise<void> {
    const file = join(runDirectoryPaths(runDirectory).evidence, `${step}.json`);
    const text = await readFile(file, "utf8").catch(() => undefined);
    const seen = evidence.safeParse(text === undefined ? undefined : parseJson(text));
    if (!seen.success) return;
    const now = await sectionDigests(config, runDirectory);
    const names = new Set([...Object.keys(seen.data.sourceSections), ...Object.keys(now)]);
    const changed = [...names].filter((name) => seen.data.sourceSections[name] !== now[name]).sort();
    if (changed.length === 0) return;
    throw new MigrationError("SM-E0718", {
        where: config.files.join(", "),
        found: `another ${changed.join(", ")} than the target was configured with`,
        expected: "the configuration that phase `stage` has seen",
        changed: "nothing: the source was not stopped",
    });
}
