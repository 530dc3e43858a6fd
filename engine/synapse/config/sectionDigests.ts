/** Whether the source's configuration is still the one that the target's was made from: an administrator may change it in between. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { MigrationError } from "../../run/errors.ts";
import { parseJson } from "../../run/parseJson.ts";
import { runDirectoryPaths } from "../../run/runDirectory.ts";
import { specDigest } from "../../run/specDigest.ts";
import { inlineSecrets } from "../secrets/inlineSecrets.ts";
import { readHomeserverSecrets } from "../secrets/homeserverSecrets.ts";
import { verifyKeysOf } from "../secrets/signingKey.ts";
import type { HomeserverConfig } from "./homeserverConfig.ts";

type Configured = Pick<HomeserverConfig, "sections">;

/** A digest of each section, keyed with the run's own key: sections hold secrets. */
export async function sectionDigests({ sections }: Configured, runDirectory: string): Promise<Record<string, string>> {
    const { digestKey } = runDirectoryPaths(runDirectory);
    const digests: Record<string, string> = {};
    for (const [name, value] of Object.entries(sections)) digests[name] = await specDigest(value, digestKey);
    return digests;
}

/**
 * The same of what the configuration only points to: the signing keys, and the secrets that are in files of their own. A key that is rotated
 * leaves no trace in homeserver.yaml.
 *
 * @throws MigrationError SM-E1003 for a file, SM-E0810 to SM-E0816 for a signing key
 */
export async function secretFileDigests(
    config: HomeserverConfig,
    runDirectory: string,
): Promise<Record<string, string>> {
    const { sections } = config;
    const written = await inlineSecrets(config);
    const fromFiles = Object.entries(written).filter(([name, value]) => sections[name] !== value);
    const files = await sectionDigests({ sections: Object.fromEntries(fromFiles) }, runDirectory);
    const { signingKeys } = await readHomeserverSecrets(config);
    return {
        ...Object.fromEntries(Object.entries(files).map(([name, digest]) => [`file of ${name}`, digest])),
        "signing key": await specDigest(verifyKeysOf(signingKeys), runDirectoryPaths(runDirectory).digestKey),
    };
}

const digests = z.record(z.string(), z.string());
const evidence = z.looseObject({ sourceSections: digests, sourceSecretFiles: digests.optional() });

/**
 * @param step  whose evidence has the digests; what a run of an earlier version has not kept is not asked for
 * @throws MigrationError SM-E0718 naming the sections that are others
 */
export async function refuseChangedSource(config: HomeserverConfig, runDirectory: string, step: string): Promise<void> {
    const file = join(runDirectoryPaths(runDirectory).evidence, `${step}.json`);
    const text = await readFile(file, "utf8").catch(() => undefined);
    const seen = evidence.safeParse(text === undefined ? undefined : parseJson(text));
    if (!seen.success) return;
    const { sourceSections, sourceSecretFiles } = seen.data;
    const changed = [
        ...differing(sourceSections, await sectionDigests(config, runDirectory)),
        ...(sourceSecretFiles === undefined
            ? []
            : differing(sourceSecretFiles, await secretFileDigests(config, runDirectory))),
    ];
    if (changed.length === 0) return;
    throw new MigrationError("SM-E0718", {
        where: config.files.join(", "),
        found: `another ${changed.join(", ")} than the target was configured with`,
        expected: "the configuration that phase `stage` has seen",
        changed: "nothing: the source was not stopped",
    });
}

function differing(before: Readonly<Record<string, string>>, now: Readonly<Record<string, string>>): string[] {
    const names = new Set([...Object.keys(before), ...Object.keys(now)]);
    return [...names].filter((name) => before[name] !== now[name]).sort();
}
