/** A small client of the Matrix APIs, for asking a homeserver on this machine what only it can answer. */
import { once } from "node:events";
import { request, type IncomingMessage } from "node:http";
import { buffer } from "node:stream/consumers";
import { z } from "zod";
import { MigrationError } from "../../run/errors.ts";
import { parseJson } from "../../run/parseJson.ts";
import { registerSecret } from "../../run/redaction.ts";
import { socketScheme } from "../config/listeners.ts";

const deadlineMilliseconds = 30_000;
const errorShape = z.object({ errcode: z.string(), error: z.string().optional() });

export interface MatrixRequest {
    readonly method?: "GET" | "POST" | "PUT" | "DELETE";
    readonly accessToken?: string;
    readonly body?: unknown;
    readonly bytes?: { readonly content: Uint8Array<ArrayBuffer>; readonly type: string };
}

export interface MatrixAnswer {
    readonly status: number;
    /** The parsed JSON body; undefined when it is none. */
    readonly json: unknown;
    readonly bytes: Uint8Array;
    /** `M_…`, where the server said so. */
    readonly errcode: string | undefined;
}

/** Asks one homeserver. Every answer comes back, whatever its status; only a server that does not answer is an error. */
export class MatrixApi {
    private readonly baseUrl: string;

    /** @param baseUrl  also that of a Unix socket: `http+unix://%2Frun%2Fsynapse.sock` */
    constructor(baseUrl: string) {
        this.baseUrl = baseUrl.replace(/\/+$/, "");
    }

    /** @throws MigrationError SM-E1106 when no answer comes within 30 s */
    public async ask(path: string, request: MatrixRequest = {}): Promise<MatrixAnswer> {
        const { method = "GET", accessToken, body, bytes } = request;
        if (accessToken !== undefined) registerSecret(accessToken);
        try {
            const sent = {
                method,
                headers: {
                    ...(accessToken === undefined ? {} : { Authorization: `Bearer ${accessToken}` }),
                    ...(bytes === undefined ? { "Content-Type": "application/json" } : { "Content-Type": bytes.type }),
                },
                body: bytes?.content ?? (body === undefined ? undefined : JSON.stringify(body)),
                signal: AbortSignal.timeout(deadlineMilliseconds),
            };
            const { status, content } = await (this.baseUrl.startsWith(socketScheme)
                ? throughSocket(decodeURIComponent(this.baseUrl.slice(socketScheme.length)), path, sent)
                : throughNetwork(`${this.baseUrl}${path}`, sent));
            const json = parseJson(content);
            return { status, json, bytes: content, errcode: errorShape.safeParse(json).data?.errcode };
        } catch (error) {
            throw new MigrationError("SM-E1106", {
                where: `${method} ${this.baseUrl}${path.split("?")[0] ?? path}`,
                found:
                    error instanceof Error
                        ? `${error.message}${error.cause instanceof Error ? ` (${error.cause.message})` : ""}`
                        : String(error),
                expected: `an answer within ${deadlineMilliseconds / 1000} s`,
            });
        }
    }
}

interface Sent {
    readonly method: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly body: Uint8Array<ArrayBuffer> | string | undefined;
    readonly signal: AbortSignal;
}
type Received = { readonly status: number; readonly content: Uint8Array };

async function throughNetwork(url: string, { body, ...sent }: Sent): Promise<Received> {
    const response = await fetch(url, { ...sent, ...(body === undefined ? {} : { body }), redirect: "error" });
    return { status: response.status, content: new Uint8Array(await response.arrayBuffer()) };
}

/** `fetch` knows no sockets. Synapse answers 500 to whoever has no address there, as behind a proxy that does not tell it. */
async function throughSocket(socketPath: string, path: string, { body, headers, ...sent }: Sent): Promise<Received> {
    const from = { ...headers, "X-Forwarded-For": "127.0.0.1" };
    const asked = request({ ...sent, headers: from, socketPath, path, host: "localhost" });
    asked.end(body);
    const [response] = (await once(asked, "response")) as [IncomingMessage];
    return { status: response.statusCode ?? 0, content: await buffer(response) };
}

/** "200", or "403 M_FORBIDDEN": what an answer was, without its content. */
export function describeAnswer({ status, errcode }: MatrixAnswer): string {
    return errcode === undefined ? String(status) : `${status} ${errcode}`;
}
