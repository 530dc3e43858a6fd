/** Requests to the helper on a machine, and its answers, over the two streams of the program that leads there. */
import type { Readable, Writable } from "node:stream";
import { z } from "zod";
import { MigrationError } from "../../run/errors.ts";

/** Both a length of a header in JSON and one of the bytes that follow it. */
const lengthBytes = 8;
/** Nothing that is asked for comes near this. */
const largestAnswer = 256 * 1024 * 1024;

const answer = z.object({
    id: z.number(),
    value: z.unknown().optional(),
    /** Further answers to the same request follow. */
    more: z.boolean().optional(),
    code: z.string().optional(),
    message: z.string().optional(),
});

export interface Answer {
    readonly value: unknown;
    readonly data: Buffer;
}

export interface AskOptions {
    readonly data?: Uint8Array;
    /** Told each answer but the last, of requests that are answered in several. */
    readonly onPart?: (part: Answer) => void;
}

interface Waiting {
    readonly resolve: (answer: Answer) => void;
    readonly reject: (error: unknown) => void;
    readonly onPart: AskOptions["onPart"];
    readonly describe: string;
}

/** One request a number; answers come in any order. */
export class FarConnection {
    readonly #input: Writable;
    readonly #name: string;
    readonly #waiting = new Map<number, Waiting>();
    #received: Buffer[] = [];
    #receivedBytes = 0;
    /** Bytes of the answer that is coming in, once its lengths are there. */
    #wanted = lengthBytes;
    #next = 1;
    #lost: Error | undefined;

    /** @param name  of the machine, for messages */
    constructor(input: Writable, output: Readable, name: string) {
        this.#input = input;
        this.#name = name;
        // What is lost is told by the end of the program that leads there.
        input.on("error", () => undefined);
        output.on("error", () => undefined);
        output.on("data", (chunk: Buffer) => {
            this.#take(chunk);
        });
    }

    /**
     * @param args  named as the helper's function names them
     * @throws an error with the system's code, as Node's own have; MigrationError SM-E1441 when the helper itself fails, SM-E1440 when it is
     *     not the helper that answers; what {@link lose} was given once the connection is lost
     */
    public ask(op: string, args: Readonly<Record<string, unknown>> = {}, options: AskOptions = {}): Promise<Answer> {
        if (this.#lost !== undefined) return Promise.reject(this.#lost);
        const { data = Buffer.alloc(0), onPart } = options;
        const id = this.#next++;
        const header = Buffer.from(JSON.stringify({ id, op, args }), "utf8");
        const lengths = Buffer.alloc(lengthBytes);
        lengths.writeUInt32BE(header.length, 0);
        lengths.writeUInt32BE(data.length, 4);
        return new Promise((resolve, reject) => {
            const path = args["path"] ?? args["program"];
            const describe = `${op}${typeof path === "string" ? ` '${path}'` : ""}`;
            this.#waiting.set(id, { resolve, reject, onPart, describe });
            this.#input.write(Buffer.concat([lengths, header, data]));
        });
    }

    /** Nothing will be answered any more: whoever waits, and whoever asks from now on, gets the error. */
    public lose(error: Error): void {
        this.#lost ??= error;
        this.#received = [];
        for (const { reject } of this.#waiting.values()) reject(this.#lost);
        this.#waiting.clear();
    }

    #take(chunk: Buffer): void {
        if (this.#lost !== undefined) return;
        this.#received.push(chunk);
        this.#receivedBytes += chunk.length;
        while (this.#receivedBytes >= this.#wanted) {
            const [header, data] = this.#lengths();
            const whole = lengthBytes + header + data;
            if (whole > largestAnswer) {
                this.#garbled(`an answer of ${whole} bytes`);
                return;
            }
            this.#wanted = whole;
            if (this.#receivedBytes < whole) return;
            const frame = this.#joined();
            this.#received = frame.length === whole ? [] : [frame.subarray(whole)];
            this.#receivedBytes = frame.length - whole;
            this.#wanted = lengthBytes;
            const text = frame.toString("utf8", lengthBytes, lengthBytes + header);
            if (!this.#answered(text, frame.subarray(lengthBytes + header, whole))) return;
        }
    }

    #lengths(): [header: number, data: number] {
        const [first] = this.#received;
        const start = first !== undefined && first.length >= lengthBytes ? first : this.#joined();
        return [start.readUInt32BE(0), start.readUInt32BE(4)];
    }

    /** What was received, in one piece: each byte is copied once, when an answer is whole. */
    #joined(): Buffer {
        const [first] = this.#received;
        const joined = this.#received.length === 1 && first !== undefined ? first : Buffer.concat(this.#received);
        this.#received = [joined];
        return joined;
    }

    /** @returns whether it is an answer */
    #answered(header: string, data: Buffer): boolean {
        const parsed = answer.safeParse(parsedJson(header));
        if (!parsed.success) {
            this.#garbled(JSON.stringify(header.slice(0, 200)));
            return false;
        }
        const { id, value, more, code, message } = parsed.data;
        const waiting = this.#waiting.get(id);
        if (more === true) waiting?.onPart?.({ value, data });
        else {
            this.#waiting.delete(id);
            if (code === undefined) waiting?.resolve({ value, data });
            else waiting?.reject(this.#refused(code, message ?? "", waiting.describe));
        }
        return true;
    }

    #refused(code: string, message: string, describe: string): Error {
        return code === "EPROTO"
            ? new MigrationError("SM-E1441", { where: this.#name, found: `${describe}: ${message}` })
            : Object.assign(new Error(`${code}: ${message}, ${describe}`), { code });
    }

    #garbled(found: string): void {
        this.lose(new MigrationError("SM-E1440", { where: this.#name, found }));
    }
}

function parsedJson(text: string): unknown {
    try {
        return JSON.parse(text);
    } catch {
        return undefined;
    }
}
