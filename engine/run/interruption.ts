/** Turns signals, and the end of the process that called us, into an abort signal. */

const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
const lookForCallerMilliseconds = 500;

export interface Interruption {
    readonly signal: AbortSignal;
    /** Gives the signals back. */
    readonly stop: () => void;
}

/**
 * Watches for the end of this process's work from outside.
 *
 * Nobody tells a child that its parent was killed; it only finds itself with another parent. A step whose caller is gone must end: its
 * result has nobody to go to, and the lock of its run would stay held.
 */
export function interruption(): Interruption {
    const controller = new AbortController();
    const caller = process.ppid;
    const abort = (reason: string): void => {
        controller.abort(new Error(`the step was stopped: ${reason}; running it again resumes it`));
    };
    const onSignal = (signal: NodeJS.Signals): void => abort(signal);
    for (const signal of signals) process.on(signal, onSignal);
    const watch = setInterval(() => {
        if (process.ppid !== caller) abort("the process that called it has ended");
    }, lookForCallerMilliseconds);
    watch.unref();
    return {
        signal: controller.signal,
        stop() {
            clearInterval(watch);
            for (const signal of signals) process.off(signal, onSignal);
        },
    };
}
