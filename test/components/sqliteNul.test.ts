import { expect } from "chai";
import { bundleSources, declare, problemsWith, summary } from "./stacks.ts";

const source = { ...bundleSources.backup, kind: "sqlite", database: "/srv/backups/homeserver.db" };

describe("NUL characters in a SQLite database", () => {
    it("may be taken out by the import where the stack says so, which the assessment knows", async () => {
        const { recording } = await declare({ phase: "migrate", source, sqliteNul: "strip" });
        for (const step of ["assess", "import"])
            expect(recording.spec(step), step).to.have.property("sqliteNul", "strip");
    });

    it("are refused where it does not, and the key is for files alone", async () => {
        const { recording } = await declare({ phase: "migrate", source });
        expect(recording.spec("import")).not.to.have.property("sqliteNul");
        expect(summary(problemsWith({ sqliteNul: "strip" }))).to.deep.equal(["SM-E0211 sqliteNul"]);
        expect(summary(problemsWith({ source, sqliteNul: "drop" }))).to.deep.equal(["SM-E0211 sqliteNul"]);
    });
});
