import { expect } from "chai";
import { canaryChecks } from "../../../steps/probe/canaryChecks.ts";
import { MatrixApi } from "../../../steps/probe/matrixApi.ts";
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
            const checks = await canaryChecks(new MatrixApi(baseUrl), undefined, { user, password, pepper }, { runId: "r1" });
            const login = checks.find(({ id }) => id === "password-pepper");
            return { login, others: checks.filter((check) => check !== login) };
        });

    it("logs in, which proves the pepper, and lists all else as not run", async () => {
        const { login, others } = await probed(accepting, { user: "canary", password: "secret", pepper: "pepper" });
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
        const { login: failed } = await probed(refusing, { user: "canary", password: "secret", pepper: "pepper" });
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
