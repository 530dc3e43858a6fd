/** Tasks that wait for others and may not all be done beside each other: the heaviest that can be done is the next. */

export interface BoardTask {
    /** The larger, the earlier. */
    readonly weight: number;
    /** What it works on. */
    readonly tables: readonly string[];
    /** No other task may work on one of its tables meanwhile. */
    readonly alone: boolean;
    /** Are done before it begins. */
    readonly needs: readonly BoardTask[];
}

/** Waits end with the signal's reason when it aborts. */
export class TaskBoard<Task extends BoardTask> {
    private readonly waiting: Task[];
    private readonly running = new Set<Task>();
    private readonly finished = new Set<BoardTask>();
    private readonly changed = new Set<() => void>();
    private readonly signal: AbortSignal;

    constructor(tasks: readonly Task[], signal: AbortSignal) {
        this.waiting = [...tasks].sort((a, b) => b.weight - a.weight);
        this.signal = signal;
        signal.addEventListener("abort", () => this.notify(), { once: true });
    }

    /** Works until all tasks are done, whoever does them. */
    public async serve(work: (task: Task) => Promise<void>): Promise<void> {
        for (;;) {
            this.signal.throwIfAborted();
            const task = this.take();
            if (task !== undefined) {
                await work(task);
                this.running.delete(task);
                this.finished.add(task);
                this.notify();
            } else if (this.waiting.length === 0) return;
            else if (this.running.size === 0) throw new Error("tasks that wait for each other");
            else await new Promise<void>((resolve) => this.changed.add(resolve));
        }
    }

    private take(): Task | undefined {
        const index = this.waiting.findIndex((task) => this.isFree(task));
        if (index < 0) return undefined;
        const [task] = this.waiting.splice(index, 1);
        if (task !== undefined) this.running.add(task);
        return task;
    }

    private isFree(task: Task): boolean {
        if (!task.needs.every((other) => this.finished.has(other))) return false;
        return [...this.running].every(
            (other) => !(task.alone || other.alone) || !other.tables.some((table) => task.tables.includes(table)),
        );
    }

    private notify(): void {
        const waiting = [...this.changed];
        this.changed.clear();
        for (const wake of waiting) wake();
    }
}
