/** Unpacks the directory dump of a bundle for pg_restore: all of it, compared with the manifest, or nothing. */
import { join } from "node:path";
import { ArchiveAllowance } from "../../archives/archiveLimits.ts";
import type { DirectoryDatabase } from "../../write/bundleManifest.ts";
import type { FileDigest } from "../../input/inputFiles.ts";
import { throughStaging, writeNewFile } from "../../archives/staging.ts";
import { readDirectoryDump, type ReadDirectoryOptions } from "./read.ts";

/**
 * @param destination  made, mode 0700; must not be there
 * @returns digests of the bundle's files
 * @throws MigrationError SM-E1201 when the disk is too small; those of {@link readDirectoryDump}
 */
export async function unpackDirectoryDump(
    section: DirectoryDatabase,
    destination: string,
    options: Omit<ReadDirectoryOptions, "take">,
): Promise<readonly FileDigest[]> {
    return throughStaging(destination, async (staging) => {
        const total = section.members.reduce((sum, { bytes }) => sum + bytes, 0);
        const whole = { name: "the dump", kind: "file", bytes: total } as const;
        await new ArchiveAllowance(staging).admit(whole, "tar", total, options.directory);
        return readDirectoryDump(section, {
            ...options,
            take: async (name, content) => {
                await writeNewFile(join(staging, name), content);
            },
        });
    });
}
