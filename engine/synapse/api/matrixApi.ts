/** A small client of the Matrix APIs, for asking a homeserver on this machine what only it can answer. */
import { z } from "zod";
import { MigrationError } from "../../run/errors.ts";
import { parseJson } from "../../run/parseJson.ts";
import { registerSecret } from "../../run/redaction.ts";

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

    constructor(baseUrl: string) {
        this.baseUrl = baseUrl.replace(/\/+$/, "");
    }

    /** @throws MigrationError SM-E1106 when no answer comes within 30 s */
    public async ask(path: string, request: MatrixRequest = {}): Promise<MatrixAnswer> {
        const { method = "GET", accessToken, body, bytes } = request;
        if (accessToken !== undefined) registerSecret(accessToken);
        try {
            const response = await fetch(`${this.baseUrl}${path}`, {
                method,
                headers: {
                    ...(accessToken === undefined ? {} : { Authorization: `Bearer ${accessToken}` }),
                    ...(bytes === undefined ? { "Content-Type": "application/json" } : { "Content-Type": bytes.type }),
                },
                ...(bytes === undefined
                    ? body === undefined
                        ? {}
                        : { body: JSON.stringify(body) }
                    : { body: bytes.content }),
                signal: AbortSignal.timeout(deadlineMilliseconds),
                redirect: "error",
            });
            const content = new Uint8Array(await response.arrayBuffer());
            const json = parseJson(content);
            return { status: response.status, json, bytes: content, errcode: errorShape.safeParse(json).data?.errcode };
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

/** "200", or "403 M_FORBIDDEN": what an answer was, without its content. */
export function describeAnswer({ status, errcode }: MatrixAnswer): string {
    return errcode === undefined ? String(status) : `${status} ${errcode}`;
}
