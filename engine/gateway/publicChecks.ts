/** Checks of what the world sees of a homeserver: its name, its certificate, its well-known documents. Nothing here stops a cut-over. */
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { connect } from "node:tls";
import { z } from "zod";
import type { Check, CheckState } from "../../contract/index.ts";

const deadlineMilliseconds = 10_000;
const checkIds = [
    "public.dns",
    "public.tls",
    "public.reachable",
    "public.well-known-client",
    "public.well-known-server",
] as const;
type CheckId = (typeof checkIds)[number];

const wellKnownClient = z.looseObject({ "m.homeserver": z.looseObject({ base_url: z.string() }) });
const wellKnownServer = z.looseObject({ "m.server": z.string() });

export interface PublicChecksArgs {
    readonly serverName: string;
    /** What clients use, `https://matrix.example.org`. Nothing is looked at where it is absent. */
    readonly publicBaseUrl?: string | undefined;
    /** Asks for `https://<server name>/.well-known/...`; the global one when absent. */
    readonly fetch?: (url: URL, init: RequestInit) => Promise<Response>;
}

/**
 * Looks at the public face of the homeserver (Matrix client-server API, "Server discovery"; server-server API, "Server discovery").
 *
 * @returns one check for each thing to see; those that make no sense here as `not-run` with the reason
 */
export async function publicChecks(args: PublicChecksArgs): Promise<Check[]> {
    const { publicBaseUrl, serverName } = args;
    if (publicBaseUrl === undefined)
        return checkIds.map((id) => check(id, "not-run", "no public base URL is configured"));
    const base = new URL(publicBaseUrl);
    const host = base.hostname.replace(/^\[|\]$/g, "");
    const ask = args.fetch ?? fetch;
    return Promise.all([
        attempt("public.dns", "failed", async () => {
            if (isIP(host) !== 0) return ["not-run", `${host} is an address, not a name`];
            const addresses = await lookup(host, { all: true });
            return ["passed", `${host} is ${addresses.map(({ address }) => address).join(", ")}`];
        }),
        attempt("public.tls", "failed", async () => {
            if (base.protocol !== "https:") return ["not-run", `${publicBaseUrl} does not use TLS`];
            return ["passed", await certificateOf(host, base.port === "" ? 443 : Number(base.port))];
        }),
        attempt("public.reachable", "failed", async () => {
            const { status } = await get(ask, new URL("/_matrix/client/versions", base));
            return [status === 200 ? "passed" : "failed", `${base.origin}/_matrix/client/versions answers ${status}`];
        }),
        attempt("public.well-known-client", "warning", async () => {
            const url = wellKnownUrl(serverName, "client");
            const { status, body, headers } = await get(ask, url);
            if (status === 404) return ["warning", `${url.href} answers 404: people must type the base URL`];
            const { "m.homeserver": homeserver } = wellKnownClient.parse(body);
            if (withoutSlash(homeserver.base_url) !== withoutSlash(publicBaseUrl)) {
                return ["failed", `${url.href} leads clients to ${homeserver.base_url}, not to ${publicBaseUrl}`];
            }
            if (headers.get("access-control-allow-origin") !== "*") {
                return ["failed", `${url.href} has no Access-Control-Allow-Origin: *, so web clients cannot read it`];
            }
            return ["passed", `${url.href} leads clients to ${homeserver.base_url}`];
        }),
        attempt("public.well-known-server", "warning", async () => {
            // With a port or an address in the server name nothing is looked up.
            if (isIP(serverName.replace(/:\d+$/, "").replace(/^\[|\]$/g, "")) !== 0 || /:\d+$/.test(serverName)) {
                return ["not-run", `other servers connect to ${serverName} directly`];
            }
            const url = wellKnownUrl(serverName, "server");
            const { status, body } = await get(ask, url);
            if (status === 404)
                return ["warning", `${url.href} answers 404: other servers use SRV records or port 8448`];
            return ["passed", `${url.href} leads other servers to ${wellKnownServer.parse(body)["m.server"]}`];
        }),
    ]);
}

async function attempt(id: CheckId, ifItThrows: CheckState, look: () => Promise<[CheckState, string]>): Promise<Check> {
    try {
        return check(id, ...(await look()));
    } catch (error) {
        const cause = error instanceof Error && error.cause instanceof Error ? `: ${error.cause.message}` : "";
        const found =
            error instanceof z.ZodError ? "the document does not have the right shape" : `${String(error)}${cause}`;
        return check(id, ifItThrows, found);
    }
}

function check(id: CheckId, state: CheckState, evidence: string): Check {
    return { id, state, evidence: evidence.replaceAll(/\s+/g, " ").slice(0, 300) };
}

function wellKnownUrl(serverName: string, kind: "client" | "server"): URL {
    // Clients take the name out of a user id and leave its port away (client-server API, "Well-known URI").
    const name = kind === "client" ? serverName.replace(/:\d+$/, "") : serverName;
    return new URL(`https://${name}/.well-known/matrix/${kind}`);
}

async function get(
    ask: NonNullable<PublicChecksArgs["fetch"]>,
    url: URL,
): Promise<{ status: number; body: unknown; headers: Headers }> {
    const response = await ask(url, { signal: AbortSignal.timeout(deadlineMilliseconds) });
    const text = await response.text();
    // A page of HTML is reported by the shape that it does not have.
    const body: unknown = response.status === 200 && text.startsWith("{") ? JSON.parse(text) : undefined;
    return { status: response.status, body, headers: response.headers };
}

/** Connects with the system's certificate authorities; a wrong name or an expired certificate is an error. */
function certificateOf(host: string, port: number): Promise<string> {
    return new Promise((resolve, reject) => {
        const socket = connect({
            host,
            port,
            ...(isIP(host) === 0 ? { servername: host } : {}),
            timeout: deadlineMilliseconds,
        });
        socket.once("secureConnect", () => {
            const { valid_to: until } = socket.getPeerCertificate();
            socket.destroy();
            resolve(`${host}:${port} has a certificate that is valid until ${until}`);
        });
        socket.once("timeout", () => socket.destroy(new Error(`${host}:${port} does not answer`)));
        socket.once("error", reject);
    });
}

function withoutSlash(url: string): string {
    return url.replace(/\/+$/, "");
}
