/** What a fence asks of the source's database, of whatever kind: who has fenced it, whether it stands still, and whether it still does. */
import type { Check, RunReference } from "../../../contract/index.ts";
import type { Progress } from "../../run/progress.ts";
import type { StepRun } from "../../run/step.ts";
import type { FenceToken } from "../fenceToken.ts";
import type { RecordPlace } from "../sourceRecord.ts";

export interface FenceableDatabase {
    /** `sqlite`: a file that only the homeserver opens. */
    readonly kind: "postgres" | "sqlite";
    /** Has the record of its fence read and written. */
    record<T>(step: string, work: (place: RecordPlace) => Promise<T>): Promise<T>;
    /**
     * What keeps writers out, as it was before anybody fenced it: the database's own `default_transaction_read_only`, null where it has none; the
     * permission bits of a file, in octal.
     */
    readOnly(): Promise<string | null>;
    /**
     * Refuses what would be met only once the source is down. Changes nothing.
     *
     * @throws MigrationError SM-E0558, SM-E0560, SM-E0720 to SM-E0726, SM-E0974, all that were found at once
     */
    refuseObstacles(signal: AbortSignal): Promise<void>;
    /**
     * Proves that nobody is left who could write, once the homeserver has stopped.
     *
     * @throws MigrationError SM-E0702 naming who is still there, or what moves
     */
    proveStill(options: ProveOptions): Promise<StandsStill>;
    /** Undoes what {@link proveStill} has set. @param before  of {@link readOnly} */
    giveBack(before: string | null): Promise<void>;
    /**
     * Refuses unless it stands where the token says that it was fenced.
     *
     * @param step  may read all rows, where nothing else can tell
     * @throws MigrationError SM-E0702 naming what moved or who is there, SM-E0741 when another stack holds the fence
     */
    refuseUnlessStill(token: FenceToken, run: RunReference, step?: StillStep): Promise<void>;
}

export type StillStep = Pick<StepRun, "journal" | "progress" | "signal">;

export interface ProveOptions {
    /** For how long it is seen standing still. */
    readonly seconds: number;
    readonly progress: Progress;
    readonly signal: AbortSignal;
}

export interface StandsStill {
    /** Of the token: where it stands. */
    readonly stands: Pick<FenceToken, "watermarks" | "file">;
    /** That had it open and have ended. */
    readonly sessionsEnded: number;
    readonly checks: readonly Check[];
}
