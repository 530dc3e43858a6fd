/** What the test account finds again on the target: each answer proves something that no other check can. */
import { createHash } from "node:crypto";
import { z } from "zod";
import type { Check } from "../../contract/index.ts";
import { askRepository } from "../media/mediaRepo/repositoryApi.ts";
import { unmade } from "../run/independentChecks.ts";
import { coversPepper } from "../synapse/password.ts";
import type { CanaryTraces } from "./canaryFile.ts";
import { deviceNames, roomName } from "./traces.ts";
import { describeAnswer, type MatrixApi } from "../synapse/api/matrixApi.ts";

interface CanaryAccount {
    /** Who to log in as where the account has left nothing behind. */
    readonly user: string | undefined;
    readonly password: string | undefined;
    readonly pepper: string | undefined;
}

interface ProbedServer {
    readonly runId: string;
    /** Who serves media where that is not the homeserver. */
    readonly mediaServer?: { readonly baseUrl?: string | undefined } | undefined;
}

interface Probe {
    readonly id: string;
    readonly run: (traces: CanaryTraces) => Promise<Omit<Check, "id">>;
}

/** How a check ended, without its name. */
export type Verdict = Omit<Check, "id">;

const passwordPepper = "password-pepper";

const passed = (evidence: string): Omit<Check, "id"> => ({ state: "passed", evidence });
const failed = (evidence: string): Omit<Check, "id"> => ({ state: "failed", evidence });
const notRun = (evidence: string): Omit<Check, "id"> => ({ state: "not-run", evidence });

/** Runs all probes of the test account; what cannot be asked is listed as not run. */
export async function canaryChecks(
    api: MatrixApi,
    traces: CanaryTraces | undefined,
    account: CanaryAccount,
    server: ProbedServer,
): Promise<Check[]> {
    const checks: Check[] = [];
    for (const { id, run } of canaryProbes(api, account, server)) {
        const probe = async (): Promise<Omit<Check, "id">> =>
            traces !== undefined
                ? run(traces)
                : id === passwordPepper && account.user !== undefined
                  ? passwordProbe(api, account.user, account)
                  : notRun(
                        account.user === undefined
                            ? "no test account is configured (config `canaryUser`)"
                            : "a source that comes as files could not be given anything to look for",
                    );
        checks.push(
            await probe().then(
                (answer) => ({ id, ...answer }),
                (error: unknown) => unmade(id, error),
            ),
        );
    }
    return checks;
}

function canaryProbes(api: MatrixApi, account: CanaryAccount, { runId, mediaServer }: ProbedServer): Probe[] {
    const room = ({ roomId }: CanaryTraces): string => `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}`;
    return [
        {
            id: "old-access-token",
            run: async ({ accessToken, userId, deviceId }) => {
                const answer = await api.ask("/_matrix/client/v3/account/whoami", { accessToken });
                const who = z.object({ user_id: z.string(), device_id: z.string() }).safeParse(answer.json).data;
                return who?.user_id === userId && who.device_id === deviceId
                    ? passed("a token from before the fence names the same user and device")
                    : failed(`whoami answered ${describeAnswer(answer)}`);
            },
        },
        {
            id: "old-sync-token",
            run: async ({ accessToken, syncToken }) => {
                const answer = await api.ask(
                    `/_matrix/client/v3/sync?timeout=0&since=${encodeURIComponent(syncToken)}`,
                    { accessToken },
                );
                return answer.status === 200
                    ? passed("a sync goes on where it was before the fence")
                    : failed(`sync answered ${describeAnswer(answer)}`);
            },
        },
        {
            id: "known-event",
            run: async (traces) => {
                const answer = await api.ask(`${room(traces)}/event/${encodeURIComponent(traces.eventId)}`, {
                    accessToken: traces.accessToken,
                });
                const body = z.object({ content: z.object({ body: z.string() }) }).safeParse(answer.json).data
                    ?.content.body;
                return body === traces.eventBody
                    ? passed("an event sent before the fence reads the same")
                    : failed(`the event was answered with ${describeAnswer(answer)}`);
            },
        },
        {
            id: "known-media",
            run: async ({ accessToken, media }) => {
                const path = `/_matrix/client/v1/media/download/${encodeURIComponent(media.serverName)}/${encodeURIComponent(media.mediaId)}`;
                if (mediaServer !== undefined) return mediaProbe(mediaServer.baseUrl, path, { accessToken, media });
                const answer = await api.ask(path, { accessToken });
                const digest = createHash("sha256").update(answer.bytes).digest("hex");
                return answer.status === 200 && digest === media.sha256
                    ? passed("media uploaded before the fence has the same SHA-256")
                    : failed(
                          `the download answered ${describeAnswer(answer)}${answer.status === 200 ? " with other bytes" : ""}`,
                      );
            },
        },
        { id: passwordPepper, run: ({ userId }) => passwordProbe(api, userId, account) },
        {
            id: "guest-token-macaroon",
            run: async ({ guestToken }) => {
                if (guestToken === undefined)
                    return notRun(
                        "the source gives no guest tokens, the only ones that macaroon_secret_key signs for good",
                    );
                const answer = await api.ask("/_matrix/client/v3/account/whoami", { accessToken: guestToken });
                return answer.status === 200
                    ? passed("a guest token from before the fence is accepted")
                    : failed(`whoami of a guest answered ${describeAnswer(answer)}`);
            },
        },
        {
            id: "write-old-room",
            run: async (traces) => {
                const path = `${room(traces)}/send/m.room.message/probe-${runId}`;
                const answer = await api.ask(path, {
                    method: "PUT",
                    accessToken: traces.accessToken,
                    body: { msgtype: "m.notice", body: "probe" },
                });
                return answer.status === 200
                    ? passed("an event was sent into a room from before the fence")
                    : failed(`sending answered ${describeAnswer(answer)}`);
            },
        },
        {
            id: "write-new-room",
            run: async ({ accessToken }) => {
                const body = { preset: "private_chat", name: roomName("probe", runId) };
                const answer = await api.ask("/_matrix/client/v3/createRoom", { method: "POST", accessToken, body });
                return answer.status === 200
                    ? passed("a room was created")
                    : failed(`createRoom answered ${describeAnswer(answer)}`);
            },
        },
    ];
}

