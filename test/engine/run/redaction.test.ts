import { expect } from "chai";
import fc from "fast-check";
import { redact, registerSecret } from "../../../engine/run/redaction.ts";

describe("redaction", () => {
    it("removes a secret, each of its lines, and its forms in URLs, JSON and base64", () => {
        const secret = 'first "line" of it\nsecond/line+of it';
        registerSecret(secret);
        const forms = [
            secret,
            "second/line+of it",
            encodeURIComponent("second/line+of it"),
            JSON.stringify(secret),
            Buffer.from(secret).toString("base64"),
            Buffer.from(secret).toString("base64url"),
        ];
        for (const form of forms)
            expect(redact(`before ${form} after`))
                .to.match(/^before "?\[secret\].* after$/s)
                .and.not.contain("line");
    });

    it("removes the seed out of a signing key line", () => {
        registerSecret("ed25519 a_AbCd AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
        expect(redact("seed AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA!")).to.equal("seed [secret]!");
    });

    it("leaves text alone that holds none", () => {
        fc.assert(fc.property(fc.stringMatching(/^[0-9 ]{0,40}$/), (text) => redact(text) === text));
    });

    it("never lets a registered secret through, whatever surrounds it", () => {
        fc.assert(
            fc.property(fc.string({ minLength: 8 }), fc.string(), fc.string(), (random, before, after) => {
                // Registered secrets stay so in this process, so that innocent words must not become any.
                const secret = `redaction-test-${random}`;
                registerSecret(secret);
                return !redact(`${before}${secret}${after}`).includes(secret);
            }),
            { numRuns: 50 },
        );
    });
});
