import { expect } from "chai";
import { sortedJson } from "../../rehearsal/source/sortedJson.ts";
import { isSignedBy, signingKey } from "../../rehearsal/source/signingKey.ts";

describe("the rehearsal's own signatures", () => {
    // The test vectors of the Matrix specification's appendices.
    const key = signingKey("ed25519:1", Buffer.from("YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1", "base64"));
    const vectors: [object, string][] = [
        [{}, "K8280/U9SSy9IVtjBuVeLr+HpOB4BQFWbg+UZaADMtTdGYI7Geitb76LTrr5QV/7Xg4ahLwYGYZzuHGZKM5ZAQ"],
        [
            { one: 1, two: "Two" },
            "KqmLSbO39/Bzb0QIYE82zqLwsA+PDzYIpIRA2sRQ4sL53+sN6/fpNSoqE7BP7vBZhG6kYdD13EIMJpvhJI+6Bw",
        ],
    ];

    for (const [object, signature] of vectors)
        it(`are those of the specification over ${JSON.stringify(object)}`, () => {
            expect(key.sign(object)).to.equal(signature);
            expect(isSignedBy({ ...object, signatures: {}, unsigned: { age: 1 } }, signature, key.publicKey)).to.equal(
                true,
            );
            expect(isSignedBy({ ...object, more: true }, signature, key.publicKey)).to.equal(false);
        });

    it("are made over JSON with sorted keys, without white space, in UTF-8", () => {
        const text = sortedJson({
            b: [1, { d: null, c: "日本" }],
            a: "\n",
            "\u{1f600}": 1,
            "\uffff": 2,
            no: undefined,
        });
        expect(text).to.equal('{"a":"\\n","b":[1,{"c":"日本","d":null}],"\uffff":2,"\u{1f600}":1}');
    });
});
