/** Has a test account leave traces on the running source: tokens, an event, media. The probe looks for them on the target. */
import { createHash, randomBytes } from "node:crypto";
import { join } from "node:path";
import { z } from "zod";
import { removePrivateFile } from "../../engine/run/atomicFile.ts";
import { canaryContract, type SelfHostedSource } from "../../contract/index.ts";
import { sourceAddress } from "../../engine/postgres/databases/sourceDatabase.ts";
import { readCanaryTraces, writeCanaryTraces, type CanaryTraces } from "../../engine/probe/canaryFile.ts";
import {
    describeAnswer,
    MatrixApi,
    type MatrixAnswer,
    type MatrixRequest,
} from "../../engine/synapse/api/matrixApi.ts";
import { ownBaseUrl } from "../../engine/synapse/api/ownApi.ts";
import { canaryMedium, deviceNames, removeTraces, roomName, userIdOf } from "../../engine/probe/traces.ts";
import { MigrationError } from "../../engine/run/errors.ts";
import { defineStep, type StepRun } from "../../engine/run/step.ts";
import { isCommitted } from "../../engine/run/stepState.ts";
import { readSourceConfig } from "../../engine/synapse/config/sourceConfig.ts";

const canaryFile = (run: { readonly directory: string }): string => join(run.directory, "canary.json");

export const canary = defineStep(
    canaryContract,
    async ({ source, baseUrl, user, password }, run) => {
        const api = new MatrixApi(baseUrl ?? (await clientBaseUrl(source)));
        const notLeft: string[] = [];
        await run.recorded("traces", async () => {
            const traces = await leaveTraces(api, user, password, run, notLeft);
            await writeCanaryTraces(canaryFile(run), traces);
        });
        const { userId, guestToken } = await readCanaryTraces(canaryFile(run));
        if (guestToken === undefined && notLeft.length === 0) notLeft.push("a guest token");
        return { canaryFile: canaryFile(run), userId, notLeft };
    },
    async (spec, run) => {
        // Of a target that may be thrown away even then: its source never serves again, and nobody asks it.
        if (isCommitted(await run.journal.read())) {
            run.progress.say("what the test account left stays on the source, which was left for good");
            await removePrivateFile(canaryFile(run));
            return;
        }
        const traces = await readCanaryTraces(canaryFile(run)).catch(() => undefined);
        const left = await removeFromSource(spec, traces, run).catch(reasons);
        run.signal.throwIfAborted();
        if (left.length > 0) {
            const alone = traces === undefined ? [] : await leaveByItself(spec, traces).catch(reasons);
            run.progress.note(`what the test account left stays on the source: ${[...left, ...alone].join("; ")}`);
        }
        await removePrivateFile(canaryFile(run));
    },
);

type CanarySpec = Pick<z.infer<typeof canaryContract.spec>, "source" | "baseUrl" | "user">;
const reasons = (error: unknown): readonly string[] => [error instanceof Error ? error.message : String(error)];

/**
 * Also what attempts that were killed, and earlier moves that came to nothing, have left. By the source's own listener, as a proxy in front of
 * it may keep the admin API to itself.
 *
 * @returns what is still there
 */
async function removeFromSource(
    { source, baseUrl, user }: CanarySpec,
    traces: CanaryTraces | undefined,
    run: StepRun,
): Promise<readonly string[]> {
    const { serverName } = source;
    const config = await readSourceConfig(source);
    // An account that may remove them would have to be written into its file, which is only read.
    if (config.database.kind === "sqlite") return ["its rows are in an SQLite file, which is not written to"];
    const own = (await ownBaseUrl(config)) ?? baseUrl;
    const api = new MatrixApi(own ?? (await clientBaseUrl(source)));
    const args = { address: await sourceAddress(source), serverName, api, step: "canary" };
    return (await removeTraces(args, traces?.userId ?? userIdOf(user, serverName), run)).left;
}

