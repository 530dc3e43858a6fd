/** Asks the source's own API, on whatever machine the source is. */
import { sourceMachine } from "../machines/sourceMachine.ts";
import type { SelfHostedSource } from "../../contract/index.ts";
import { MatrixApi } from "../synapse/api/matrixApi.ts";
import { socketScheme } from "../synapse/config/listeners.ts";

/**
 * @param baseUrl  where clients reach Synapse from its own machine; undefined where it has no listener for them
 * @returns undefined where it cannot be asked: also on another machine when it listens on a Unix socket, or with TLS of its own
 */
export async function sourceApi(source: SelfHostedSource, baseUrl: string | undefined): Promise<MatrixApi | undefined> {
    if (baseUrl === undefined) return undefined;
    const machine = sourceMachine(source);
    if (machine.isHere) return new MatrixApi(baseUrl);
    const { protocol, hostname, port } = new URL(baseUrl);
    if (protocol !== "http:") return undefined;
    const reached = await machine.reach({ host: hostname.replace(/^\[|\]$/g, ""), port: Number(port || "80") });
    return new MatrixApi(`${socketScheme}${encodeURIComponent(`${reached.host}/.s.PGSQL.${reached.port}`)}`);
}
