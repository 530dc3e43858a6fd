/** The gateway itself: answers 503 while it is closed, passes everything through while it is open. */
import { Agent, createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createProxyServer } from "httpxy";

export interface GatewayOptions {
    /** Base URL of the homeserver. */
    readonly upstream: string;
    /** Base URL of what serves media where that is not the homeserver. */
    readonly mediaUpstream?: string | undefined;
    readonly retryAfterSeconds: number;
}

export interface GatewayServer {
    /** Not listening yet. */
    readonly server: Server;
    /** Closing also cuts the requests that are under way, so that nothing reaches the homeserver any more. */
    readonly setOpen: (open: boolean) => void;
}

/** Tells the gateway's own answers from those of a homeserver that is overloaded. */
export const gatewayHeader = "x-synapse-migration";

/** Those of Synapse (synapse/http/server.py, `set_cors_headers`), or else a browser hides the answer from web clients. */
const corsHeaders = {
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "GET, HEAD, POST, PUT, DELETE, OPTIONS",
    "access-control-allow-headers": "X-Requested-With, Content-Type, Authorization, Date",
    "access-control-expose-headers": `Retry-After, ${gatewayHeader}`,
};
/** Shorter than any server's, so that a connection is never used again in the moment the homeserver closes it. */
const idleConnectionMilliseconds = 4000;

/**
 * Makes a gateway that is closed.
 *
 * Clients never see a code that makes them log out: that is `M_UNKNOWN_TOKEN` with 401 alone. `M_UNKNOWN` is what Synapse itself sends
 * with a 503 (synapse/api/auth/mas.py), and clients and other servers try again after any 5xx. `M_LIMIT_EXCEEDED` belongs to 429 and would
 * be shown to people as their own fault; 404 and `M_UNRECOGNIZED` would make clients believe that the server cannot do something.
 */
export function createGateway(options: GatewayOptions): GatewayServer {
    let open = false;
    const underWay = new Set<ServerResponse>();
    const proxy = createProxyServer({
        agent: new Agent({ keepAlive: true, timeout: idleConnectionMilliseconds }),
        xfwd: true,
        // Long polls of /sync answer when there is something to say.
        proxyTimeout: 0,
    });
    proxy.on("error", (_error, _request, response) => {
        if (response === undefined || !("writeHead" in response)) return;
        // An answer that has begun can only be broken off; a client sees that it is not whole.
        if (response.headersSent) response.destroy();
        else
            refuse(
                response,
                options.retryAfterSeconds,
                "The homeserver does not answer at the moment. Please try again.",
            );
    });

    const server = createServer((request, response) => {
        response.on("error", () => response.destroy());
        if (!open) {
            // An upload that is not read to its end would leave its sender with a broken connection instead of the answer.
            request.resume();
            if (isPreflight(request)) response.writeHead(204, { ...corsHeaders, [gatewayHeader]: "closed" }).end();
            else {
                response.setHeader(gatewayHeader, "closed");
                refuse(response, options.retryAfterSeconds, "This homeserver is being moved. Please try again later.");
            }
            return;
        }
        underWay.add(response);
        response.once("close", () => underWay.delete(response));
        dropForgedAddress(request);
        // Given with each request, and not when the proxy is made: httpxy lets the options of the proxy win over those of a request.
        const target = (isMediaPath(request.url) ? options.mediaUpstream : undefined) ?? options.upstream;
        proxy.web(request, response, { target }).catch(() => response.destroy());
    });
    // A large upload over a slow line takes longer than Node's five minutes.
    server.requestTimeout = 0;
    server.keepAliveTimeout = 65_000;
    return {
        server,
        setOpen: (value) => {
            open = value;
            if (open) return;
            for (const response of underWay) response.destroy();
        },
    };
}

/**
 * What another media repository has to get (matrix-media-repo, "Reverse proxy"), whatever is written after a `?`: uploads, downloads,
 * thumbnails and previews of clients, and the downloads of other servers.
 */
export function isMediaPath(url: string | undefined): boolean {
    return /^\/_matrix\/(media|client\/v1\/media|federation\/v1\/media)\//.test(url ?? "");
}

function refuse(response: ServerResponse, retryAfterSeconds: number, error: string): void {
    response
        .writeHead(503, {
            ...corsHeaders,
            "content-type": "application/json",
            "cache-control": "no-store",
            "retry-after": String(retryAfterSeconds),
        })
        .end(JSON.stringify({ errcode: "M_UNKNOWN", error, retry_after_ms: retryAfterSeconds * 1000 }));
}

/** A browser lets a page see the 503 only after its question beforehand was answered with a 2xx (Fetch standard, "CORS-preflight fetch"). */
function isPreflight({ method, headers }: IncomingMessage): boolean {
    return method === "OPTIONS" && headers["access-control-request-method"] !== undefined;
}

/** A proxy before us on the same machine tells the client's address; anybody else who does may be lying to the rate limits. */
function dropForgedAddress({ socket, headers }: IncomingMessage): void {
    if (isThisMachine(socket.remoteAddress)) return;
    for (const name of ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-port", "x-forwarded-host"]) {
        Reflect.deleteProperty(headers, name);
    }
}

/** Whether a peer's address, as Node gives it, is a loopback one. */
export function isThisMachine(remoteAddress: string | undefined): boolean {
    return /^(::ffff:)?127\.|^::1$/.test(remoteAddress ?? "");
}
