import { expect } from "chai";
import fc from "fast-check";
import type { ErrorCode } from "../../../../engine/run/errorCatalogue.ts";
import { redact } from "../../../../engine/run/redaction.ts";
import { canonicalJson } from "../../../../engine/synapse/canonicalJson.ts";
import {
    bannedVerifyKeys,
    formatSigningKeys,
    parseSigningKeys,
    signJson,
    verifyKeysOf,
    verifySignedJson,
} from "../../../../engine/synapse/secrets/signingKey.ts";
import { bannedKeys } from "../../../../engine/synapse/secrets/homeserverSecrets.ts";
import { expectError } from "../../../support/expectError.ts";

/** The key and signatures of the Matrix specification, appendices, "Cryptographic Test Vectors". */
const specSeed = "YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1";
const specKey = (): ReturnType<typeof parseSigningKeys>[0] =>
    parseSigningKeys(`ed25519 1 ${specSeed}`, "specification")[0];

describe("signing keys", () => {
    it("derives the public key that Synapse shows", () => {
        expect(specKey()).to.include({ id: "ed25519:1", verifyKey: "XGX0JRS2Af3be3knz2fBiRbApjm2Dh61gXDJA8kcJNI" });
    });

    it("signs as the specification's test vectors say", () => {
        expect(signJson({}, "domain", specKey())["signatures"]).to.deep.equal({
            domain: {
                "ed25519:1": "K8280/U9SSy9IVtjBuVeLr+HpOB4BQFWbg+UZaADMtTdGYI7Geitb76LTrr5QV/7Xg4ahLwYGYZzuHGZKM5ZAQ",
            },
        });
        expect(signJson({ one: 1, two: "Two" }, "domain", specKey())["signatures"]).to.deep.equal({
            domain: {
                "ed25519:1": "KqmLSbO39/Bzb0QIYE82zqLwsA+PDzYIpIRA2sRQ4sL53+sN6/fpNSoqE7BP7vBZhG6kYdD13EIMJpvhJI+6Bw",
            },
        });
    });

    it("verifies what it signs, and nothing that was altered", () => {
        const signed = signJson(
            { server_name: "example.org", verify_keys: { a: 1 }, unsigned: { age: 1 } },
            "example.org",
            specKey(),
        );
        const { id, verifyKey } = specKey();
        expect(verifySignedJson(signed, "example.org", id, verifyKey)).to.equal(true);
        expect(verifySignedJson({ ...signed, unsigned: {} }, "example.org", id, `${verifyKey}=`)).to.equal(true);
        expect(verifySignedJson({ ...signed, server_name: "example.com" }, "example.org", id, verifyKey)).to.equal(
            false,
        );
        expect(verifySignedJson(signed, "example.com", id, verifyKey)).to.equal(false);
        expect(verifySignedJson(signed, "example.org", "ed25519:2", verifyKey)).to.equal(false);
        expect(verifySignedJson(signed, "example.org", id, bannedVerifyKeys[0] ?? "")).to.equal(false);
        expect(verifySignedJson(signed, "example.org", id, "AAAA")).to.equal(false);
        expect(verifySignedJson({ ...signed, float: 1.5 }, "example.org", id, verifyKey)).to.equal(false);
        expect(verifySignedJson("text", "example.org", id, verifyKey)).to.equal(false);
    });

    it("reads what Synapse reads: CRLF, blank lines, padding, the URL-safe alphabet, two keys", () => {
        const second = `ed25519 b_2 ${Buffer.alloc(32, 0xfb).toString("base64url")}`;
        const keys = parseSigningKeys(`ed25519 1 ${specSeed}=\r\n\r\n  ${second}\r\n`, "file");
        expect(keys.map((key) => key.id)).to.deep.equal(["ed25519:1", "ed25519:b_2"]);
        expect(formatSigningKeys(keys)).to.equal(
            // The last character of the specification's seed has bits that do not count.
            `ed25519 1 ${specSeed.slice(0, -1)}0\ned25519 b_2 ${Buffer.alloc(32, 0xfb).toString("base64").replace("=", "")}\n`,
        );
        expect(Object.keys(verifyKeysOf(keys))).to.deep.equal(["ed25519:1", "ed25519:b_2"]);
        expect(redact(`leaked ${specSeed}!`)).to.equal("leaked [secret]!");
    });

    const base64 = (bytes: number): string => Buffer.alloc(bytes, 1).toString("base64").replace(/=+$/, "");
    const damaged: [string, string, ErrorCode][] = [
        ["an empty file", "\n \n", "SM-E0810"],
        ["a verify key of export_signing_key", `"ed25519:a": { key: "${base64(32)}", expired_ts: 1 }`, "SM-E0811"],
        ["the key endpoint's answer", `{"verify_keys": {"ed25519:a": {"key": "${base64(32)}"}}}`, "SM-E0811"],
        ["a public key in PEM form", "-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----", "SM-E0811"],
        ["a key id with its public key", `ed25519:a ${base64(32)}`, "SM-E0811"],
        ["31 bytes", `ed25519 a ${base64(31)}`, "SM-E0812"],
        ["33 bytes", `ed25519 a ${base64(33)}`, "SM-E0812"],
        ["64 bytes", `ed25519 a ${base64(64)}`, "SM-E0812"],
        ["no base64", `ed25519 a ${base64(30)}*!`, "SM-E0813"],
        ["a byte order mark", `\ufeffed25519 a ${base64(32)}`, "SM-E0814"],
        ["two keys with one id", `ed25519 a ${base64(32)}\ned25519 a ${specSeed}`, "SM-E0814"],
        ["four words", `ed25519 a ${base64(32)} x`, "SM-E0814"],
        ["a word", "hello", "SM-E0814"],
        ["matrix-media-repo's form", "-----BEGIN MMR PRIVATE KEY-----\nKey-ID: a\n", "SM-E0814"],
        ["a version with a colon", `ed25519 a:b ${base64(32)}`, "SM-E0814"],
        ["the old form", base64(32), "SM-E0815"],
        ["another algorithm", `rsa a ${base64(32)}`, "SM-E0816"],
    ];
    for (const [name, text, code] of damaged) {
        it(`B08: refuses ${name} with ${code}`, async () => {
            const error = await expectError(code, () =>
                Promise.resolve().then(() => parseSigningKeys(text, "key file")),
            );
            expect(error.detail.where).to.contain("key file");
            expect(JSON.stringify(error.detail)).not.to.contain(base64(30));
        });
    }

    it("B10: warns of the key of CVE-2026-24044 with SM-W0818", () => {
        // Its private half has no place here; the public one is what tells it.
        const known = { id: "ed25519:0", verifyKey: "l/O9hxMVKB6Lg+3Hqf0FQQZhVESQcMzbPN1Cz2nM3og" };
        const findings = bannedKeys([known, specKey()]);
        expect(findings.map(({ id }) => id)).to.deep.equal(["SM-W0818"]);
        expect(findings[0]?.evidence).to.contain("ed25519:0").and.to.contain("CVE-2026-24044");
    });
});

describe("canonical JSON", () => {
    it("has sorted keys, no white space and raw Unicode, as in the specification's examples", () => {
        const encoded = (value: unknown): string => canonicalJson(value).toString("utf8");
        expect(encoded({})).to.equal("{}");
        expect(encoded({ two: "Two", one: 1 })).to.equal('{"one":1,"two":"Two"}');
        expect(encoded({ b: [true, null], a: "日本語\u001f\\" })).to.equal('{"a":"日本語\\u001f\\\\","b":[true,null]}');
        expect(encoded({ "\u{1f600}": 1, "\uff01": 2 })).to.equal('{"\uff01":2,"\u{1f600}":1}');
    });

    it("refuses what it cannot hold", () => {
        for (const value of [1.5, 2 ** 53, undefined, () => 0])
            expect(() => canonicalJson([value])).to.throw(TypeError);
    });

    it("gives the same bytes whatever the order of keys", () => {
        fc.assert(
            fc.property(fc.dictionary(fc.string(), fc.integer()), (object) => {
                const reversed = Object.fromEntries(Object.entries(object).reverse());
                expect(canonicalJson(object).equals(canonicalJson(reversed))).to.equal(true);
            }),
        );
    });
});
