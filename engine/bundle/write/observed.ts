/** Lets an observer read along in a stream; when it refuses what it reads, the stream ends with an error. */
import { PassThrough } from "node:stream";
import type { Bytes } from "../streams/byteReader.ts";
import { drained } from "../streams/drained.ts";

export interface Observed<T> {
    /** The same bytes. Ends with an error when the input does, or when the observer refuses. */
    readonly stream: AsyncGenerator<Buffer, void>;
    /** What the observer made of them; settles before the stream ends. */
    readonly result: Promise<T>;
}

const heldBytes = 1024 * 1024;

/** @param observe  reads its stream to the end, or fails; the slower of the two readers sets the pace */
export function observed<T>(input: Bytes, observe: (stream: Bytes) => Promise<T>): Observed<T> {
    const copy = new PassThrough({ highWaterMark: heldBytes });
    // A reader of the copy gets its error by reading. Once the observer has stopped reading, an error without a listener would end the process.
    copy.on("error", () => undefined);
    const result = observe(copy as Bytes);
    let refusal: { readonly error: unknown } | undefined;
    result.catch((error: unknown) => {
        refusal = { error };
        copy.destroy();
    });
    const stream = async function* (): AsyncGenerator<Buffer, void> {
        try {
            for await (const chunk of input) {
                if (refusal !== undefined) break;
                if (!copy.write(chunk)) await drained(copy);
                yield chunk;
            }
            copy.end();
            await result;
        } catch (error) {
            copy.destroy(error instanceof Error ? error : new Error(String(error)));
            throw refusal === undefined ? error : refusal.error;
        } finally {
            copy.destroy();
            await result.catch(() => undefined);
        }
    };
    return { stream: stream(), result };
}
