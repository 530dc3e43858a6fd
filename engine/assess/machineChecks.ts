/** Checks of the machine: is the service what the stack says, and is there room for what will be written? */
import { unnamedHomeserver } from "../fence/unnamedHomeserver.ts";
import { sourceService } from "../services/service.ts";
import { carriedFolders } from "../media/layout.ts";
import { openStore } from "../media/readStore.ts";
import { newScanNotes, scanStore } from "../media/scan.ts";
import { fileSystemOf, lackingSpace } from "../machines/freeSpace.ts";
import { finding } from "../run/finding.ts";
import type { SourceCheck, SourceContext } from "./check.ts";
import { supervisionCheckId, unsupervised } from "./supervisionCheck.ts";

/** A restored database can be larger than the one it came from: fresh indexes are smaller, but write-ahead log and sorts need room too. */
const restoreFactor = 1.3;
/** Compressed, a database without its indexes takes less than a third; encryption adds nothing to speak of. */
const compressedFactor = 0.5;
/** As matrix-media-repo has them, and as Synapse does. */
const mediaInBundle = 2;
/** An uncompressed directory dump holds no indexes; it never exceeds the database. */
const dumpFactor = 1;

export const machineChecks: readonly SourceCheck[] = [
    {
        id: supervisionCheckId,
        cost: "cheap",
        run: ({ spec }) => Promise.resolve(unsupervised(spec)),
    },
    {
        id: "source-service",
        cost: "cheap",
        async run({ spec }) {
            const status = await sourceService(spec.source).status();
            // What runs without its pid file is what the fence's own check tells.
            return status.running || (await unnamedHomeserver(spec.source)).length > 0
                ? []
                : [finding("SM-W0710", `${spec.source.service.kind}: ${status.evidence.join("; ")}`)];
        },
    },
    {
        id: "free-space",
        cost: "cheap",
        async run({ spec, config, measured }) {
            // Sizes that are not known are 0, which any file system has room for.
            if (measured.notRun.length > 0) return "not-run";
            const { databaseBytes, mediaBytes } = measured.sizes;
            if (spec.bundle !== undefined)
                return lackingSpace([
                    // The export of the media, until it is packed; at the same time the dump, where it is written table by table.
                    await fileSystemOf(
                        spec.run.directory,
                        mediaBytes + (spec.bundle.databaseFormat === "directory" ? databaseBytes * dumpFactor : 0),
                    ),
                    await fileSystemOf(
                        spec.targetDirectory,
                        databaseBytes * compressedFactor + mediaBytes * mediaInBundle,
                    ),
                ]);
            return lackingSpace([
                await fileSystemOf(spec.run.directory, databaseBytes * dumpFactor),
                await fileSystemOf(
                    spec.targetDirectory,
                    databaseBytes * restoreFactor + (await mediaToCopy({ spec, config, measured })),
                ),
            ]);
        },
    },
];

/** What stays in a bucket takes no room here: then only what the source's store has itself is copied. A preview does not walk that. */
async function mediaToCopy({
    spec,
    config,
    measured,
}: Pick<SourceContext, "spec" | "config" | "measured">): Promise<number> {
    if (spec.mediaStorageProvider?.kind !== "keep") return measured.sizes.mediaBytes;
    if (spec.quick) return 0;
    let bytes = 0;
    const folders = carriedFolders("carry");
    const store = await openStore(config.machine, spec.source.mediaStore ?? config.mediaStorePath, folders);
    for await (const { size } of scanStore(store, folders, newScanNotes())) bytes += size;
    return bytes;
}
