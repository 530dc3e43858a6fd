/** Requests to the helper on a machine, and its answers, over the two streams of the program that leads there. */
import type { Readable, Writable } from "node:stream";
import { z } from "zod";

/** Both a length of a header in JSON and one of the bytes that follow it. */
const lengthBytes = 8;
/** Nothing that is asked for comes near this. */
const largestAnswer = 256 * 1024 * 1024;

const answer = z.object({
    id: z.number(),
    value: z.unknown().optional(),
    code: z.string().optional(),
    message: z.string().optional(),
});

export interface Answer {
    readonly value: unknown;
    readonly data: Buffer;
}

interface Waiting {
    readonly resolve: (answer: Answer) => void;
    readonly reject: (error: unknown) => void;
    readonly describe: string;
}

/** One request a number; answers come in any order. */
export class FarConnection {
    readonly #input: Writable;
    readonly #waiting = new Map<number, Waiting>();
    #received: Buffer[] = [];
    #receivedBytes = 0;
    #next = 1;
    #lost: Error | undefined;

    constructor(input: Writable, output: Readable) {
        this.#input = input;
        // What is lost is told by the end of the program that leads there.
        input.on("error", () => undefined);
        output.on("data", (chunk: Buffer) => {
            this.#take(chunk);
        });
    }

    /**
     * @param args  named as the helper's function names them
     * @throws an error with the system's code, as Node's own have; what {@link lose} was given once the connection is lost
     */
    public ask(
        op: string,
        args: Readonly<Record<string, unknown>> = {},
        data: Uint8Array = Buffer.alloc(0),
    ): Promise<Answer> {
        if (this.#lost !== undefined) return Promise.reject(this.#lost);
        const id = this.#next++;
        const header = Buffer.from(JSON.stringify({ id, op, args }), "utf8");
        const lengths = Buffer.alloc(lengthBytes);
        lengths.writeUInt32BE(header.length, 0);
        lengths.writeUInt32BE(data.length, 4);
        return new Promise((resolve, reject) => {
            const path = args["path"] ?? args["program"];
            this.#waiting.set(id, {
                resolve,
                reject,
                describe: `${op}${typeof path === "string" ? ` '${path}'` : ""}`,
            });
            this.#input.write(Buffer.concat([lengths, header, data]));
        });
    }

    /** Nothing will be answered any more: whoever waits, and whoever asks from now on, gets the error. */
    public lose(error: Error): void {
        this.#lost ??= error;
        for (const { reject } of this.#waiting.values()) reject(this.#lost);
        this.#waiting.clear();
    }

    #take(chunk: Buffer): void {
        this.#received.push(chunk);
        this.#receivedBytes += chunk.length;
        while (this.#receivedBytes >= lengthBytes) {
            const lengths = this.#peek(lengthBytes);
            const [header, data] = [lengths.readUInt32BE(0), lengths.readUInt32BE(4)];
            const whole = lengthBytes + header + data;
            if (whole > largestAnswer) {
                this.lose(new Error("something else than the helper answers"));
                return;
            }
            if (this.#receivedBytes < whole) return;
            const frame = this.#peek(whole);
            this.#received = [frame.subarray(whole)];
            this.#receivedBytes = frame.length - whole;
            this.#answered(
                frame.subarray(lengthBytes, lengthBytes + header),
                frame.subarray(lengthBytes + header, whole),
            );
        }
    }

    /** The pieces that are needed for so many bytes, put together: each byte is copied once. */
    #peek(bytes: number): Buffer {
        const [first] = this.#received;
        if (first !== undefined && first.length >= bytes) return first;
        const joined = Buffer.concat(this.#received);
        this.#received = [joined];
        return joined;
    }

    #answered(header: Buffer, data: Buffer): void {
        const { id, value, code, message } = answer.parse(JSON.parse(header.toString("utf8")));
        const waiting = this.#waiting.get(id);
        this.#waiting.delete(id);
        if (code === undefined) waiting?.resolve({ value, data });
        else waiting?.reject(Object.assign(new Error(`${code}: ${message ?? ""}, ${waiting.describe}`), { code }));
    }
}
