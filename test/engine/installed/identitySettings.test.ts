import { expect } from "chai";
import { identitySettings, type MovedIdentity, type Sections } from "../../../engine/installed/identitySettings.ts";

const moved = (secrets: Sections, more: Partial<MovedIdentity> = {}): MovedIdentity => ({
    secrets,
    oldSigningKeys: {},
    signingKey: "ed25519 a_1 seed\n",
    ...more,
});

describe("what makes an installed homeserver the one that was moved", () => {
    it("is its pepper and its secrets; the rest of a section stays the installer's", () => {
        const installed = {
            password_config: { pepper: "the installer's", policy: { enabled: true } },
            macaroon_secret_key: "the installer's",
            form_secret: "the installer's",
            public_baseurl: "https://installed.test/",
        };
        const secrets = {
            password_config: { pepper: "moved", enabled: true },
            macaroon_secret_key: "m",
            form_secret: "f",
        };
        expect(identitySettings(installed, moved(secrets))).to.deep.equal({
            password_config: { policy: { enabled: true }, pepper: "moved" },
            macaroon_secret_key: "m",
            form_secret: "f",
        });
    });

    it("is no pepper where the source has none: an installer's own would keep everybody out", () => {
        const installed = { password_config: { pepper: "the installer's", enabled: true } };
        expect(identitySettings(installed, moved({ macaroon_secret_key: "m" })).password_config).to.deep.equal({
            enabled: true,
        });
        expect(identitySettings({}, moved({ macaroon_secret_key: "m" }))).not.to.have.property("password_config");
    });

    it("takes away what would be given twice, and what the source does not have", () => {
        const installed = { macaroon_secret_key_path: "/m", form_secret_path: "/f", form_secret: "f" };
        expect(identitySettings(installed, moved({ macaroon_secret_key: "m" }))).to.deep.equal({
            ...{ macaroon_secret_key: "m", macaroon_secret_key_path: null },
            ...{ form_secret: null, form_secret_path: null },
        });
    });

    it("leaves nothing that a macaroon secret would be taken from before the signing key, where the source has none", () => {
        const installed = { registration_shared_secret: "r", macaroon_secret_key: "m" };
        expect(identitySettings(installed, moved({}))).to.deep.equal({
            ...{ macaroon_secret_key: null, registration_shared_secret: null },
        });
        expect(identitySettings(installed, moved({ macaroon_secret_key: "m" }))).not.to.have.property(
            "registration_shared_secret",
        );
    });

    it("is the retired keys of the source, and none of the installed one's", () => {
        const retired = { "ed25519:old": { key: "public", expiredTs: 1_700_000_000_000 } };
        const secrets = { macaroon_secret_key: "m" };
        const found = identitySettings(
            { old_signing_keys: { other: {} } },
            moved(secrets, { oldSigningKeys: retired }),
        );
        expect(found.old_signing_keys).to.deep.equal({
            "ed25519:old": { key: "public", expired_ts: 1_700_000_000_000 },
        });
        expect(identitySettings({ old_signing_keys: { other: {} } }, moved(secrets)).old_signing_keys).to.deep.equal(
            {},
        );
        expect(identitySettings({}, moved(secrets))).not.to.have.property("old_signing_keys");
    });

    it("is the signing key itself where the installed configuration has its own in it", () => {
        expect(identitySettings({ signing_key: "ed25519 b_1 other" }, moved({})).signing_key).to.equal(
            "ed25519 a_1 seed\n",
        );
        expect(identitySettings({ signing_key_path: "/k" }, moved({}))).not.to.have.property("signing_key");
    });
});
