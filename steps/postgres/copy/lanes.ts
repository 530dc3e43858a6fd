/** Pairs of connections that do the tasks of a copy: one of the source, in the snapshot, one of the target. */
import { inSnapshot, withClient, type Client } from "../connection.ts";
import { prepareSession } from "../plainDump/session.ts";
import type { DatabaseCopy } from "./request.ts";
import { TaskBoard, type BoardTask } from "./taskBoard.ts";

export interface Lane {
    readonly source: Client;
    readonly target: Client;
}

export interface LaneTask extends BoardTask {
    readonly kind: "rows" | "index" | "key" | "analyze";
    readonly run: (lane: Lane) => Promise<void>;
}

export interface LaneOptions {
    readonly signal: AbortSignal;
    /** Aborts the signal when the work fails. */
    readonly stopOthers: <T>(work: Promise<T>) => Promise<T>;
    readonly onDone: (task: LaneTask) => void;
}

/** Does all tasks; when one fails, every connection ends and with it what it was doing. */
export async function runInLanes(
    { source, target, step, snapshot, jobs }: DatabaseCopy,
    tasks: readonly LaneTask[],
    { signal, stopOthers, onDone }: LaneOptions,
): Promise<void> {
    const board = new TaskBoard(tasks, signal);
    const serve = (lane: Lane): Promise<void> =>
        board.serve(async (task) => {
            // At once: the other connection of the pair may wait for this one.
            await stopOthers(task.run(lane));
            onDone(task);
        });
    const lane = (): Promise<void> =>
        withClient(source, { step, readOnly: true, statementSeconds: 0, signal }, async (from) => {
            // Between two tables it may wait for an index.
            await from.query("SET idle_in_transaction_session_timeout = 0");
            await inSnapshot(from, snapshot, () =>
                withClient(target, { step, statementSeconds: 0, signal }, async (into) => {
                    await prepareSession(into, target, jobs);
                    await serve({ source: from, target: into });
                }),
            );
        });
    await Promise.all(Array.from({ length: jobs }, () => stopOthers(lane())));
}
