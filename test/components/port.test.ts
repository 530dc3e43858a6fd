import { expect } from "chai";
import { contractsByStep } from "./stepResults.ts";
import { bundleSources, declare, problemsWith, summary, target } from "./stacks.ts";

const port = { copy: "port" } as const;

describe("a stack that ports the SQLite file of a homeserver that runs", () => {
    it("stops it, gets its file, has it ported, and asks the ported rows which media there are", async () => {
        const { recording } = await declare({ ...port, phase: "finish" });
        for (const step of ["dump", "restore", "copy", "import-media"]) expect(recording.names).not.to.include(step);
        for (const name of recording.names) {
            const parsed = contractsByStep.get(name)?.spec.safeParse(recording.spec(name));
            expect(parsed?.error, name).to.equal(undefined);
        }
        expect(recording.spec("assess")).to.have.nested.property("copy.mode", "port");
        expect([...recording.before("take-file")]).to.include.members(["fence", "canary"]);
        expect(recording.spec("take-file")).to.have.property("fenceToken");
        expect(recording.spec("import")).to.deep.include({
            source: {
                ...{
                    kind: "sqlite",
                    serverName: "example.org",
                    database: ["/srv/work/runs/r1/taken-file/homeserver.db"],
                },
                stoppedBeforeExport: true,
            },
        });
        expect(recording.spec("media-final")).to.have.nested.property("loaded.incoming");
        expect(recording.spec("verify")).to.deep.include({ imported: true });
    });

    it("takes a snapshot in a rehearsal, and does not say that the source was stopped", async () => {
        const { recording } = await declare({ ...port, phase: undefined, rehearsal: "true" });
        expect(recording.names).to.include("take-file").and.not.include("fence");
        expect(recording.spec("take-file")).not.to.have.property("fenceToken");
        expect(recording.spec("import")).not.to.have.nested.property("source.stoppedBeforeExport");
    });

    it("may have NUL characters taken out of its file", async () => {
        const { recording } = await declare({ ...port, phase: "migrate", sqliteNul: "strip" });
        expect(recording.spec("import")).to.have.property("sqliteNul", "strip");
    });

    it("is refused for a source that is files, for a bundle, and with a rate that no port has", () => {
        const bundle = {
            kind: "emsBundle",
            ...{ directory: "/srv/bundle", synapsePython: "/srv/venv/bin/python", postgresPrograms: "/usr/lib/bin" },
        };
        expect(summary(problemsWith({ ...port, source: bundleSources.backup }))).to.deep.equal(["SM-E0211 copy"]);
        expect(summary(problemsWith({ ...port, target: bundle }))).to.include("SM-E0211 copy");
        expect(summary(problemsWith({ ...port, copyRateLimit: "10" }))).to.deep.equal(["SM-E0211 copyRateLimit"]);
        expect(summary(problemsWith({ ...port, target }))).to.deep.equal([]);
    });
});
