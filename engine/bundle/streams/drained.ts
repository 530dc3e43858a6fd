/** Waits until a stream takes more. */

interface Sink {
    once(event: "drain" | "close", listener: () => void): unknown;
    off(event: "drain" | "close", listener: () => void): unknown;
}

/** Resolves when the stream has room again, or is closed: whoever writes to it then finds out. Has no deadline of its own. */
export async function drained(sink: Sink): Promise<void> {
    await new Promise<void>((resolve) => {
        const done = (): void => {
            sink.off("drain", done);
            sink.off("close", done);
            resolve();
        };
        sink.once("drain", done);
        sink.once("close", done);
    });
}