/** What an account may do itself: its session ends, and its room is in nobody's list. */
async function leaveByItself({ source, baseUrl }: CanarySpec, traces: CanaryTraces): Promise<readonly string[]> {
    const api = new MatrixApi(baseUrl ?? (await clientBaseUrl(source)));
    const room = `/_matrix/client/v3/rooms/${encodeURIComponent(traces.roomId)}`;
    for (const path of [`${room}/leave`, `${room}/forget`, "/_matrix/client/v3/logout"])
        await api.ask(path, { method: "POST", accessToken: traces.accessToken, body: {} });
    return ["the account has left and forgotten its room and is logged out"];
}

const loginAnswer = z.object({ user_id: z.string(), device_id: z.string(), access_token: z.string() });

async function leaveTraces(
    api: MatrixApi,
    user: string,
    password: string,
    run: StepRun,
    notLeft: string[],
): Promise<CanaryTraces> {
    const asked = async <T>(shape: z.ZodType<T>, path: string, request: MatrixRequest): Promise<T> =>
        parsed(shape, path, await api.ask(path, request));
    const login = await asked(loginAnswer, "/_matrix/client/v3/login", {
        method: "POST",
        body: {
            type: "m.login.password",
            identifier: { type: "m.id.user", user },
            password,
            initial_device_display_name: deviceNames.canary,
        },
    });
    const accessToken = login.access_token;
    const { room_id: roomId } = await asked(z.object({ room_id: z.string() }), "/_matrix/client/v3/createRoom", {
        method: "POST",
        accessToken,
        body: { preset: "private_chat", name: roomName("canary", run.id) },
    });
    const eventBody = `canary ${randomBytes(12).toString("hex")} — ünïcode 🐤\nand a second line with a \\ backslash`;
    const { event_id: eventId } = await asked(
        z.object({ event_id: z.string() }),
        `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/send/m.room.message/canary-${run.id}`,
        { method: "PUT", accessToken, body: { msgtype: "m.text", body: eventBody } },
    );
    const content = new Uint8Array(randomBytes(canaryMedium.bytes));
    const { content_uri: uri } = await asked(
        z.object({ content_uri: z.string() }),
        `/_matrix/media/v3/upload?filename=${canaryMedium.name}`,
        {
            method: "POST",
            accessToken,
            bytes: { content, type: canaryMedium.type },
        },
    );
    const [, serverName = "", mediaId = ""] = /^mxc:\/\/([^/]+)\/(.+)$/.exec(uri) ?? [];
    const { next_batch: syncToken } = await asked(
        z.object({ next_batch: z.string() }),
        "/_matrix/client/v3/sync?timeout=0",
        { accessToken },
    );
    const guest = await api.ask("/_matrix/client/v3/register?kind=guest", {
        method: "POST",
        body: { initial_device_display_name: deviceNames.canary },
    });
    const guestToken = z.object({ access_token: z.string() }).safeParse(guest.json).data?.access_token;
    if (guestToken === undefined) notLeft.push(`a guest token: the source answered ${describeAnswer(guest)}`);
    return {
        userId: login.user_id,
        deviceId: login.device_id,
        accessToken,
        syncToken,
        roomId,
        eventId,
        eventBody,
        media: { serverName, mediaId, sha256: createHash("sha256").update(content).digest("hex") },
        ...(guestToken === undefined ? {} : { guestToken }),
    };
}

function parsed<T>(shape: z.ZodType<T>, path: string, answer: MatrixAnswer): T {
    const result = shape.safeParse(answer.json);
    if (answer.status === 200 && result.success) return result.data;
    throw new MigrationError("SM-E0604", {
        where: `the source homeserver, ${path.split("?")[0] ?? path}`,
        found: `the answer ${describeAnswer(answer)}`,
        expected: "200 for the test account",
        changed: "the test account may have a new device or room on the source",
    });
}

async function clientBaseUrl(source: SelfHostedSource): Promise<string> {
    const url = await ownBaseUrl(await readSourceConfig(source));
    if (url !== undefined) return url;
    throw new MigrationError("SM-E0604", {
        where: source.homeserverConfig.join(", "),
        found: "no listener of type http with the resource `client`",
        expected: "one that the test account can be used through",
    });
}
