/** Asks an installed homeserver, by the way through its machine, who it is. */
import { z } from "zod";
import type { SelfHostedSource } from "../../contract/source.ts";
import { placeOn } from "../machines/placeOn.ts";
import { MigrationError } from "../run/errors.ts";
import { until } from "../run/until.ts";
import { MatrixApi } from "../synapse/api/matrixApi.ts";
import { ownBaseUrl } from "../synapse/api/ownApi.ts";
import type { HomeserverConfig } from "../synapse/config/homeserverConfig.ts";
import { readSourceConfig } from "../synapse/config/sourceConfig.ts";

const shownKeys = z.looseObject({
    server_name: z.string(),
    verify_keys: z.record(z.string(), z.looseObject({ key: z.string() })),
});
const versions = "/_matrix/client/versions";
const versionPath = "/_matrix/federation/v1/version";
const againSeconds = 120;
const shownVersion = z.object({ server: z.object({ version: z.string() }) });

/** @throws MigrationError SM-E1601 for a homeserver that no client can ask */
export async function installedBaseUrl(deployment: SelfHostedSource): Promise<string> {
    const config = await readSourceConfig(deployment);
    refuseUnasked(config);
    const url = await ownBaseUrl(config);
    if (url === undefined) throw new Error("a listener for clients has no address");
    return url;
}

/** Of one that runs, or does not. @throws MigrationError SM-E1601 for a homeserver that no client can ask */
export function refuseUnasked(config: HomeserverConfig): void {
    if (config.clientBaseUrl !== undefined) return;
    throw new MigrationError("SM-E1601", {
        where: placeOn(config.machine, config.files.join(", ")),
        found: "no listener of type http with the resource `client`",
        expected: "a main process that answers clients",
        changed: "nothing",
    });
}

/** Of a target of whatever kind. @throws MigrationError SM-E1601 */
export async function targetBaseUrl({
    baseUrl,
    deployment,
}: {
    readonly baseUrl: string;
    readonly deployment?: SelfHostedSource | undefined;
}): Promise<string> {
    return deployment === undefined ? baseUrl : installedBaseUrl(deployment);
}

/** Of the Synapse that runs there: `1.163.2`; undefined where none answers. */
export async function runningVersion(deployment: SelfHostedSource): Promise<string | undefined> {
    const url = await installedBaseUrl(deployment).catch(noneOfStopped);
    if (url === undefined) return undefined;
    return versionIn((await new MatrixApi(url).ask(versionPath).catch(() => undefined))?.json);
}

/** A container that does not run has no address. */
function noneOfStopped(error: unknown): undefined {
    if (error instanceof MigrationError && error.code === "SM-E1475") return undefined;
    throw error;
}

// Its build may be told behind it.
const versionIn = (answer: unknown): string | undefined =>
    shownVersion.safeParse(answer).data?.server.version.split(" ")[0];

/** What it calls itself to its clients. */
export async function publicUrl(deployment: SelfHostedSource): Promise<string> {
    const { publicBaseUrl, serverName } = await readSourceConfig(deployment);
    return publicBaseUrl ?? `https://${serverName}/`;
}

/** Waits until it answers again as it did. @throws MigrationError SM-E0712 */
export async function requireShownAgain(deployment: SelfHostedSource, signal: AbortSignal): Promise<void> {
    const api = new MatrixApi(await installedBaseUrl(deployment));
    await until(
        async () => (await api.ask(versions).catch(() => undefined))?.status === 200 || undefined,
        { seconds: againSeconds, signal },
        () =>
            new MigrationError("SM-E0712", {
                where: deployment.serverName,
                found: `the installed homeserver was started and does not answer after ${againSeconds} s`,
                expected: `200 from ${versions}`,
                changed: "it was started as it ran before",
            }),
    );
}

/**
 * Waits until it answers and shows the keys that it is to have.
 *
 * @returns its version
 * @throws MigrationError SM-E1605
 */
export async function requireShown(
    deployment: SelfHostedSource,
    verifyKeys: Readonly<Record<string, string>>,
    { seconds, signal }: { readonly seconds: number; readonly signal: AbortSignal },
): Promise<string> {
    const api = new MatrixApi(await installedBaseUrl(deployment));
    let found = "nothing answers";
    const version = await until(
        async () => {
            const answer = await api.ask("/_matrix/key/v2/server").catch(() => undefined);
            const shown = shownKeys.safeParse(answer?.json);
            if (!shown.success) {
                found = answer === undefined ? "nothing answers" : `/_matrix/key/v2/server answers ${answer.status}`;
                return undefined;
            }
            const keys = Object.entries(shown.data.verify_keys).map(([id, { key }]) => `${id} ${key}`);
            found = `server ${shown.data.server_name} with ${keys.join(", ")}`;
            const isRight = Object.entries(verifyKeys).every(([id, key]) => keys.includes(`${id} ${key}`));
            if (!isRight || shown.data.server_name !== deployment.serverName) return false;
            return versionIn((await api.ask(versionPath).catch(() => undefined))?.json) ?? "unknown";
        },
        { seconds, signal },
    );
    if (typeof version === "string") return version;
    const expected = Object.entries(verifyKeys).map(([id, key]) => `${id} ${key}`);
    throw new MigrationError("SM-E1605", {
        where: deployment.serverName,
        found,
        expected: `server ${deployment.serverName} with ${expected.join(", ")}`,
        changed: "the installed homeserver was started with the moved identity",
    });
}
