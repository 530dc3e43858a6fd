/** Requests to the helper on a machine, and its answers, over the two streams of the program that leads there. */
import type { Readable, Writable } from "node:stream";
import { z } from "zod";
import { MigrationError } from "../../run/errors.ts";
import { ByteQueue } from "./byteQueue.ts";

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
    /** What came with it, in the pieces that it came in; {@link joined} makes one of them. */
    readonly parts: readonly Buffer[];
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
    readonly #received = new ByteQueue();
    /** Lengths of the answer that is coming in. */
    #coming: { readonly header: number; readonly data: number } | undefined;
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
        this.#received.clear();
        for (const { reject } of this.#waiting.values()) reject(this.#lost);
        this.#waiting.clear();
    }

    #take(chunk: Buffer): void {
        if (this.#lost !== undefined) return;
        this.#received.push(chunk);
        for (;;) {
            if (this.#coming === undefined) {
                if (this.#received.length < lengthBytes) return;
                const lengths = this.#received.take(lengthBytes);
                this.#coming = { header: lengths.readUInt32BE(0), data: lengths.readUInt32BE(4) };
            }
            const { header, data } = this.#coming;
            if (header + data > largestAnswer) {
                this.#garbled(`an answer of ${header + data} bytes`);
                return;
            }
            if (this.#received.length < header + data) return;
            this.#coming = undefined;
            const text = this.#received.take(header).toString("utf8");
            if (!this.#answered(text, this.#received.takeParts(data))) return;
        }
    }

    /** @returns whether it is an answer */
    #answered(header: string, parts: readonly Buffer[]): boolean {
        const parsed = answer.safeParse(parsedJson(header));
        if (!parsed.success) {
            this.#garbled(JSON.stringify(header.slice(0, 200)));
            return false;
        }
        const { id, value, more, code, message } = parsed.data;
        const waiting = this.#waiting.get(id);
        if (more === true) waiting?.onPart?.({ value, parts });
        else {
            this.#waiting.delete(id);
            if (code === undefined) waiting?.resolve({ value, parts });
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
