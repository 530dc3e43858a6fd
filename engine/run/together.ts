/** Work that is done beside other work, of which nothing is of use unless all of it is. */

/**
 * When a part fails, the others are told to stop; nobody goes on before all have. What a part leaves while it ends, such as a file that holds a
 * password, would otherwise outlive the error.
 */
export class Together {
    /** For every part. Aborts with the first error, or as the outer one does. */
    public readonly signal: AbortSignal;
    private readonly failure = new AbortController();
    private readonly outer: AbortSignal | undefined;

    constructor(outer?: AbortSignal) {
        this.outer = outer;
        this.signal = outer === undefined ? this.failure.signal : AbortSignal.any([outer, this.failure.signal]);
    }

    /** A part whose end others may wait for: where it fails, they are told at once. */
    public async part<T>(work: Promise<T>): Promise<T> {
        try {
            return await work;
        } catch (error) {
            this.failure.abort(error);
            throw error;
        }
    }

    /**
     * Waits until all have ended, well or not.
     *
     * @throws the outer signal's reason, or else the first error, which is the cause of the others
     */
    public async all<Parts extends readonly Promise<unknown>[]>(
        ...parts: Parts
    ): Promise<{ -readonly [Index in keyof Parts]: Awaited<Parts[Index]> }> {
        const all = parts.map((part) => this.part(part));
        const ended = await Promise.allSettled(all);
        if (ended.some(({ status }) => status === "rejected")) {
            this.outer?.throwIfAborted();
            this.failure.signal.throwIfAborted();
        }
        return (await Promise.all(all)) as { -readonly [Index in keyof Parts]: Awaited<Parts[Index]> };
    }
}
