/** Pairs of connections that do the tasks of a copy: one of the source, in the snapshot, one of the target. */
import { inSnapshot, withClient, type Client } from "../connection.ts";
import { prepareSession } from "../plainDump/loadingSession.ts";
import type { Together } from "../../run/together.ts";
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
    readonly together: Together;
    readonly onDone: (task: LaneTask) => void;
}

/** Does all tasks; when one fails, every connection ends and with it what it was doing. */
export async function runInLanes(
    { source, target, step, snapshot, jobs }: DatabaseCopy,
    tasks: readonly LaneTask[],
    { together, onDone }: LaneOptions,
): Promise<void> {
    const { signal } = together;
    const board = new TaskBoard(tasks, signal);
    const serve = (lane: Lane): Promise<void> =>
        board.serve(async (task) => {
            // At once: the other connection of the pair may wait for this one.
            await together.part(task.run(lane));
            onDone(task);
        });
    const lane = (): Promise<void> =>
        withClient(source, { step, readOnly: true, statementSeconds: 0, signal }, async (from) => {
            await inSnapshot(from, snapshot, () =>
                withClient(target, { step, statementSeconds: 0, signal }, async (into) => {
                    await prepareSession(into, target, jobs);
                    await serve({ source: from, target: into });
                }),
            );
        });
    await together.all(...Array.from({ length: jobs }, lane));
}
