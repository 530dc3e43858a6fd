import { hash } from "bcryptjs";
import { expect } from "chai";
import { provePepper } from "../../../engine/synapse/password.ts";

describe("the offline proof of a pepper", () => {
    const rounds = 4;

    it("is given by one known password", async () => {
        const stored = await hash("correct horsepepper", rounds);
        expect(await provePepper("correct horse", "pepper", stored)).to.equal("proven");
        expect(await provePepper("correct horse", "pepper ", stored)).to.equal("wrong");
        expect(await provePepper("correct horse", undefined, stored)).to.equal("wrong");
    });

    it("treats an absent pepper as an empty one, as Synapse does", async () => {
        const stored = await hash("secret", rounds);
        expect(await provePepper("secret", undefined, stored)).to.equal("proven");
        expect(await provePepper("secret", "", stored)).to.equal("proven");
    });

    it("normalises the password with NFKC", async () => {
        expect(await provePepper("ｐａｓｓ\u0041\u030a", "p", await hash("pass\u00c5p", rounds))).to.equal("proven");
    });

    it("cannot be given by a password that leaves no room for the pepper", async () => {
        const password = "x".repeat(70);
        const stored = await hash(`${password}pe`, rounds);
        expect(await provePepper(password, "pe", stored)).to.equal("proven");
        expect(await provePepper(password, "pepper", stored)).to.equal("cannot-prove");
        expect(await provePepper(password, "another", stored)).to.equal("wrong");
    });

    it("agrees with Python's bcrypt where the cut falls into a character", async () => {
        // bcrypt.hashpw(("x" + "ä" * 50).encode()[:72], salt) of Python's bcrypt 4
        const stored = "$2b$04$CQuZOzoCR1xx9sAqx1dDveeG9uZHnIqSzEEHnWPBi3we1ivqFQnBq";
        expect(await provePepper(`x${"ä".repeat(50)}`, "p", stored)).to.equal("cannot-prove");
    });
});
