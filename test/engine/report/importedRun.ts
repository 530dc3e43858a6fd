/** A run that brought in a bundle, for the tests of the report. */
import { collectRun } from "../../../engine/report/collect.ts";
import type { RunRecord } from "../../../engine/report/reportRecord.ts";
import { done, environment, instantAfter, runDirectory, staged, type Line } from "./fixtures.ts";

const mebibyte = 1024 * 1024;
const digest = "5f".repeat(32);
const moved = 100;

/** Forty seconds from the import to the open gateway. */
export const importedRun: Line[] = [
    ...staged,
    ...done("import", moved, 20),
    ...done("import-media", moved + 20, 3, {
        ...{ files: 2, bytes: 3 * mebibyte, copied: 2, missing: 0, orphans: 0, treeDigest: digest, checks: [] },
        rowsAdded: 2,
    }),
    ...done("verify", moved + 24, 2),
    ...done("start", moved + 27, 5),
    ...done("probe", moved + 33, 1),
    ...done("commit", moved + 36, 1),
    ...done("open", moved + 38, 2, { openedAt: instantAfter(moved + 40), checks: [] }),
];

const evidence = {
    verify: {
        checks: [],
        tables: [
            {
                name: "public.events",
                sourceRows: 3998,
                targetRows: 3998,
                sourceHash: "a",
                targetHash: "a",
                equal: true,
            },
            {
                name: "public.local_media_repository",
                ...{ sourceRows: 0, targetRows: 2, sourceHash: "0", targetHash: "b", equal: true, added: 2 },
            },
        ],
    },
};

export async function recordOf(lines: readonly Line[]): Promise<RunRecord> {
    const { directory, remove } = await runDirectory(lines, evidence);
    try {
        return await collectRun({ run: { id: "a1b2c3", directory }, phase: "cutover", environment });
    } finally {
        await remove();
    }
}
