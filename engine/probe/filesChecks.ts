/**
 * The probe of a homeserver that came as files: the test account could leave nothing behind, so it looks for what the database names, and tries
 * what every user does. What it makes on the way has the names of {@link removeTraces}.
 */
import { createHash, randomBytes } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import type { Check } from "../../contract/index.ts";
import { withClient, type DatabaseAddress } from "../postgres/connection.ts";
import { logIn } from "../synapse/api/login.ts";
import { describeAnswer, type MatrixApi, type MatrixRequest } from "../synapse/api/matrixApi.ts";
import { mediaProbe, passwordVerdict, type Verdict } from "./canaryChecks.ts";
import { namedEvent, namedMedia, namedTokens, type NamedMedium } from "./namedByDatabase.ts";
import { canaryMedium, deviceNames, roomName } from "./traces.ts";

export interface FilesProbe {
    readonly api: MatrixApi;
    /** The homeserver's database, under the name that Synapse uses. */
    readonly address: DatabaseAddress;
    readonly serverName: string;
    readonly runId: string;
    readonly account: { readonly user: string; readonly password: string; readonly pepper: string | undefined };
    /** Media without files are accepted, or none came with the source. */
    readonly mayLackMedia: boolean;
    /** Who serves media where that is not the homeserver. */
    readonly mediaServer: { readonly baseUrl?: string | undefined } | undefined;
}

const passed = (evidence: string): Verdict => ({ state: "passed", evidence });
const failed = (evidence: string): Verdict => ({ state: "failed", evidence });
const warned = (evidence: string): Verdict => ({ state: "warning", evidence });
const notRun = (evidence: string): Verdict => ({ state: "not-run", evidence });

type LoggedIn = FilesProbe & { readonly userId: string; readonly accessToken: string };

/** @throws MigrationError SM-E1106 when the homeserver does not answer, and those of `withClient` */
export async function filesChecks(probe: FilesProbe): Promise<Check[]> {
    const { api, account } = probe;
    const login = await logIn(api, { ...account, device: deviceNames.probe });
    const pepper = { id: "password-pepper", ...passwordVerdict(login !== undefined, account) };
    const checks: Check[] = [pepper];
    for (const [id, run] of probes) {
        const verdict =
            login === undefined ? notRun("the test account could not log in") : await run({ ...probe, ...login });
        checks.push({ id, ...verdict });
    }
    if (login !== undefined)
        await ask(api, login.accessToken, "/_matrix/client/v3/logout", { method: "POST", body: {} });
    return checks;
}

const probes: readonly (readonly [string, (probe: LoggedIn) => Promise<Verdict>])[] = [
    ["old-access-token", oldToken],
    ["old-sync-token", () => Promise.resolve(notRun("a source that comes as files could not be asked for one"))],
    ["known-event", knownEvent],
    ["known-media", knownMedia],
    [
        "guest-token-macaroon",
        () =>
            Promise.resolve(
                notRun(
                    "files hold nothing that macaroon_secret_key has signed; the assessment compares it with homeserver.yaml",
                ),
            ),
    ],
    ["write-new-room", newRoom],
    ["upload-media", upload],
];

function ask(api: MatrixApi, accessToken: string, path: string, request: MatrixRequest = {}) {
    return api.ask(path, { ...request, accessToken });
}

/** No token but the test account's own is used. */
async function oldToken({ api, address, userId }: LoggedIn): Promise<Verdict> {
    const { own, withDevice, withToken } = await named(address, (client) =>
        namedTokens(client, userId, Object.values(deviceNames)),
    );
    if (withDevice > 0 && withToken === 0)
        return warned(
            `none of ${withDevice} accounts with a device has an access token in the database: unless another program gives tokens, everybody is logged out`,
        );
    if (own === undefined) return notRun("the database has no token of the test account, and others' are not used");
    const answer = await ask(api, own.token, "/_matrix/client/v3/account/whoami");
    const who = z.object({ user_id: z.string(), device_id: z.string().optional() }).safeParse(answer.json).data;
    return who?.user_id === userId && (who.device_id ?? null) === own.deviceId
        ? passed("a token of the test account that the database names is accepted, with its device")
        : failed(`whoami answered ${describeAnswer(answer)} to a token of the test account that the database names`);
}

async function knownEvent({ api, address, userId, accessToken }: LoggedIn): Promise<Verdict> {
    const event = await named(address, (client) => namedEvent(client, userId));
    if (event === undefined) return notRun("the test account is in no room with a message from after it came there");
    const room = `/_matrix/client/v3/rooms/${encodeURIComponent(event.roomId)}`;
    const answer = await ask(api, accessToken, `${room}/event/${encodeURIComponent(event.eventId)}`);
    const content = z.object({ content: z.unknown() }).safeParse(answer.json).data?.content;
    return answer.status === 200 && isDeepStrictEqual(content, event.content)
        ? passed("an event that the database names reads the same")
        : failed(`the event was answered with ${describeAnswer(answer)}`);
}

