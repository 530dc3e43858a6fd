/** What the evidence of several steps says about the same tables, put side by side. Pure. */
import { stands } from "./attempts.ts";
import type { StepEvidence, TableEvidence } from "./evidence.ts";
import type { ReportedStep, ReportedTable } from "./reportRecord.ts";

/**
 * One entry a table, ordered by name: later steps add to and replace what earlier ones saw.
 *
 * @param evidence  in the order of the steps
 */
export function tablesOf(steps: readonly ReportedStep[], evidence: readonly StepEvidence[]): ReportedTable[] {
    const byName = new Map<string, Seen>();
    for (const { step, tables } of evidence) {
        for (const table of tables) {
            byName.set(table.name, {
                ...byName.get(table.name),
                ...known(table),
                ...(table.emptied === undefined ? {} : { emptied: table.emptied }),
                ...(table.added === undefined ? {} : { added: table.added }),
                ...(table.equal === undefined ? {} : { equal: table.equal }),
                name: table.name,
                stands: stands(steps, step),
            });
        }
    }
    return [...byName.values()]
        .map(({ name, stands, ...seen }) => ({ name, ...known(seen), state: compared(seen), stands }))
        .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** The same, with what no step has said left out. */
type Seen = Pick<TableEvidence, "name"> & Partial<TableEvidence> & { readonly stands: boolean };
type Counts = Partial<Omit<TableEvidence, "name">>;
type Shown = Omit<ReportedTable, "name" | "state" | "stands">;

function known({ sourceRows, targetRows, sourceHash, targetHash }: Counts): Shown {
    return {
        ...(sourceRows === undefined ? {} : { sourceRows }),
        ...(targetRows === undefined ? {} : { targetRows }),
        ...(sourceHash === undefined ? {} : { sourceHash }),
        ...(targetHash === undefined ? {} : { targetHash }),
    };
}

/**
 * Equal takes both counts and both hashes; one pair that differs is enough for a difference. Where rows were to be emptied or
 * added, it is the step that says whether they are.
 */
function compared(seen: Counts): ReportedTable["state"] {
    const { sourceRows, targetRows, sourceHash, targetHash, emptied, added, equal } = seen;
    if (emptied === true && equal === true) return "emptied";
    if (added !== undefined && added > 0 && equal === true) return "added";
    const pairs = [
        [sourceRows, targetRows],
        [sourceHash, targetHash],
    ] as const;
    const complete = pairs.filter(([source, target]) => source !== undefined && target !== undefined);
    if (equal === false || complete.some(([source, target]) => source !== target)) return "different";
    return complete.length === pairs.length ? "equal" : "not-compared";
}
