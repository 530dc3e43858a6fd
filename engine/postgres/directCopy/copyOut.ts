/** The rows that a COPY TO STDOUT writes, as they come over the connection: no sooner than somebody takes them. */
import { Readable } from "node:stream";
import type { Connection, Submittable } from "pg";
import { CopyFrames } from "./copyFrames.ts";

type Listener = (chunk: Buffer) => void;

/**
 * Stands between a connection and its parser while rows come, as the parser makes an object of each row and takes them all, whether or not
 * anybody has room for them. Hands the connection back when they have ended.
 */
export class CopyOut extends Readable implements Submittable {
    /** Of the server; there once the stream has ended. */
    public rowCount = 0;
    private readonly statement: string;
    private readonly frames = new CopyFrames();
    private connection: Connection | undefined;
    private parsers: Listener[] = [];

    constructor(statement: string, highWaterMark: number) {
        super({ highWaterMark });
        this.statement = statement;
    }

    public submit(connection: Connection): void {
        const { stream } = connection;
        this.connection = connection;
        this.parsers = stream
            .listeners("data")
            .filter((listener): listener is Listener => typeof listener === "function");
        for (const parser of this.parsers) stream.removeListener("data", parser);
        stream.on("data", this.onData);
        connection.query(this.statement);
    }

    public handleCommandComplete({ text }: { readonly text?: string }): void {
        this.rowCount = Number(/^COPY (\d+)/.exec(text ?? "")?.[1] ?? "0");
    }

    public handleReadyForQuery(): void {
        this.push(null);
    }

    /** Of the server, or of the connection when that is gone. */
    public handleError(error: Error): void {
        this.destroy(error);
    }

    public override _read(): void {
        this.connection?.stream.resume();
    }

    public override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
        // What still comes is of no use, and the connection neither.
        this.connection?.stream.removeListener("data", this.onData);
        done(error);
    }

    private readonly onData = (chunk: Buffer): void => {
        const { rows, rest } = this.frames.take(chunk);
        if (rows.length > 0 && !this.push(rows) && rest === undefined) this.connection?.stream.pause();
        if (rest !== undefined) this.handBack(rest);
    };

    private handBack(rest: Buffer): void {
        const stream = this.connection?.stream;
        if (stream === undefined) return;
        this.connection = undefined;
        stream.removeListener("data", this.onData);
        for (const parser of this.parsers) {
            stream.on("data", parser);
            if (rest.length > 0) parser(rest);
        }
    }
}
