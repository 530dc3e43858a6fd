/** The records of a journal on one time line, though the machine's clock was set while the run went on. Pure. */
import type { JournalRecord } from "../run/journal.ts";
import { clockShifts, shifted } from "../run/steadyClock.ts";
import type { RunRecord } from "./reportRecord.ts";

export interface SteadyRecord extends JournalRecord {
    /** Milliseconds that its `at` was moved by; the other instants that it tells are to be moved by as much. */
    readonly shift: number;
}

export function steadyRecords(records: readonly JournalRecord[]): SteadyRecord[] {
    const shifts = clockShifts(records);
    return records.map((record, index) => {
        const shift = shifts[index] ?? 0;
        return { ...record, at: shifted(record.at, shift), shift };
    });
}

/** Each time that the clock was set: by how much, and before which record. */
export function clockSettings(records: readonly SteadyRecord[]): RunRecord["clockSet"] {
    return records.slice(1).flatMap(({ at, shift }, index) => {
        const by = (records[index]?.shift ?? shift) - shift;
        return by === 0 ? [] : [{ before: at, seconds: by / 1000 }];
    });
}
