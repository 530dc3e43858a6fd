/** Proves the target's media against what was copied and against the restored database. */
import type { Check } from "../../contract/index.ts";
import { thisMachine } from "../machines/local/localMachine.ts";
import type { ServiceUser } from "../machines/serviceUser.ts";
import type { DatabaseAddress } from "../postgres/connection.ts";
import type { MigrationError } from "../run/errors.ts";
import { IndependentChecks } from "../run/independentChecks.ts";
import { brokenMedia, checkCompleteness } from "./completeness.ts";
import { completenessChecks } from "./mediaChecks.ts";
import type { FileContent } from "./copyFile.ts";
import { carriedFolders, localFolders } from "./layout.ts";
import { withMediaRows } from "./mediaRows.ts";
import { bucketCheck } from "./s3/bucketMedia.ts";
import type { SourceMedia } from "./s3/sourceMedia.ts";
import { storeRoot } from "./mediaStore.ts";
import { newScanNotes } from "./scan.ts";
import { StoreAccess } from "./storeAccess.ts";
import { hashedFiles, TreeDigest, treeLine } from "./treeDigest.ts";
import { describeTreeDifference } from "./treeList.ts";

/** What the target's store is compared with, and for whom. */
export interface VerifyMediaOptions {
    /** Where the passes have left what they copied. */
    readonly runDirectory: string;
    /** Whom the target's Synapse runs as; absent where that is ourselves. */
    readonly user: ServiceUser | undefined;
    /** What the target keeps in a bucket besides its store. */
    readonly bucket?: SourceMedia | undefined;
    /** Of the list of media without a file that fails nothing; see `acceptanceOf`. */
    readonly acceptMissing?: string | undefined;
}

export interface VerifiedMedia {
    /** `media.tree`, those of completeness, and `media.access`; `failed` ones are for the caller to act on. */
    readonly checks: Check[];
    /** Says more of what Synapse cannot use than its check. */
    readonly access: StoreAccess;
    /** Of checks that could not be made, and count as not run: see {@link IndependentChecks}. */
    readonly refusals: readonly MigrationError[];
}

/**
 * Reads every file of the target's store once more.
 *
 * @param expectedTreeDigest  of the final pass
 * @param database  the restored one, under its incoming name
 * @throws MigrationError SM-E0963 when the store cannot be read, and nothing of the database: what it refuses is a check that failed
 */
export async function verifyMedia(
    store: string,
    expectedTreeDigest: string,
    database: DatabaseAddress,
    remoteCache: "carry" | "drop",
    { runDirectory, user, bucket, acceptMissing }: VerifyMediaOptions,
): Promise<VerifiedMedia> {
    const root = await storeRoot(thisMachine, store);
    const access = await StoreAccess.of(root, user);
    const lines = new Map<string, string>();
    const digest = new TreeDigest();
    const local = new Map<string, FileContent>();
    const seen = new Set<string>();
    const folders = carriedFolders(remoteCache);
    for await (const file of hashedFiles(root, folders, newScanNotes(), undefined, access.see)) {
        digest.add(file);
        lines.set(file.path, treeLine(file));
        if (bucket?.has(file.path) === true) seen.add(file.path);
        if (localFolders.some((folder) => file.path.startsWith(`${folder}/`))) local.set(file.path, file);
    }
    const found = digest.value();
    const completeness = new IndependentChecks();
    await completeness.take("media.complete", async () => {
        const compared = await withMediaRows(database, { step: "verify" }, (rows) =>
            checkCompleteness({
                ...rows,
                file: (path) => local.get(path) ?? bucket?.object(path),
                paths: () => local.keys(),
            }),
        );
        return completenessChecks(compared, brokenMedia(compared, acceptMissing));
    });
    const tree: Check =
        found === expectedTreeDigest
            ? { id: "media.tree", state: "passed", evidence: `${lines.size} files, tree digest ${found}` }
            : {
                  id: "media.tree",
                  state: "failed",
                  evidence: `${lines.size} files with tree digest ${found}, copied were those of ${expectedTreeDigest}: ${
                      (await describeTreeDifference(runDirectory, expectedTreeDigest, lines)) ??
                      "which ones differ was not kept by the pass that copied them"
                  }`,
              };
    const checks = [
        tree,
        ...completeness.made,
        access.check(),
        ...(bucket === undefined ? [] : [bucketCheck(bucket, undefined, seen)]),
    ];
    return { checks, access, refusals: completeness.refusals };
}