/**
 * Asks the repository on the path that clients use. It asks the homeserver whose token it is, at the address in its own configuration: while
 * that is the closed gateway, it cannot tell, which says nothing of the media.
 */
export async function mediaProbe(
    baseUrl: string | undefined,
    path: string,
    { accessToken, media }: Pick<CanaryTraces, "accessToken" | "media">,
): Promise<Omit<Check, "id">> {
    if (baseUrl === undefined)
        return notRun("another repository serves the media, and its address is not configured (target.media.baseUrl)");
    const { status, bytes } = await askRepository(baseUrl, media.serverName, { method: "GET", path, accessToken });
    const isSame = createHash("sha256").update(bytes).digest("hex") === media.sha256;
    if (status === 200 && isSame) return passed("media uploaded before the fence has the same SHA-256");
    if (status === 200 || status === 404)
        return failed(`the download answered ${status}${status === 200 ? " with other bytes" : ""}`);
    return {
        state: "warning",
        evidence: `the download answered ${status}: does csApi of matrix-media-repo's configuration lead to the target?`,
    };
}

/** A login proves the pepper only while password and pepper together stay within bcrypt's 72 bytes. */
async function passwordProbe(
    api: MatrixApi,
    user: string,
    { password, pepper }: CanaryAccount,
): Promise<Omit<Check, "id">> {
    if (password === undefined) return notRun("the password of the test account is not given");
    const body = {
        type: "m.login.password",
        identifier: { type: "m.id.user", user },
        password,
        initial_device_display_name: deviceNames.probe,
    };
    const answer = await api.ask("/_matrix/client/v3/login", { method: "POST", body });
    const token = z.object({ access_token: z.string() }).safeParse(answer.json).data?.access_token;
    if (token === undefined) return failed(`the login answered ${describeAnswer(answer)}`);
    await api.ask("/_matrix/client/v3/logout", { method: "POST", accessToken: token, body: {} });
    return passwordVerdict(true, { password, pepper });
}

/** @param accepted  whether the homeserver has let the account in */
export function passwordVerdict(
    accepted: boolean,
    { password, pepper }: { readonly password: string; readonly pepper: string | undefined },
): Verdict {
    if (!accepted) return failed("the login with the password of the test account was refused");
    if (pepper === undefined || pepper === "")
        return passed("the password of the test account is accepted; the source has no pepper");
    if (coversPepper(password, pepper)) return passed("the password of the test account is accepted, with the pepper");
    return {
        state: "warning",
        evidence: "the login works, but password and pepper exceed 72 bytes together: it does not prove the pepper",
    };
}
