/** Asks through the gateway, as a client would. */
import { gatewayHeader } from "./server.ts";
import { parseJson } from "../run/parseJson.ts";

const askMilliseconds = 5000;

export interface GatewayAnswer {
    readonly status: number;
    /** Whether the gateway itself answered because it is closed. */
    readonly closed: boolean;
    /** Undefined when it is not JSON. */
    readonly body: unknown;
}

/** Undefined when nothing answers. */
export async function askGateway(
    baseUrl: string,
    path: string,
    signal?: AbortSignal,
): Promise<GatewayAnswer | undefined> {
    const deadline = AbortSignal.timeout(askMilliseconds);
    try {
        const response = await fetch(new URL(path, baseUrl), {
            redirect: "manual",
            headers: { connection: "close" },
            signal: signal === undefined ? deadline : AbortSignal.any([deadline, signal]),
        });
        const text = await response.text();
        return {
            status: response.status,
            closed: response.headers.get(gatewayHeader) === "closed",
            body: parseJson(text),
        };
    } catch {
        signal?.throwIfAborted();
        return undefined;
    }
}
