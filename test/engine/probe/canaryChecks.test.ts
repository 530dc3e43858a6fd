import { createHash } from "node:crypto";
import { expect } from "chai";
import type { Check } from "../../../contract/index.ts";
import { canaryChecks } from "../../../engine/probe/canaryChecks.ts";
import type { CanaryTraces } from "../../../engine/probe/canaryFile.ts";
import { MatrixApi } from "../../../engine/synapse/api/matrixApi.ts";
import { withScriptedServer, type Script } from "../../support/scriptedServer.ts";

const login = "POST /_matrix/client/v3/login";
const accepting: Script = {
    [login]: { status: 200, json: { access_token: "syt_new_login_token" } },
    "POST /_matrix/client/v3/logout": { status: 200 },
};

describe("the probe with a test account that could not leave anything behind", () => {
    const probed = (script: Script, account: { user?: string; password?: string; pepper?: string }) =>
        withScriptedServer(script, async (baseUrl) => {
            const { user, password, pepper } = account;
            const checks = await canaryChecks(
                new MatrixApi(baseUrl),
                undefined,
                { user, password, pepper },
                { runId: "r1" },
            );
            const login = checks.find(({ id }) => id === "password-pepper");
            return { login, others: checks.filter((check) => check !== login) };
        });

    it("logs in, which proves the pepper, and lists all else as not run", async () => {
        const { login, others } = await probed(accepting, {
            user: "canary",
            password: "secret",
            pepper: "pepper-9d1f",
        });
        expect(login?.state).to.equal("passed");
        expect(login?.evidence).to.contain("with the pepper");
        expect(others).to.have.length.greaterThan(5);
        for (const { id, state, evidence } of others) {
            expect(state, id).to.equal("not-run");
            expect(evidence, id).to.contain("comes as files");
        }
    });

    it("fails when the password is not accepted any more", async () => {
        const refusing = { ...accepting, [login]: { status: 403, json: { errcode: "M_FORBIDDEN" } } };
        const { login: failed } = await probed(refusing, { user: "canary", password: "secret", pepper: "pepper-9d1f" });
        expect(failed?.state).to.equal("failed");
    });

    it("says that nothing was asked without an account, or without its password", async () => {
        const none = await probed(accepting, {});
        expect(none.login).to.include({ state: "not-run" });
        expect(none.login?.evidence).to.contain("canaryUser");
        const mute = await probed(accepting, { user: "canary" });
        expect(mute.login?.state).to.equal("not-run");
    });
});

describe("the probe of media that another repository serves", () => {
    const bytes = Buffer.from("media bytes");
    const serverName = "probe.test";
    const traces: CanaryTraces = {
        ...{
            userId: `@canary:${serverName}`,
            deviceId: "D",
            accessToken: "syt_canary_of_tests",
            syncToken: "s",
            roomId: "!r",
        },
        ...{ eventId: "$e", eventBody: "b" },
        media: { serverName, mediaId: "abc", sha256: createHash("sha256").update(bytes).digest("hex") },
    };
    const path = `GET /_matrix/client/v1/media/download/${serverName}/abc`;
    const known = (script: Script): Promise<Check | undefined> =>
        withScriptedServer({}, (homeserver) =>
            withScriptedServer(script, async (baseUrl) => {
                const account = { user: undefined, password: undefined, pepper: undefined };
                const server = { runId: "r1", mediaServer: { baseUrl } };
                const checks = await canaryChecks(new MatrixApi(homeserver), traces, account, server);
                return checks.find(({ id }) => id === "known-media");
            }),
        );

    it("asks it on the path of clients, and compares what it gives", async () => {
        expect(await known({ [path]: { status: 200, bytes } })).to.include({ state: "passed" });
        const other = await known({ [path]: { status: 200, bytes: Buffer.from("other") } });
        expect(other).to.include({ state: "failed", evidence: "the download answered 200 with other bytes" });
        expect(await known({ [path]: { status: 404 } })).to.include({ state: "failed" });
    });

    it("says nothing of the media where the repository cannot tell whose token it is", async () => {
        const check = await known({ [path]: { status: 401 } });
        expect(check).to.include({ state: "warning" });
        expect(check?.evidence).to.contain("csApi");
    });

    it("is not run where nobody said where it answers", async () => {
        const checks = await withScriptedServer({}, (homeserver) =>
            canaryChecks(
                new MatrixApi(homeserver),
                traces,
                { user: undefined, password: undefined, pepper: undefined },
                { runId: "r1", mediaServer: {} },
            ),
        );
        expect(checks.find(({ id }) => id === "known-media")).to.include({ state: "not-run" });
    });
});
