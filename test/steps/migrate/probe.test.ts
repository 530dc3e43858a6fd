import { createHash } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import type { Check } from "../../../contract/index.ts";
import { probe } from "../../../steps/migrate/probe.ts";
import { readCanaryTraces, writeCanaryTraces, type CanaryTraces } from "../../../engine/probe/canaryFile.ts";
import { MatrixApi } from "../../../engine/synapse/api/matrixApi.ts";
import { keyCheck } from "../../../engine/probe/serverChecks.ts";
import { prepareRunDirectory } from "../../../engine/run/runDirectory.ts";
import { doStep } from "../../../engine/run/runStep.ts";
import { parseSigningKeys, signJson, verifyKeysOf } from "../../../engine/synapse/secrets/signingKey.ts";
import { expectError } from "../../support/expectError.ts";
import { withScriptedServer, type Script, type ScriptedAnswer } from "../../support/scriptedServer.ts";
import { withWorkDirectory } from "../../support/workDirectory.ts";

const serverName = "probe.test";
const keys = parseSigningKeys("ed25519 a_Test YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1", "test");
const otherKeys = parseSigningKeys("ed25519 a_Test AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "test");
const verifyKeys = verifyKeysOf(keys);

const media = Buffer.from("media bytes");
const traces: CanaryTraces = {
    userId: `@canary:${serverName}`,
    deviceId: "DEVICE",
    accessToken: "syt_canary_access_token",
    syncToken: "s1_2",
    roomId: `!room:${serverName}`,
    eventId: "$event",
    eventBody: "hello — ünïcode",
    media: { serverName, mediaId: "abc", sha256: createHash("sha256").update(media).digest("hex") },
    guestToken: "guest_access_token",
};

function keyAnswer(signWith = keys, name = serverName): ScriptedAnswer {
    const body = {
        server_name: name,
        valid_until_ts: 1,
        verify_keys: toEndpoint(verifyKeysOf(signWith)),
        old_verify_keys: {},
    };
    return { status: 200, json: signJson(body, name, signWith[0]) };
}
const toEndpoint = (found: Record<string, string>) =>
    Object.fromEntries(Object.entries(found).map(([id, key]) => [id, { key }]));

const healthy: Script = {
    "GET /_matrix/key/v2/server": keyAnswer(),
    "GET /_matrix/client/versions": { status: 200, json: { versions: ["v1.11"] } },
    "GET /_matrix/federation/v1/version": { status: 200, json: { server: { name: "Synapse", version: "1.163.2" } } },
    "GET /_matrix/client/v3/login": { status: 200, json: { flows: [{ type: "m.login.password" }] } },
    "GET /_matrix/client/v3/account/whoami": {
        status: 200,
        json: { user_id: traces.userId, device_id: traces.deviceId },
    },
    "GET /_matrix/client/v3/sync": { status: 200, json: { next_batch: "s2" } },
    [`GET /_matrix/client/v3/rooms/${traces.roomId}/event/$event`]: {
        status: 200,
        json: { content: { body: traces.eventBody } },
    },
    [`GET /_matrix/client/v1/media/download/${serverName}/abc`]: { status: 200, bytes: media },
    "POST /_matrix/client/v3/login": { status: 200, json: { access_token: "syt_new_login_token" } },
    "POST /_matrix/client/v3/logout": { status: 200 },
    [`PUT /_matrix/client/v3/rooms/${traces.roomId}/send/m.room.message/probe-r1`]: {
        status: 200,
        json: { event_id: "$new" },
    },
    "POST /_matrix/client/v3/createRoom": { status: 200, json: { room_id: "!new" } },
};

interface Outcome {
    readonly passed: number;
    readonly warnings: Check[];
    readonly notRun: Check[];
}

async function probed(
    script: Script,
    options: { canary?: boolean; password?: string; pepper?: string; canaryContent?: string | null } = {},
): Promise<Outcome> {
    return withWorkDirectory(async (directory) =>
        withScriptedServer(script, async (baseUrl) => {
            await prepareRunDirectory(directory);
            const canaryFile = join(directory, "canary.json");
            if (typeof options.canaryContent === "string") await writeFile(canaryFile, options.canaryContent);
            else if (options.canary !== false && options.canaryContent === undefined)
                await writeCanaryTraces(canaryFile, traces);
            const spec = {
                run: { id: "r1", directory },
                serverName,
                baseUrl,
                startedAt: "2026-01-01T00:00:00.000Z",
                verifyKeys,
                ...(options.canary === false
                    ? {}
                    : { canaryFile, canaryPassword: options.password ?? "canary-password" }),
                ...(options.pepper === undefined ? {} : { pepper: options.pepper }),
            };
            const line = await doStep({
                step: probe,
                spec,
                write: () => undefined,
                signal: new AbortController().signal,
            });
            return JSON.parse(line) as Outcome;
        }),
    );
}

describe("the probe of a started target", () => {
    it("passes when every answer is the source's", async () => {
        const outcome = await probed(healthy, { pepper: "a-pepper" });
        expect(outcome).to.deep.include({ passed: 12, warnings: [], notRun: [] });
    });

    it("lists what it could not ask without a test account, and does not count it as passed", async () => {
        const outcome = await probed(healthy, { canary: false });
        expect(outcome.passed).to.equal(4);
        expect(outcome.notRun.map(({ id }) => id)).to.include.members([
            "password-pepper",
            "guest-token-macaroon",
            "old-access-token",
            "known-media",
        ]);
    });

    it("says that a login does not prove a pepper which bcrypt never sees", async () => {
        const { warnings } = await probed(healthy, { pepper: "p".repeat(72) });
        expect(warnings.map(({ id }) => id)).to.deep.equal(["password-pepper"]);
    });

    const faults: [string, string, ScriptedAnswer, string][] = [
        ["another signing key with the same id", "GET /_matrix/key/v2/server", keyAnswer(otherKeys), "server-keys"],
        ["another server name", "GET /_matrix/key/v2/server", keyAnswer(keys, "other.test"), "server-keys"],
        ["a key endpoint that fails", "GET /_matrix/key/v2/server", { status: 500 }, "server-keys"],
        [
            "an unsigned key answer",
            "GET /_matrix/key/v2/server",
            { status: 200, json: { server_name: serverName, verify_keys: toEndpoint(verifyKeys) } },
            "server-keys",
        ],
        [
            "an old token that is not known",
            "GET /_matrix/client/v3/account/whoami",
            { status: 401, json: { errcode: "M_UNKNOWN_TOKEN" } },
            "old-access-token",
        ],
        [
            "a wrong pepper",
            "POST /_matrix/client/v3/login",
            { status: 403, json: { errcode: "M_FORBIDDEN" } },
            "password-pepper",
        ],
        [
            "an altered event",
            `GET /_matrix/client/v3/rooms/${traces.roomId}/event/$event`,
            { status: 200, json: { content: { body: "hello" } } },
            "known-event",
        ],
        [
            "altered media",
            `GET /_matrix/client/v1/media/download/${serverName}/abc`,
            { status: 200, bytes: Buffer.from("other") },
            "known-media",
        ],
        ["missing media", `GET /_matrix/client/v1/media/download/${serverName}/abc`, { status: 404 }, "known-media"],
        ["a stream that cannot go on", "GET /_matrix/client/v3/sync", { status: 500 }, "old-sync-token"],
        [
            "a room that cannot be written to",
            `PUT /_matrix/client/v3/rooms/${traces.roomId}/send/m.room.message/probe-r1`,
            { status: 500 },
            "write-old-room",
        ],
        ["a room that cannot be made", "POST /_matrix/client/v3/createRoom", { status: 500 }, "write-new-room"],
    ];
    for (const [fault, request, answer, check] of faults) {
        it(`fails for ${fault}`, async () => {
            const error = await expectError("SM-E0602", () => probed({ ...healthy, [request]: answer }));
            expect(error.detail.found).to.contain(check);
        });
    }

    it("names every check where the server ends in the middle of one, and goes on with the others", async () => {
        const error = await expectError("SM-E0602", () =>
            probed({
                ...healthy,
                "GET /_matrix/client/versions": { status: 404 },
                "GET /_matrix/key/v2/server": { status: 0 },
                "GET /_matrix/client/v3/sync": { status: 0 },
            }),
        );
        const failed = error.detail.found.split("\n").map((line) => line.split(":")[0]);
        expect(failed).to.deep.equal(["server-keys", "client-versions", "old-sync-token"]);
        expect(error.detail.found).to.match(
            /server-keys: it could not be made: SM-E1106 GET .*\/_matrix\/key\/v2\/server/,
        );
    });

    it("asks the server also where what the test account has left is gone, or is something else, and quotes nothing of it", async () => {
        for (const [content, found] of [
            [undefined, "there is no such file"],
            ["syt_torn_token", "it is not what the step `canary` has written"],
        ] as const) {
            const error = await expectError("SM-E0602", () =>
                probed(
                    { ...healthy, "GET /_matrix/key/v2/server": { status: 500 } },
                    { canaryContent: content ?? null },
                ),
            );
            expect(error.detail.found).to.contain("server-keys: ").and.to.contain(`canary.json: ${found}`);
            expect(error.block).not.to.contain("syt_torn");
        }
    });

    it("says so when the server does not answer at all", async () => {
        const gone = await withScriptedServer({}, (baseUrl) => Promise.resolve(baseUrl));
        const error = await expectError("SM-E1106", () => keyCheck(new MatrixApi(gone), serverName, verifyKeys));
        expect(error.detail.where).to.contain("/_matrix/key/v2/server");
    });
});

describe("traces of the test account", () => {
    it("are read back as they were written", () =>
        withWorkDirectory(async (directory) => {
            await prepareRunDirectory(directory);
            await writeCanaryTraces(join(directory, "canary.json"), traces);
            expect(await readCanaryTraces(join(directory, "canary.json"))).to.deep.equal(traces);
        }));
});
