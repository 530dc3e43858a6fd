/** What was proven when the last change had arrived, kept before the subscription is removed: nobody can prove it a second time. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { check } from "../../../contract/shared.ts";
import { removePrivateFile, writePrivateFile } from "../../run/atomicFile.ts";
import { tableFingerprintShape } from "../compare/fingerprint.ts";
import { sequenceShape } from "../sequences/sequences.ts";

const proofShape = z.strictObject({
    /** Write-ahead log position after the source's last change. */
    position: z.string(),
    checks: z.array(check),
    /** Of the rows at the end, equal on both sides; absent where only those of the snapshot were hashed. */
    tables: z.array(tableFingerprintShape).optional(),
    sequences: z.array(sequenceShape),
});
export type CatchUpProof = z.infer<typeof proofShape>;

const proofFile = (runDirectory: string): string => join(runDirectory, "replication-proof.json");

export async function readProof(runDirectory: string): Promise<CatchUpProof | undefined> {
    const text = await readFile(proofFile(runDirectory), "utf8").catch((error: unknown) => {
        if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
        throw error;
    });
    return text === undefined ? undefined : proofShape.parse(JSON.parse(text));
}

export async function writeProof(runDirectory: string, proof: CatchUpProof): Promise<void> {
    await writePrivateFile(proofFile(runDirectory), `${JSON.stringify(proofShape.parse(proof), undefined, 1)}\n`);
}

export async function removeProof(runDirectory: string): Promise<void> {
    await removePrivateFile(proofFile(runDirectory));
}
