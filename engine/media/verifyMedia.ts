/** Proves the target's media against what was copied and against the restored database. */
import type { Check } from "../../contract/index.ts";
import type { DatabaseAddress } from "../postgres/connection.ts";
import { brokenMedia, checkCompleteness } from "./completeness.ts";
import { completenessChecks } from "./mediaChecks.ts";
import type { FileContent } from "./copyFile.ts";
import { carriedFolders, localFolders } from "./layout.ts";
import { withMediaRows } from "./mediaRows.ts";
import { bucketCheck } from "./s3/bucketMedia.ts";
import type { SourceMedia } from "./s3/sourceMedia.ts";
import { newScanNotes, storeRoot } from "./scan.ts";
import { hashedFiles, TreeDigest } from "./treeDigest.ts";

/**
 * Reads every file of the target's store once more.
 *
 * @param expectedTreeDigest  of the final pass
 * @param database  the restored one, under its incoming name
 * @param bucket  what the target keeps in a bucket besides its store
 * @param acceptMissing  of the list of media without a file that fails nothing; see `acceptanceOf`
 * @returns `media.tree` and those of completeness; `failed` ones are for the caller to act on
 * @throws MigrationError SM-E0963 when the store cannot be read, and those of `withClient`
 */
export async function verifyMedia(
    store: string,
    expectedTreeDigest: string,
    database: DatabaseAddress,
    remoteCache: "carry" | "drop",
    {
        bucket,
        acceptMissing,
    }: { readonly bucket?: SourceMedia | undefined; readonly acceptMissing?: string | undefined } = {},
): Promise<Check[]> {
    const root = await storeRoot(store);
    const digest = new TreeDigest();
    const local = new Map<string, FileContent>();
    const seen = new Set<string>();
    let files = 0;
    for await (const file of hashedFiles(root, carriedFolders(remoteCache), newScanNotes())) {
        digest.add(file);
        files++;
        if (bucket?.has(file.path) === true) seen.add(file.path);
        if (localFolders.some((folder) => file.path.startsWith(`${folder}/`))) local.set(file.path, file);
    }
    const found = digest.value();
    const completeness = await withMediaRows(database, { step: "verify" }, (rows) =>
        checkCompleteness({
            ...rows,
            file: (path) => local.get(path) ?? bucket?.object(path),
            paths: () => local.keys(),
        }),
    );
    const tree: Check =
        found === expectedTreeDigest
            ? { id: "media.tree", state: "passed", evidence: `${files} files, tree digest ${found}` }
            : {
                  id: "media.tree",
                  state: "failed",
                  evidence: `${files} files with tree digest ${found}, copied were those of ${expectedTreeDigest}`,
              };
    return [
        tree,
        ...completenessChecks(completeness, brokenMedia(completeness, acceptMissing)),
        ...(bucket === undefined ? [] : [bucketCheck(bucket, undefined, seen)]),
    ];
}
