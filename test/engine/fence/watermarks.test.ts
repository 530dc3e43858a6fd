import { expect } from "chai";
import { movements, type Watermarks } from "../../../engine/fence/watermarks.ts";

const still: Watermarks = {
    database: "7/16384",
    sequences: { "public.events_stream_seq": "10", "public.unused": "unused" },
    rowChanges: "500",
};

describe("watermarks", () => {
    it("are at rest when nothing moved", () => expect(movements(still, { ...still })).to.deep.equal([]));

    it("name every sequence that moved, appeared or vanished", () => {
        const moved = { ...still, sequences: { "public.events_stream_seq": "11", "public.new": "1" } };
        expect(movements(still, moved)).to.deep.equal([
            "sequence public.events_stream_seq: 10, then 11",
            "sequence public.unused: unused, then absent",
            "sequence public.new: absent, then 1",
        ]);
    });

    it("see a row that was changed without any sequence", () => {
        expect(movements(still, { ...still, rowChanges: "501" })).to.deep.equal(["row changes: 500, then 501"]);
    });

    it("do not take counters that a crash has reset for a write", () => {
        expect(movements(still, { ...still, rowChanges: "0" })).to.deep.equal([]);
    });

    it("see another database in the place of the fenced one", () => {
        expect(movements(still, { ...still, database: "8/16384" })).to.have.length(1);
    });
});
