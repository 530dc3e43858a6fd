/** What is done after the rows, in which order and what of it at the same time. */
import type { PlainDumpContent } from "./content.ts";
import type { QualifiedName } from "./cursor.ts";
import { describeName, type PlacedStatement } from "./statement.ts";

export interface Task {
    readonly placed: PlacedStatement;
    /** Tables that the statement locks; `alone` when no other task may use them meanwhile. */
    readonly tables: readonly string[];
    readonly alone: boolean;
    /** Bytes of the tables: the largest begins first, so that it does not end last. */
    readonly weight: number;
}

export interface LoadPlan {
    /** Indexes of a table are built at the same time; keys are built too, each alone on its table. */
    readonly indexes: readonly Task[];
    /** They need the unique indexes, and read both tables. */
    readonly foreignKeys: readonly Task[];
    /** Triggers, and what stands behind the rows besides: comments, CLUSTER ON, REPLICA IDENTITY; in the order of the dump. */
    readonly rest: readonly PlacedStatement[];
    /** They run what their views select, of which some may have been made among the rest. */
    readonly refreshes: readonly PlacedStatement[];
}

export function planLoad(statements: readonly PlacedStatement[], tables: PlainDumpContent["tables"]): LoadPlan {
    const bytes = new Map(tables.map((table) => [describeName(table), table.bytes]));
    const plan = {
        indexes: [] as Task[],
        foreignKeys: [] as Task[],
        rest: [] as PlacedStatement[],
        refreshes: [] as PlacedStatement[],
    };
    for (const placed of statements) {
        const { statement, searchPath } = placed;
        const task = (names: readonly QualifiedName[], alone: boolean): Task => {
            const used = names.map(({ schema, name }) =>
                describeName({ schema: schema ?? searchPath[0] ?? "public", name }),
            );
            return {
                placed,
                tables: used,
                alone,
                weight: used.reduce((sum, table) => sum + (bytes.get(table) ?? 0), 0),
            };
        };
        if (statement.kind === "index") plan.indexes.push(task([statement.table], false));
        else if (statement.kind === "refresh") plan.refreshes.push(placed);
        else if (statement.kind !== "constraint") plan.rest.push(placed);
        else if (statement.references === undefined) plan.indexes.push(task([statement.table], true));
        else plan.foreignKeys.push(task([statement.table, statement.references], true));
    }
    const bySize = (a: Task, b: Task): number => b.weight - a.weight;
    return {
        indexes: plan.indexes.sort(bySize),
        foreignKeys: plan.foreignKeys.sort(bySize),
        rest: plan.rest,
        refreshes: plan.refreshes,
    };
}

/** Runs the tasks, up to so many at a time, none beside one that its tables forbid. Ends at the first that fails. */
export async function runTasks(
    tasks: readonly Task[],
    jobs: number,
    run: (task: Task) => Promise<void>,
): Promise<void> {
    const waiting = [...tasks];
    const running = new Map<Task, Promise<void>>();
    const fits = (task: Task): boolean =>
        [...running.keys()].every(
            (other) => !(task.alone || other.alone) || !other.tables.some((table) => task.tables.includes(table)),
        );
    while (waiting.length > 0 || running.size > 0) {
        for (let index = 0; index < waiting.length && running.size < jobs; index += 1) {
            const task = waiting[index];
            if (task === undefined || !fits(task)) continue;
            waiting.splice(index, 1);
            index -= 1;
            running.set(
                task,
                run(task).finally(() => running.delete(task)),
            );
        }
        await Promise.race(running.values());
    }
}
