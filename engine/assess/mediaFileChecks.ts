/** Checks whether the source has a file for each of its own media: what it lacks itself, no migration can move. */
import { join } from "node:path";
import { z } from "zod";
import type { Finding } from "../../contract/index.ts";
import { undefinedUnlessLost } from "../machines/unlessLost.ts";
import { placeOn } from "../machines/placeOn.ts";
import { brokenMedia, checkCompleteness, type Completeness, type SeenFile } from "../media/completeness.ts";
import { carriedFolders, localFolders } from "../media/layout.ts";
import { linkedFolders, saidOfLinks, type LinkedFolder } from "../media/linkedFolders.ts";
import { namedAtMost } from "../media/mediaChecks.ts";
import { withMediaRows } from "../media/mediaRows.ts";
import { howToAccept } from "../media/missingMedia.ts";
import { sourceMedia } from "../media/s3/bucketMedia.ts";
import { openStore, type ReadStore } from "../media/readStore.ts";
import { newScanNotes, scanStore } from "../media/scan.ts";
import { lookAgain } from "../media/secondLook.ts";
import { queryOne, type DatabaseAddress } from "../postgres/connection.ts";
import { sourceAddress } from "../postgres/databases/sourceDatabase.ts";
import { MigrationError } from "../run/errors.ts";
import { finding } from "../run/finding.ts";
import type { AssessmentCheck, AssessmentContext } from "./check.ts";
import { documentedFindings } from "./conclusion.ts";
import { isReadElsewhere } from "./mediaStorageChecks.ts";

const options = { step: "assess" };
const quiet = {
    signal: new AbortController().signal,
    progress: {
        say: () => undefined,
        note: () => undefined,
        during: <T>(_title: string, work: () => Promise<T>) => work(),
    },
};

export const mediaFileChecks: readonly AssessmentCheck[] = [
    {
        id: "media-files",
        // Walks the whole store.
        cost: "thorough",
        async run(context) {
            const { present } = await queryOne(
                context.client,
                z.object({ present: z.boolean() }),
                "SELECT to_regclass('public.local_media_repository') IS NOT NULL AS present",
            );
            // Of a database that is not Synapse's another check says so.
            return present ? look(context).catch(documentedFindings) : "not-run";
        },
    },
];

async function look({ spec, config }: AssessmentContext): Promise<Finding[]> {
    const files = new Map<string, SeenFile>();
    const store = await openStore(config.machine, config.mediaStorePath, localFolders);
    // Whether these come along is not known here; the copy refuses what cannot be followed.
    const caches = carriedFolders("carry").filter((folder) => !localFolders.some((local) => local === folder));
    const all = [...store.linked, ...(await linkedFolders(store, caches).catch(noneUnlessUnfit))];
    for await (const { path, size } of scanStore(store, localFolders, newScanNotes())) files.set(path, { size });
    const address = await sourceAddress(spec.source);
    const bucket = isReadElsewhere(spec) ? undefined : await sourceMedia(config.sections, address, "drop", quiet);
    try {
        const found = await compare(address, (path) => files.get(path) ?? bucket?.object(path), store);
        return [
            ...(all.length === 0 ? [] : [finding("SM-W0861", saidOfLinks(all))]),
            ...findingsOf(found, placeOn(store.machine, store.root), spec.acceptMissingMedia),
        ];
    } finally {
        bucket?.close();
    }
}

function noneUnlessUnfit(error: unknown): LinkedFolder[] {
    if (error instanceof MigrationError && error.code === "SM-E0963") return [];
    throw error;
}

/** Of a homeserver that runs: what came or went between the walk and the look into the database is looked at once more. */
async function compare(
    address: DatabaseAddress,
    file: (path: string) => SeenFile | undefined,
    { machine, root }: ReadStore,
): Promise<Completeness> {
    const suspects = new Set<string>();
    const first = await withMediaRows(address, options, (rows) =>
        checkCompleteness({ ...rows, file, paths: () => [], onBroken: (mediaId) => suspects.add(mediaId) }),
    );
    if (suspects.size === 0) return first;
    const now = async (path: string): Promise<SeenFile | undefined> =>
        (await machine.files.stat(join(root, path)).catch(undefinedUnlessLost)) ?? file(path);
    return { ...(await lookAgain(suspects, now, address, options)), expected: first.expected };
}

function findingsOf(found: Completeness, root: string, accepted: string | undefined): Finding[] {
    const { missing, acceptance, expected } = found;
    const broken = brokenMedia(found, accepted);
    const named = missing.first.slice(0, namedAtMost).join(", ");
    const list = `${missing.count} of ${expected} media in ${root}: ${named}${missing.count > namedAtMost ? ", …" : ""}`;
    const others = brokenMedia({ ...found, missing: { count: 0, first: [] } });
    return [
        ...(missing.count === 0
            ? []
            : broken.accepted > 0
              ? [finding("SM-W0860", list)]
              : [finding("SM-E0967", [broken.otherList, list].filter(Boolean).join(": "), howToAccept(acceptance))]),
        ...(others.count === 0
            ? []
            : [finding("SM-E0962", `${others.count} in ${root}: ${others.first.slice(0, namedAtMost).join(", ")}`)]),
    ];
}
