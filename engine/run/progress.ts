/** Progress on stderr: whole lines, short, and at least one every ten seconds while a step works. */

/** A logged line longer than this would stall the command provider, which reads lines of up to 64 KiB. */
const longestLine = 4000;
const heartbeatMilliseconds = 10_000;

export interface Progress {
    /** Says one line at once. Never a secret. */
    say(line: string): void;
    /**
     * Runs the work, says its title, repeats the latest state every ten seconds, and says how long it took.
     *
     * @param state  asked for at each repeat, for example "12 of 176 tables"
     */
    during<T>(title: string, work: () => Promise<T>, state?: () => string): Promise<T>;
}

/** Progress that writes lines through the given function, prefixed with the step's name. */
export function lineProgress(step: string, write: (line: string) => void, redact: (text: string) => string): Progress {
    const say = (line: string): void => {
        for (const part of redact(line).split(/\r\n|\r|\n/)) {
            if (part !== "") write(`[${step}] ${part}`.slice(0, longestLine));
        }
    };
    return {
        say,
        async during(title, work, state) {
            const started = process.hrtime.bigint();
            const seconds = (): string => (Number(process.hrtime.bigint() - started) / 1e9).toFixed(1);
            say(title);
            const heartbeat = setInterval(() => {
                const now = state?.();
                say(`${title}: ${now === undefined ? "" : `${now}, `}${seconds()} s so far`);
            }, heartbeatMilliseconds);
            try {
                const result = await work();
                say(`${title}: done in ${seconds()} s`);
                return result;
            } finally {
                clearInterval(heartbeat);
            }
        },
    };
}
