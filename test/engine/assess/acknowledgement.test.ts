import { expect } from "chai";
import { unlessAcknowledged } from "../../../engine/assess/acknowledgement.ts";
import { bannedKeys } from "../../../engine/synapse/secrets/homeserverSecrets.ts";
import { bannedVerifyKeys } from "../../../engine/synapse/secrets/signingKey.ts";

const known = bannedKeys([{ id: "ed25519:0", verifyKey: (bannedVerifyKeys[0] ?? "").replace(/=+$/, "") }]);

describe("a warning that must be acknowledged", () => {
    it("blocks on a signing key that everybody has, and says how to go on nevertheless (B10)", () => {
        const [found] = known.map((finding) => unlessAcknowledged(finding, ["SM-W0704"]));
        expect(found).to.deep.include({ id: "SM-W0818", severity: "error" });
        expect(found?.fix).to.contain("acknowledge");
    });

    it("stays a warning once it is acknowledged", () => {
        expect(known.map((finding) => unlessAcknowledged(finding, ["SM-W0818"]))).to.deep.equal(known);
    });

    it("is not any other one", () => {
        const other = { id: "SM-W0507", severity: "warning" as const, evidence: "", fix: "" };
        expect(unlessAcknowledged(other, [])).to.equal(other);
    });
});
