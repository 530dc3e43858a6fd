/** Asks a running matrix-media-repo: it knows which homeserver is meant by the `Host` header alone. */
import { once } from "node:events";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { buffer } from "node:stream/consumers";
import { MigrationError } from "../../run/errors.ts";
import { registerSecret } from "../../run/redaction.ts";

export interface RepositoryAnswer {
    readonly status: number;
    readonly bytes: Buffer;
}

const deadlineMilliseconds = 30_000;

export interface RepositoryRequest {
    readonly method: "GET" | "POST";
    readonly path: string;
    readonly accessToken: string;
}

/** Quarantines media, and all other media with the same bytes (matrix-media-repo, docs/admin.md and tasks/task_runner/quarantine.go). */
export const quarantinePath = (serverName: string, mediaId: string): string =>
    `/_matrix/media/unstable/admin/quarantine/${encodeURIComponent(serverName)}/${encodeURIComponent(mediaId)}`;

/** Takes media away for good. */
export const purgeMediaPath = (serverName: string, mediaId: string): string =>
    `/_matrix/media/unstable/admin/purge/media/${encodeURIComponent(serverName)}/${encodeURIComponent(mediaId)}`;

/**
 * @param baseUrl  where it answers
 * @param serverName  which of its homeservers is meant
 * @throws MigrationError SM-E1106 when no answer comes within 30 s
 */
export async function askRepository(
    baseUrl: string,
    serverName: string,
    { method, path, accessToken }: RepositoryRequest,
): Promise<RepositoryAnswer> {
    registerSecret(accessToken);
    const url = new URL(`${baseUrl.replace(/\/+$/, "")}${path}`);
    const send = url.protocol === "https:" ? httpsRequest : httpRequest;
    try {
        const request = send(url, {
            method,
            headers: { host: serverName, authorization: `Bearer ${accessToken}`, connection: "close" },
            signal: AbortSignal.timeout(deadlineMilliseconds),
        });
        request.end();
        const [response] = (await once(request, "response")) as [IncomingMessage];
        return { status: response.statusCode ?? 0, bytes: await buffer(response) };
    } catch (error) {
        throw new MigrationError("SM-E1106", {
            where: `${method} ${url.origin}${url.pathname}`,
            found: error instanceof Error ? error.message : String(error),
            expected: `an answer of matrix-media-repo within ${deadlineMilliseconds / 1000} s`,
        });
    }
}
