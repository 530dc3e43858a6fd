/** What a way of moving a database is to the bench. */
import type { Measurement } from "../results/results.ts";
import type { BenchServer } from "../server.ts";

/** What the measured ways share. */
export interface Bench {
    /** For files of the bench, on the same file system as both servers. */
    readonly directory: string;
    /** Directory of PostgreSQL's programs. */
    readonly programs: string;
    readonly source: BenchServer;
    readonly target: BenchServer;
    /** Processes or connections that a way may use at a time. */
    readonly jobs: number;
    /** Password file of libpq's programs, home of gpg. */
    readonly environment: Readonly<Record<string, string>>;
    /** Mode 0600. */
    readonly passphraseFile: string;
}

export type { Measurement };

export interface Method {
    /** For `--only`. */
    readonly id: string;
    readonly title: string;
    /** Whether the target database holds everything afterwards, and can be compared with the source. */
    readonly fillsTarget: boolean;
    /** Whether the target's planner knows its tables afterwards, as it must before anybody is served. */
    readonly collectsStatistics: boolean;
    /** Why it cannot be measured here; undefined where it can. */
    readonly missing?: (bench: Bench) => string | undefined;
    /** @param database  on the target: empty */
    readonly measure: (bench: Bench, database: string) => Promise<Measurement>;
}

/** Longer than anything here takes: the bench hangs no longer than this. */
export const methodSeconds = 2 * 3600;
