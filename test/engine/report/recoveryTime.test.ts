import { expect } from "chai";
import { recoveryTable } from "../../../engine/report/recoveryTime.ts";
import { importedRun, recordOf } from "./importedRun.ts";

describe("the recovery time of a homeserver that came as files", () => {
    it("is measured from the import to the open gateway, part by part", async () => {
        const record = await recordOf(importedRun);
        // Numbers and units are kept together by spaces that do not break.
        const shown = recoveryTable(record)?.map((row) => row.map((cell) => cell.replaceAll(/\u00a0|\u202f/g, " ")));
        expect(shown).to.deep.equal([
            ["database", "4 000 rows", "20.0 s", "200 rows/s"],
            ["media", "3.0 MiB", "3.0 s", "1.0 MiB/s"],
            ["verification", "4 000 rows", "2.0 s", "2 000 rows/s"],
            ["start of Synapse", "", "5.0 s", ""],
            ["everything else", "", "10.0 s", ""],
            ["recovery time", "", "40.0 s", ""],
        ]);
    });

    it("is not told before the gateway is open, nor of a homeserver that was moved while it ran", async () => {
        expect(recoveryTable(await recordOf(importedRun.filter(({ step }) => step !== "open")))).to.equal(undefined);
        expect(recoveryTable(await recordOf(importedRun.filter(({ step }) => step !== "import")))).to.equal(undefined);
    });

    it("says that nobody here stopped the source, and shows rows of media as added", async () => {
        const { outcome, tables } = await recordOf(importedRun);
        expect(outcome.sentences.join(" ")).to.contain("came as files");
        expect(tables.map(({ name, state }) => `${name} ${state}`)).to.deep.equal([
            "public.events equal",
            "public.local_media_repository added",
        ]);
    });
});
