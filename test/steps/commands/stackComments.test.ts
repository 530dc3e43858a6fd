import { expect } from "chai";
import { withComments } from "../../../steps/commands/stackComments.ts";

const text = `encryptionsalt: v1:abc
config:
  # somebody's own
  p:a: 1
  p:b:
    first: 1
    second:
      - 2
`;

describe("comments in a stack's file", () => {
    const comments = [
        { path: ["p:a"], text: "about a" },
        { path: ["p:b", "first"], text: "about first" },
        { path: ["p:b", "second"], text: "about second" },
        { path: ["p:not", "there"], text: "about nothing" },
    ];

    it("stand above what they are about, beside those of others", () => {
        expect(withComments(text, comments, ["what only you know:"])).to.equal(`# Written by synapse-migrate init.
# what only you know:
# End of what synapse-migrate init has written.

encryptionsalt: v1:abc
config:
  # somebody's own
  # init: about a
  p:a: 1
  p:b:
    # init: about first
    first: 1
    # init: about second
    second:
      - 2
`);
    });

    it("are there once, however often they are written, and say what is the case now", () => {
        const once = withComments(text, comments, ["one"]);
        expect(withComments(once, comments, ["one"])).to.equal(once);
        const later = withComments(once, [{ path: ["p:b", "first"], text: "something else" }], ["two"]);
        expect(later).to.match(/^# Written by synapse-migrate init\.\n# two\n# End/);
        expect(later).to.contain("    # init: something else\n    first: 1\n").and.not.to.contain("about first");
    });

    it("leave those at the top of the file there", () => {
        const mine = withComments(`# mine\n${text}`, [], ["one"]);
        expect(mine).to.contain("# mine\n");
        expect(withComments(mine, [], ["one"])).to.equal(mine);
    });
});
