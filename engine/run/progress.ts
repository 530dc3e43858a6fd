/** Progress on stderr: whole lines, short, and at least one every ten seconds while a step works. */
import { withinBytes } from "./withinBytes.ts";

/** A logged line longer than this would stall the command provider, which reads lines of up to 64 KiB. Bytes. */
const longestLine = 4000;
const heartbeatMilliseconds = 10_000;

/** `note`: somebody must act on it after the run. `heartbeat`: it only says that the step still works. */
export type LineKind = "note" | "progress" | "heartbeat";

export interface Progress {
    /** Says one line at once. Never a secret. */
    say(line: string): void;
    /**
     * Says what must be known after the run: what stays, what did not come along, what is to be done. Pulumi shows lines only while a step
     * runs; `synapse-migrate` keeps notes in the run's directory, and the report has them.
     */
    note(line: string): void;
    /**
     * Runs the work, says its title, repeats the latest state every ten seconds, and says how long it took.
     *
     * @param state  asked for at each repeat, for example "12 of 176 tables"
     */
    during<T>(title: string, work: () => Promise<T>, state?: () => string): Promise<T>;
}

/** Progress that writes lines through the given function, prefixed with the step's name. */
export function lineProgress(
    step: string,
    write: (line: string, kind: LineKind) => void,
    redact: (text: string) => string,
): Progress {
    const put = (line: string, kind: LineKind): void => {
        for (const part of redact(line).split(/\r\n|\r|\n/)) {
            if (part !== "") write(withinBytes(`[${step}] ${part}`, longestLine), kind);
        }
    };
    const say = (line: string): void => put(line, "progress");
    return {
        say,
        note: (line) => put(line, "note"),
        async during(title, work, state) {
            const started = process.hrtime.bigint();
            const seconds = (): string => (Number(process.hrtime.bigint() - started) / 1e9).toFixed(1);
            say(title);
            const heartbeat = setInterval(() => {
                const now = state?.();
                put(`${title}: ${now === undefined ? "" : `${now}, `}${seconds()} s so far`, "heartbeat");
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
