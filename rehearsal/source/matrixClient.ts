/** A small client of Matrix's client-server API: what filling and checking a homeserver need, each request with a deadline. */
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";

/** Any JSON object, as events and account data hold. */
export const jsonObject = z.record(z.string(), z.unknown());
export type JsonObject = z.infer<typeof jsonObject>;

/** The server said no. */
export class MatrixError extends Error {
    public override readonly name = "MatrixError";

    constructor(
        /** Method and path, without the query. */
        public readonly request: string,
        /** HTTP status. */
        public readonly status: number,
        /** `M_FORBIDDEN` and the like; empty when the answer had none. */
        public readonly errcode: string,
        message: string,
    ) {
        super(`${request}: ${status} ${errcode} ${message}`.trim());
    }
}

export interface MatrixClientOptions {
    readonly accessToken?: string;
    /** Ends every request. */
    readonly signal?: AbortSignal;
}

interface MatrixRequest {
    readonly method: "GET" | "POST" | "PUT";
    readonly path: string;
    readonly query: Readonly<Record<string, string | number>>;
    readonly body?: object | Buffer;
    readonly contentType?: string;
}

const requestMilliseconds = 30_000;
const patienceAttempts = 5;
const failure = z.object({
    errcode: z.string().default(""),
    error: z.string().default(""),
    retry_after_ms: z.number().optional(),
});

/** A path whose parts are escaped: `` matrixPath`/_matrix/client/v3/rooms/${roomId}/state` ``. */
export function matrixPath(texts: TemplateStringsArray, ...values: string[]): string {
    return String.raw({ raw: texts }, ...values.map(encodeURIComponent));
}

/** Requests to one homeserver, with the access token of one device or without one. */
export class MatrixClient {
    constructor(
        /** Without a final slash. */
        public readonly baseUrl: string,
        private readonly options: MatrixClientOptions = {},
    ) {}

    /** The same server, seen by another device. */
    public as(accessToken: string): MatrixClient {
        return new MatrixClient(this.baseUrl, { ...this.options, accessToken });
    }

    /** @throws MatrixError when the answer's status is not 2xx, with status 200 when it does not have the shape */
    public async get<T>(path: string, shape: z.ZodType<T>, query: MatrixRequest["query"] = {}): Promise<T> {
        return this.exchange({ method: "GET", path, query }, shape);
    }

    /** @throws MatrixError when the answer's status is not 2xx, with status 200 when it does not have the shape */
    public async post<T>(path: string, body: object, shape: z.ZodType<T>): Promise<T> {
        return this.exchange({ method: "POST", path, query: {}, body }, shape);
    }

    /** @throws MatrixError when the answer's status is not 2xx, with status 200 when it does not have the shape */
    public async put<T>(
        path: string,
        body: object,
        shape: z.ZodType<T>,
        query: MatrixRequest["query"] = {},
    ): Promise<T> {
        return this.exchange({ method: "PUT", path, query, body }, shape);
    }

    /** The bytes at a path and their media type. */
    public async bytes(path: string, query: MatrixRequest["query"] = {}): Promise<{ bytes: Buffer; type: string }> {
        const response = await this.send({ method: "GET", path, query });
        return {
            bytes: Buffer.from(await response.arrayBuffer()),
            type: response.headers.get("content-type") ?? "",
        };
    }

    /** Puts a file into the media repository. Returns its MXC URI. */
    public async upload(bytes: Buffer, type: string, name: string): Promise<string> {
        const response = await this.send({
            method: "POST",
            path: "/_matrix/media/v3/upload",
            query: { filename: name },
            body: bytes,
            contentType: type,
        });
        return z.object({ content_uri: z.string() }).parse(await response.json()).content_uri;
    }

    private async exchange<T>(request: MatrixRequest, shape: z.ZodType<T>): Promise<T> {
        const answer = shape.safeParse(await (await this.send(request)).json());
        if (answer.success) return answer.data;
        const [issue] = answer.error.issues;
        const found = `the answer has another shape: ${issue?.path.join(".") ?? ""} ${issue?.message ?? ""}`;
        throw new MatrixError(`${request.method} ${request.path}`, 200, "", found);
    }

    private async send(request: MatrixRequest): Promise<Response> {
        for (let attempt = 1; ; attempt++) {
            const response = await this.attempt(request);
            if (response.ok) return response;
            const answer = failure.safeParse(await response.json().catch(() => ({})));
            const wait = answer.data?.retry_after_ms;
            if (response.status !== 429 || wait === undefined || attempt === patienceAttempts) {
                const { errcode = "", error = "" } = answer.data ?? {};
                throw new MatrixError(`${request.method} ${request.path}`, response.status, errcode, error);
            }
            await delay(wait, undefined, this.options.signal === undefined ? {} : { signal: this.options.signal });
        }
    }

    private async attempt({ method, path, query, body, contentType }: MatrixRequest): Promise<Response> {
        const url = new URL(this.baseUrl + path);
        for (const [name, value] of Object.entries(query)) url.searchParams.set(name, String(value));
        const deadline = AbortSignal.timeout(requestMilliseconds);
        const { accessToken, signal } = this.options;
        return fetch(url, {
            method,
            headers: {
                ...(accessToken === undefined ? {} : { authorization: `Bearer ${accessToken}` }),
                ...(body === undefined ? {} : { "content-type": contentType ?? "application/json" }),
            },
            ...(body === undefined
                ? {}
                : { body: Buffer.isBuffer(body) ? new Uint8Array(body) : JSON.stringify(body) }),
            signal: signal === undefined ? deadline : AbortSignal.any([deadline, signal]),
        });
    }
}
