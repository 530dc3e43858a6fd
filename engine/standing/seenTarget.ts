/** What a look at the target says before anything of its stack is done or undone: whose it is, whether it is committed, what of it is down. */
import { join } from "node:path";
import type { z } from "zod";
import type { assessContract } from "../../contract/index.ts";
import type { MigrationError } from "../run/errors.ts";
import { heldByAnother, holderOf, readTargetRecord, workDirectoryLost } from "../run/ownership/targetRecord.ts";
import { lookAtServers } from "./look.ts";

type Assessment = z.infer<typeof assessContract.result>;

export interface SeenTarget {
    /** For the assessment. */
    readonly seen: Pick<Assessment, "target" | "down">;
    /** The run of this stack that is committed. */
    readonly committedRun: string | undefined;
    /** Why this stack must not go on. */
    readonly refusal: MigrationError | undefined;
}

/**
 * @param pinned  the run that the journals say must be gone on with
 * @throws MigrationError SM-E0743 when the record is damaged
 */
export async function seenTarget(
    directory: string,
    runsDirectory: string,
    pinned: { readonly id: string; readonly committed: boolean } | undefined,
): Promise<SeenTarget> {
    const record = await readTargetRecord(directory);
    const holder = await holderOf(record, runsDirectory);
    const byJournal = pinned?.committed === true ? pinned.id : undefined;
    if (record === undefined) return { seen: {}, committedRun: byJournal, refusal: undefined };
    const isLost = holder === "lost" && !record.disposable;
    if (holder === "another" || isLost) {
        const refusal = isLost ? workDirectoryLost(directory, record) : heldByAnother(directory, record);
        return { seen: {}, committedRun: undefined, refusal };
    }
    const looks = await lookAtServers(join(runsDirectory, record.run), directory);
    const down = looks.flatMap(({ wrong }) => wrong ?? []);
    return {
        seen: {
            target: { state: record.state, disposable: record.disposable },
            ...(down.length === 0 ? {} : { down }),
        },
        committedRun: record.state === "held" ? byJournal : record.run,
        refusal: undefined,
    };
}

/** @throws MigrationError SM-E0740, SM-E0742 */
export function refuseAnother({ refusal }: SeenTarget): void {
    if (refusal !== undefined) throw refusal;
}