async function knownMedia(probe: LoggedIn): Promise<Verdict> {
    const media = await named(probe.address, namedMedia);
    if (media.length === 0) return notRun("the database names no media");
    const problems: string[] = [];
    for (const medium of media) problems.push(...(await downloaded(probe, medium)));
    const right = media.length - problems.length;
    if (problems.length === 0) return passed(`the newest ${right} media that the database names are served as it says`);
    const evidence = `of the newest ${media.length} media that the database names: ${problems.join("; ")}`;
    const isMissing = problems.every((problem) => problem.includes("404"));
    return probe.mayLackMedia && isMissing
        ? warned(`${evidence}; media without a file are accepted`)
        : failed(evidence);
}

/** What is wrong with a medium. */
async function downloaded(probe: LoggedIn, { mediaId, length, sha256 }: NamedMedium): Promise<string[]> {
    const { api, accessToken, serverName, mediaServer } = probe;
    const path = `/_matrix/client/v1/media/download/${encodeURIComponent(serverName)}/${encodeURIComponent(mediaId)}`;
    if (mediaServer !== undefined) {
        if (sha256 === null) return [];
        const verdict = await mediaProbe(mediaServer.baseUrl, path, {
            accessToken,
            media: { serverName, mediaId, sha256 },
        });
        return verdict.state === "passed" ? [] : [`${mediaId}: ${verdict.evidence}`];
    }
    const answer = await ask(api, accessToken, path);
    if (answer.status !== 200) return [`${mediaId}: ${describeAnswer(answer)}`];
    const digest = createHash("sha256").update(answer.bytes).digest("hex");
    const isSame = answer.bytes.length === length && (sha256 === null || sha256 === digest);
    return isSame ? [] : [`${mediaId}: 200 with other bytes`];
}

async function newRoom({ api, accessToken, runId }: LoggedIn): Promise<Verdict> {
    const body = { preset: "private_chat", name: roomName("probe", runId) };
    const created = await ask(api, accessToken, "/_matrix/client/v3/createRoom", { method: "POST", body });
    const room = z.object({ room_id: z.string() }).safeParse(created.json).data?.room_id;
    if (room === undefined) return failed(`createRoom answered ${describeAnswer(created)}`);
    const path = `/_matrix/client/v3/rooms/${encodeURIComponent(room)}`;
    const message = { msgtype: "m.text", body: `probe ${randomBytes(12).toString("hex")} — ünïcode` };
    const sent = await ask(api, accessToken, `${path}/send/m.room.message/probe-${runId}`, {
        method: "PUT",
        body: message,
    });
    const eventId = z.object({ event_id: z.string() }).safeParse(sent.json).data?.event_id;
    if (eventId === undefined) return failed(`sending answered ${describeAnswer(sent)}`);
    const read = await ask(api, accessToken, `${path}/event/${encodeURIComponent(eventId)}`);
    const content = z.object({ content: z.object({ body: z.string() }) }).safeParse(read.json).data?.content;
    return content?.body === message.body
        ? passed("a room was created, and a message was sent there and read")
        : failed(`reading the message answered ${describeAnswer(read)}`);
}

async function upload({ api, accessToken, serverName, mediaServer }: LoggedIn): Promise<Verdict> {
    // What it would leave there only its own administrator could remove.
    if (mediaServer !== undefined) return notRun("another repository serves the media");
    const content = new Uint8Array(randomBytes(canaryMedium.bytes));
    const answer = await ask(api, accessToken, `/_matrix/media/v3/upload?filename=${canaryMedium.name}`, {
        ...{ method: "POST", bytes: { content, type: canaryMedium.type } },
    });
    const uri = z.object({ content_uri: z.string() }).safeParse(answer.json).data?.content_uri;
    const mediaId = uri?.split("/").at(-1);
    if (mediaId === undefined) return failed(`the upload answered ${describeAnswer(answer)}`);
    const path = `/_matrix/client/v1/media/download/${encodeURIComponent(serverName)}/${encodeURIComponent(mediaId)}`;
    const back = await ask(api, accessToken, path);
    return back.status === 200 && Buffer.from(back.bytes).equals(Buffer.from(content))
        ? passed("a medium was uploaded, and comes back byte for byte")
        : failed(`the download of an uploaded medium answered ${describeAnswer(back)}`);
}

function named<T>(address: DatabaseAddress, work: Parameters<typeof withClient<T>>[2]): Promise<T> {
    return withClient(address, { step: "probe", readOnly: true }, work);
}
