/** The source's configuration as it comes along: secrets written out, files beside it, split by what may be shown. */
import { join } from "node:path";
import type { MediaStorageProvider, Source } from "../../../contract/index.ts";
import { relocateFiles, type FileCopy } from "./relocateFiles.ts";
import { without } from "./configTree.ts";
import type { HomeserverConfig } from "./homeserverConfig.ts";
import { configuredFile } from "./configuredFile.ts";
import { filesOfTarget, refuseMissingFiles } from "./missingFiles.ts";
import { inlineSecrets, splitSecrets } from "../secrets/inlineSecrets.ts";
import { withTargetProviders } from "./mediaStorageProviders.ts";
import { isLeftOut } from "./movedSettings.ts";

export interface CarriedSections {
    /** May be shown and digested. */
    readonly open: Readonly<Record<string, unknown>>;
    /** Whole sections that hold a secret somewhere. */
    readonly secret: Readonly<Record<string, unknown>>;
    /** Files that the sections point to on the target. */
    readonly copies: readonly FileCopy[];
}

/** Where the carried configuration goes. */
export interface CarriedTo {
    readonly source: Pick<Source, "kind">;
    readonly targetDirectory: string;
    /** Absent: the target has all media in its own store. */
    readonly mediaStorageProvider?: MediaStorageProvider | undefined;
}

/**
 * Two steps ask for this, one for each half, and get the same split.
 *
 * @throws MigrationError SM-E0231 with all files that are not there, SM-E1003 for one with a secret
 */
export async function carriedSections(config: HomeserverConfig, to: CarriedTo): Promise<CarriedSections> {
    const { source, targetDirectory, mediaStorageProvider } = to;
    await refuseMissingFiles(config, filesOfTarget(config));
    const all = without(await inlineSecrets(config), isLeftOut);
    // A migration from files has read no bucket: what their configuration says of one stays as it is.
    const carried = source.kind === "selfHosted" ? withTargetProviders(all, mediaStorageProvider) : all;
    const { sections, copies } = relocateFiles(
        carried,
        (path) => configuredFile(config, path),
        join(targetDirectory, "files"),
    );
    return { ...splitSecrets(sections), copies };
}
