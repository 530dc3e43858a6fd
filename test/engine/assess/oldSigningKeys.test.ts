import { expect } from "chai";
import type { AssessmentContext } from "../../../engine/assess/check.ts";
import { identityChecks } from "../../../engine/assess/identityChecks.ts";
import { oldSigningKeyFindings } from "../../../engine/assess/oldSigningKeys.ts";

const current = [{ id: "ed25519:a_now", verifyKey: "bm93" }];
const now = Date.UTC(2026, 0, 1);
const found = (id: string, expiredTs: number, key = "b2xk"): [string, string][] =>
    oldSigningKeyFindings({ [id]: { key, expiredTs } }, current, now).map((one) => [one.id, one.evidence]);

describe("old signing keys (P06)", () => {
    it("are fine when they were retired before now", () => {
        expect(found("ed25519:a_old", 1_700_000_000_000)).to.deep.equal([]);
        expect(found("ed25519:a_old", now)).to.deep.equal([]);
        expect(oldSigningKeyFindings({}, current, now)).to.deep.equal([]);
    });

    it("with a time in seconds are SM-W0551, which says what time that is", () => {
        const [[id, evidence] = ["", ""], ...more] = found("ed25519:a_old", 1_700_000_000);
        expect([id, more]).to.deep.equal(["SM-W0551", []]);
        expect(evidence).to.contain("1970-01-20").and.to.contain("were it seconds, 2023-11-14");
        expect(found("ed25519:a_old", 0)[0]?.[1]).to.contain("1970-01-01").and.not.to.contain("were it seconds");
    });

    it("with a time to come are SM-W0551, also where it is no time", () => {
        expect(found("ed25519:a_old", now + 1).map(([id]) => id)).to.deep.equal(["SM-W0551"]);
        expect(found("ed25519:a_old", Number.MAX_SAFE_INTEGER)[0]?.[1]).to.contain("no time at all");
    });

    it("that still sign are SM-E0550: by their id, and by their public key under another id, padded or not", () => {
        expect(found("ed25519:a_now", 1_700_000_000_000).map(([id]) => id)).to.deep.equal(["SM-E0550"]);
        const [[id, evidence] = ["", ""]] = found("ed25519:a_other", 1_700_000_000_000, "bm93==");
        expect(id).to.equal("SM-E0550");
        expect(evidence).to.contain("whose public key is that of ed25519:a_now");
    });

    it("are looked at in every assessment of a source that runs", async () => {
        const oldSigningKeys = { "ed25519:a_now": { key: "b2xk", expiredTs: 1_700_000_000_000 } };
        const context = { config: { oldSigningKeys }, secrets: { signingKeys: current } };
        const check = identityChecks.find(({ id }) => id === "old-signing-keys");
        const seen = await check?.run(context as unknown as AssessmentContext);
        expect(seen).to.have.nested.property("[0].id", "SM-E0550");
        expect(check?.cost, "in a preview, too").to.equal("cheap");
    });
});
