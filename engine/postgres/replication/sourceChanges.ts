/** What a run has changed on a source that goes on serving: on disk before it is changed, so that an undo gives back exactly that. */
import { readFile, readdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { removePrivateFile, writePrivateFile } from "../../run/atomicFile.ts";
import { identityShape } from "./replicaIdentity.ts";

const recordShape = z.strictObject({
    run: z.string(),
    /** Tables whose replica identity was PostgreSQL's default before this run, or before the run it took them over from. */
    identities: z.array(identityShape),
    /**
     * `preparing`: objects may be there, the copy is not complete. `following`: changes go on to the target. `ended`: the catch-up has
     * taken the last change over and removed the subscription; nothing will ever follow in this run again.
     */
    state: z.enum(["preparing", "following", "ended"]),
    /** The source has nothing of this run any more. */
    sourceCleared: z.boolean(),
});
export type ReplicationRecord = z.infer<typeof recordShape>;

const recordFile = (runDirectory: string): string => join(runDirectory, "replication.json");

/** Undefined where the run never began to follow, or was taken back. */
export async function readRecord(runDirectory: string): Promise<ReplicationRecord | undefined> {
    const text = await readFile(recordFile(runDirectory), "utf8").catch((error: unknown) => {
        if (error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR"))
            return undefined;
        throw error;
    });
    return text === undefined ? undefined : recordShape.parse(JSON.parse(text));
}

export async function writeRecord(runDirectory: string, record: ReplicationRecord): Promise<void> {
    await writePrivateFile(recordFile(runDirectory), `${JSON.stringify(recordShape.parse(record), undefined, 1)}\n`);
}

export async function removeRecord(runDirectory: string): Promise<void> {
    await removePrivateFile(recordFile(runDirectory));
}

/** Records of other runs of the stack, whose changes a newer run takes over: they would be undone under it. */
export async function otherRecords(runDirectory: string): Promise<ReplicationRecord[]> {
    const runs = dirname(runDirectory);
    const entries = await readdir(runs, { withFileTypes: true });
    const records = await Promise.all(
        entries
            .map(({ name }) => join(runs, name))
            .filter((directory) => directory !== runDirectory)
            .map((directory) => readRecord(directory)),
    );
    return records.filter((record) => record !== undefined);
}
