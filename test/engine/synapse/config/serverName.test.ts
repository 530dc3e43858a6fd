import { expect } from "chai";
import { checkServerName } from "../../../../engine/synapse/config/serverName.ts";
import { expectError } from "../../../support/expectError.ts";

describe("server names", () => {
    it("accepts host names, addresses and ports, unchanged", () => {
        for (const name of [
            "example.org",
            "localhost",
            "xn--bcher-kva.example",
            "example.org:8448",
            "10.0.0.1",
            "[::1]",
            "[2001:db8::1]:8448",
        ]) {
            expect(checkServerName(name, "serverName")).to.equal(name);
        }
    });

    const broken: [string, RegExp, string | undefined][] = [
        ["https://example.org", /scheme/, "example.org"],
        ["example.org/path", /path/, "example.org"],
        ["Example.org", /upper-case/, "example.org"],
        ["example.org.", /dot/, "example.org"],
        ["bücher.example", /ASCII/, "xn--bcher-kva.example"],
        ["example.org:0", /port/, undefined],
        ["example.org:65536", /port/, undefined],
        ["example.org:", /port/, "example.org"],
        ["::1", /brackets/, "[::1]"],
        ["[::g]", /IPv6/, undefined],
        ["@user:example.org", /id/, "example.org"],
        [" example.org", /white space/, "example.org"],
        ["", /empty/, undefined],
        ["exa_mple.org", /letters/, undefined],
        ["a..b", /letters/, undefined],
        [`${"a".repeat(60)}.`.repeat(4) + "example.org", /longer/, undefined],
    ];
    for (const [name, rule, meant] of broken) {
        it(`B03: refuses ${JSON.stringify(name).slice(0, 40)} with SM-E0202 and the rule`, async () => {
            const error = await expectError("SM-E0202", () =>
                Promise.resolve().then(() => checkServerName(name, "serverName")),
            );
            expect(error.detail.found).to.match(rule);
            if (meant === undefined) expect(error.detail.fix).to.equal(undefined);
            else expect(error.detail.fix).to.contain(`is ${JSON.stringify(meant)} meant?`);
        });
    }

    it("accepts upper case of a homeserver that has it, as Synapse does", () => {
        expect(checkServerName("Example.org", "homeserver.yaml:1", { upperCase: true })).to.equal("Example.org");
    });
});
