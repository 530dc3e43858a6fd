/** The time that a look may take: a part that is late is left out and named, and the others are kept. */
import { MigrationError } from "../run/errors.ts";

/** What is over when it is over; what has gone wrong is told, and stops nothing else. */
export class Budget {
    /** What was not looked at, in the words of {@link part}. */
    public readonly notSeen: string[] = [];
    private readonly end: number;

    constructor(seconds: number) {
        this.end = performance.now() + seconds * 1000;
    }

    public get secondsLeft(): number {
        return Math.max(0, (this.end - performance.now()) / 1000);
    }

    /**
     * @param what  for people, what is then not seen: `the containers of Docker`
     * @param atMostSeconds  of this part; never more than what is left of the whole
     * @param work  gets a signal that aborts when its time is over; nothing is waited for then
     * @throws what says that the machine itself is not reached any more
     */
    public async part<T, E>(
        what: string,
        atMostSeconds: number,
        work: (signal: AbortSignal) => Promise<T>,
        otherwise: E,
    ): Promise<T | E> {
        const result = await this.attempt(atMostSeconds, work);
        if ("value" in result) return result.value;
        this.notSeen.push(`${what}: ${result.reason}`);
        return otherwise;
    }

    /** As {@link part}, where who asks has a place of its own for the reason. */
    public async attempt<T>(
        atMostSeconds: number,
        work: (signal: AbortSignal) => Promise<T>,
    ): Promise<{ readonly value: T } | { readonly reason: string }> {
        const seconds = Math.min(atMostSeconds, this.secondsLeft);
        const over = new AbortController();
        let timer: NodeJS.Timeout | undefined;
        const late = new Promise<{ readonly reason: string }>((resolve) => {
            timer = setTimeout(() => {
                resolve({ reason: `not done within ${seconds.toFixed(1)} s` });
                over.abort(new Error("the time is over"));
            }, seconds * 1000);
        });
        const doing = work(over.signal).then(
            (value) => ({ value }),
            (error: unknown) => ({ reason: reasonOf(error) }),
        );
        try {
            return await Promise.race([doing, late]);
        } finally {
            clearTimeout(timer);
        }
    }
}

/** Errors of a machine that is lost, or of an answer that is none: nothing that follows can be true. */
const ofTheMachine = new Set(["SM-E1401", "SM-E1402", "SM-E1403", "SM-E1404", "SM-E1405", "SM-E1440", "SM-E1441"]);

/** In one line, with the code where there is one. */
export function reasonOf(error: unknown): string {
    if (error instanceof MigrationError) {
        if (ofTheMachine.has(error.code)) throw error;
        const { where, found } = error.detail;
        return `${error.code} ${where}: ${found}`.replaceAll(/\s*\n\s*/g, " ");
    }
    const message = error instanceof Error ? error.message : String(error);
    return message.split("\n")[0] ?? message;
}
