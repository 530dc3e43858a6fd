import { randomBytes } from "node:crypto";
import { expect } from "chai";
import { masking } from "../../../engine/report/mask.ts";

describe("what is shown to strangers", () => {
    const mask = masking({
        key: randomBytes(32),
        serverName: "example.org",
        hosts: ["db1", "example.org", "synapse-host"],
    });

    for (const [what, text, hidden] of [
        ["a user", "found @alice.b:example.org", "alice"],
        ["a user of another server", '{"user":"@bob:matrix.other.net"}', "other"],
        ["a room", "room !AbCdEf:example.org is missing", "AbCdEf"],
        ["an alias", "#secret-plans:example.org", "plans"],
        ["an event of an old room", "$143273582443PhrSn:example.org", "143273582443"],
        ["an event of a new room", `$${"a1B-_".repeat(8)}xyz is signed`, "a1B-_a1B"],
        ["the server's name", "the move of EXAMPLE.org", "EXAMPLE"],
        ["a host below the server's name", "https://matrix.example.org/_matrix", "example"],
        ["a database's host", "database synapse on db1:5432", "db1"],
        ["a machine", "owner root@synapse-host", "synapse-host"],
        ["an address", "connection from 192.0.2.17 refused", "192.0.2.17"],
        ["an address of IPv6", "listens on [2001:db8::17]:8448", "2001:db8"],
        ["a mail address", "public contact admin+x@mail.example.net", "admin"],
        ["a host in a URL", "https://homes.someone.net:8448/x", "someone"],
        ["a person's home", "/home/alice/synapse/homeserver.yaml", "alice"],
        ["a token", "token syt_YWxpY2U_abcdefghijkl_0a1b2c", "YWxpY2U"],
        ["a signing key", `ed25519 a_key ${"A".repeat(43)}`, "AAAA"],
    ] as const)
        it(`hides ${what}`, () => {
            expect(mask(text)).not.to.contain(hidden);
        });

    it("has one alias for one name, and another in another bundle", () => {
        const [first, second] = mask("@alice:example.org wrote to @ALICE:example.org").match(/@user-\w+/g) ?? [];
        expect(first).to.be.a("string").that.equals(second);
        const other = masking({ key: randomBytes(32), serverName: "example.org", hosts: [] });
        expect(other("@alice:example.org")).to.match(/^@user-\w+:server\.invalid$/);
        expect(other("@alice:example.org")).not.to.contain(first);
    });

    it("has all that tells what happened", () => {
        for (const text of [
            "SM-E0702 at 2026-11-30T15:47:20.123Z, 2026-11-30T15:47:20+00:00",
            "127.0.0.1:8008 answered 200 after 12:34:56",
            `sha256 ${"0f".repeat(32)}`,
            "table public.events: 12345 rows, 4.5.6",
            "homeserver.yaml, /var/lib/synapse-migration/prod/target",
            "step::start, example.organic",
        ])
            expect(mask(text)).to.equal(text);
    });
});
