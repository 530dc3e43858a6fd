/** A stream that stays open when its reader stops, so that another can go on from there, and that tells its failure once more when asked. */
import type { Bytes } from "./byteReader.ts";

/**
 * Layers show damage from the inside out: a flipped bit of an encrypted file is a broken gzip stream, or a statement that does not exist,
 * long before gpg has authenticated the message. A reader that refuses what is inside reads the rest here, and so learns whether an outer
 * layer is damaged: then that is the error to report.
 */
export class HeldStream {
    private readonly chunks: AsyncIterator<Buffer>;
    /** A program that is fed may have fetched the failure, and have been ended before it could tell. */
    private failure: { readonly cause: unknown } | undefined;

    constructor(stream: Bytes) {
        this.chunks = stream[Symbol.asyncIterator]();
    }

    /** What is left; to be read again where another reader stopped. */
    public async *rest(): AsyncGenerator<Buffer, void> {
        for (let next = await this.next(); next.done !== true; next = await this.next()) yield next.value;
    }

    /** Reads what is left, and throws what it ends with. */
    public async toEnd(): Promise<void> {
        while ((await this.next()).done !== true);
    }

    /** What the stream fails with when it is read to its end, and this error where it ends well. */
    public async failureOr(error: unknown): Promise<unknown> {
        return this.toEnd().then(
            () => error,
            (cause: unknown) => cause,
        );
    }

    public async close(): Promise<void> {
        await this.chunks.return?.();
    }

    private async next(): Promise<IteratorResult<Buffer, unknown>> {
        try {
            const next = await this.chunks.next();
            if (next.done !== true || this.failure === undefined) return next;
        } catch (cause) {
            this.failure ??= { cause };
        }
        throw this.failure.cause;
    }
}
