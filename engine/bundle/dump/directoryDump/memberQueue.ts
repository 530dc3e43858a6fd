/** Files of a dump that are complete, handed to whoever is free while the dump goes on. */

export class MemberQueue {
    private readonly waiting: string[] = [];
    private readonly known = new Set<string>();
    private readonly takers: (() => void)[] = [];
    private ended = false;
    private failure: { readonly error: unknown } | undefined;

    /** Nothing when it was there already. @param name  of a file that nobody writes to any more */
    public add(name: string): void {
        if (this.known.has(name)) return;
        this.known.add(name);
        this.waiting.push(name);
        this.takers.shift()?.();
    }

    /** Nothing is added any more. */
    public end(): void {
        this.ended = true;
        this.wakeAll();
    }

    /** What {@link take} throws from now on, also where names are waiting. */
    public fail(error: unknown): void {
        this.failure ??= { error };
        this.wakeAll();
    }

    /** The next name, once there is one; undefined at the end. */
    public async take(): Promise<string | undefined> {
        for (;;) {
            if (this.failure !== undefined) throw this.failure.error;
            const name = this.waiting.shift();
            if (name !== undefined || this.ended) return name;
            await new Promise<void>((resolve) => this.takers.push(resolve));
        }
    }

    private wakeAll(): void {
        for (const wake of this.takers.splice(0)) wake();
    }
}
