import { expect } from "chai";
import { phases, type Phase } from "../../contract/index.ts";
import { valueOf } from "./recorder.ts";
import { assessment, contractsByStep } from "./stepResults.ts";
import { declare } from "./stacks.ts";

const stepsOf: Readonly<Record<Phase, readonly string[]>> = {
    assess: ["assess"],
    stage: ["guard-stage", "secrets", "database", "media-storage", "media-early", "configure", "gateway"],
    migrate: [
        "guard-migrate",
        "canary",
        "fence",
        "copy",
        "media-final",
        "safeguard",
        "verify",
        "swap",
        "start",
        "probe",
    ],
    cutover: ["guard-cutover", "commit", "open", "clear-traces"],
    finish: ["cleanup"],
};

/** There only once the target is committed; and the report, which is always declared. */
const afterCommit = ["commit", "open", "clear-traces", "cleanup", "report"];

const upTo = (phase: Phase): string[] => phases.slice(0, phases.indexOf(phase) + 1).flatMap((each) => stepsOf[each]);

describe("HomeserverMigration", () => {
    for (const phase of phases) {
        it(`declares exactly the steps up to phase ${phase}, and a report`, async () => {
            const { recording } = await declare({ phase });
            expect(recording.names).to.have.members([...upTo(phase), "report"]);
        });
    }

    it("gives every step a specification that its contract accepts", async () => {
        const { recording } = await declare({ phase: "finish" });
        for (const name of recording.names) {
            const parsed = contractsByStep.get(name)?.spec.safeParse(recording.spec(name));
            expect(parsed?.error, name).to.equal(undefined);
        }
    });

    it("comes after nothing of a later phase, and after all of the phases before", async () => {
        const { recording } = await declare({ phase: "finish" });
        for (const phase of phases.slice(1)) {
            const earlier = phases.slice(0, phases.indexOf(phase)).flatMap((each) => stepsOf[each]);
            const later = phases.slice(phases.indexOf(phase) + 1).flatMap((each) => stepsOf[each]);
            for (const step of stepsOf[phase]) {
                expect([...recording.before(step)], step).to.include.members(earlier);
                expect(
                    later.filter((other) => recording.before(step).has(other)),
                    step,
                ).to.deep.equal([]);
            }
        }
    });

    for (const phase of ["stage", "migrate", "cutover"] as const) {
        it(`has every step of phase ${phase} come after its guard, so that the guard is deleted last`, async () => {
            const { recording } = await declare({ phase: "finish" });
            const [guard = "", ...guarded] = stepsOf[phase];
            for (const step of guarded) expect([...recording.before(step)], step).to.include(guard);
            for (const step of guarded) expect([...recording.before(guard)], step).not.to.include(step);
        });
    }

    it("lets nothing that reads or writes the homeserver's data come before the fence", async () => {
        const { recording } = await declare({ phase: "finish" });
        const bearing = ["copy", "media-final", "safeguard", "verify", "swap", "start", "probe", "commit", "open"];
        for (const step of bearing) expect([...recording.before(step)], step).to.include("fence");
        expect([...recording.before("fence")]).to.include.members(["media-early", "canary", "gateway", "configure"]);
    });

    for (const [mode, moved] of [
        ["direct", ["safeguard", "copy"]],
        ["archive", ["dump", "safeguard", "restore"]],
    ] as const) {
        it(`moves the database after its safeguard, and starts only what was verified and swapped in (${mode})`, async () => {
            const { recording } = await declare({ phase: "finish", copy: mode });
            const chain = ["fence", ...moved, "verify", "swap", "start", "probe", "commit", "open", "cleanup"];
            for (const [index, step] of chain.entries())
                expect([...recording.before(step)], step).to.include.members(chain.slice(0, index));
            expect([...recording.before("verify")]).to.include("media-final");
        });
    }

    for (const [mode, moving] of [
        ["direct", ["copy"]],
        ["archive", ["dump", "restore"]],
    ] as const) {
        it(`hands the fence's token to what must not go on without it (${mode})`, async () => {
            const { recording } = await declare({ phase: "cutover", copy: mode });
            for (const step of [...moving, "media-final", "start", "commit"])
                expect(recording.spec(step), step).to.have.property("fenceToken", "c".repeat(64));
        });
    }

    it("copies by as many connections, and as fast, as the configuration says", async () => {
        const { recording } = await declare({ copyJobs: "7", copyRateLimit: "50" });
        expect(recording.spec("copy")).to.include({ jobs: 7, bytesPerSecond: 52_428_800 });
        const free = (await declare()).recording.spec("copy");
        for (const key of ["jobs", "bytesPerSecond"]) expect(free).not.to.have.property(key);
    });

    it("reads media of a source that serves as fast as the configuration says, and without a limit behind the fence", async () => {
        const limited = { mediaRateLimit: "20" };
        const { recording } = await declare({ phase: "migrate", ...limited });
        expect(recording.spec("media-early")).to.include({ bytesPerSecond: 20_971_520 });
        expect(recording.spec("media-final")).not.to.have.property("bytesPerSecond");
        const rehearsed = (await declare({ rehearsal: "true", phase: undefined, ...limited })).recording;
        for (const step of ["media-early", "media-final"])
            expect(rehearsed.spec(step)).to.include({ bytesPerSecond: 20_971_520 });
        const free = (await declare()).recording;
        expect(free.spec("media-early")).not.to.have.property("bytesPerSecond");
    });

    it("reports last", async () => {
        const { recording } = await declare({ phase: "finish" });
        expect([...recording.before("report")]).to.have.members(upTo("finish"));
    });

    it("reports again in another phase, and when any result is another one", async () => {
        const seen = async (changes: object, outputs = {}): Promise<unknown> =>
            (await declare({ ...changes }, { outputs })).recording.command("report").inputs["environment"];
        const first = await seen({ phase: "stage" });
        expect(await seen({ phase: "stage" })).to.deep.equal(first);
        expect(await seen({ phase: "migrate" })).not.to.deep.equal(first);
        const another = { assess: JSON.stringify({ ...assessment, warnings: 1 }) };
        expect(await seen({ phase: "stage" }, another)).not.to.deep.equal(first);
    });

    it("assesses again, and enforces what it finds, when more than looking is declared", async () => {
        const looking = (await declare({ phase: "assess" })).recording;
        const acting = (await declare({ phase: "stage" })).recording;
        expect(looking.spec("assess")).to.include({ enforce: false, quick: false });
        expect(acting.spec("assess")).to.include({ enforce: true, quick: false });
        expect(acting.command("assess").inputs["environment"]).not.to.deep.equal(
            looking.command("assess").inputs["environment"],
        );
    });

    it("leaves the canary out where no test account is given", async () => {
        const { recording } = await declare({ canaryUser: undefined, canaryPassword: undefined });
        expect(recording.names).not.to.include("canary").and.not.to.include("clear-traces");
        expect(recording.spec("probe")).not.to.have.property("canaryFile");
    });

    it("removes what the test account has left once the gateway is open, and tries again in the next phase", async () => {
        const { recording } = await declare({ phase: "cutover" });
        expect(recording.spec("clear-traces")).to.include({ canaryUser: "canary", serverName: "example.org" });
        expect([...recording.before("clear-traces")]).to.include.members(["probe", "commit", "open"]);
        const later = (await declare({ phase: "finish" })).recording;
        expect(later.command("clear-traces").inputs["environment"]).not.to.deep.equal(
            recording.command("clear-traces").inputs["environment"],
        );
    });

    describe("in a rehearsal", () => {
        it("goes to cutover without a fence, into an isolated target that may be destroyed", async () => {
            const { recording } = await declare({ phase: undefined, rehearsal: "true" });
            expect(recording.names).to.have.members([...upTo("cutover").filter((step) => step !== "fence"), "report"]);
            expect(recording.spec("configure")).to.include({ isolated: true });
            for (const step of ["copy", "media-final", "start", "commit"])
                expect(recording.spec(step), step).not.to.have.property("fenceToken");
            expect(recording.spec("commit")).to.have.nested.property("run.disposable", true);
        });

        for (const [mode, step] of [
            ["direct", "copy"],
            ["archive", "dump"],
        ] as const)
            it(`copies media after the ${step}, so that all that the snapshot names is there`, async () => {
                const { recording } = await declare({ phase: undefined, rehearsal: "true", copy: mode });
                expect([...recording.before("media-final")]).to.include(step);
            });
    });

    it("isolates nothing, and keeps the target after its commit, outside of a rehearsal", async () => {
        const { recording } = await declare();
        expect(recording.spec("configure")).to.include({ isolated: false });
        expect(recording.spec("commit")).to.have.nested.property("run.disposable", false);
    });

    it("protects secrets, database and media storage where asked, and never what a rollback deletes", async () => {
        const { recording } = await declare({ phase: "finish", protect: "true" });
        const protectedNames = recording.all.filter(({ protect }) => protect === true).map(({ name }) => name);
        expect(protectedNames).to.have.members(["secrets", "database", "media-storage", ...afterCommit]);
    });

    it("protects the commit and what follows from their creation on, so that nothing before can be destroyed, unless it is thrown away", async () => {
        const protectedOf = async (changes: object, commitment?: "kept" | "released"): Promise<string[]> =>
            (await declare({ phase: "finish", ...changes }, {}, commitment)).recording.all
                .filter(({ protect }) => protect === true)
                .map(({ name }) => name);
        expect(await protectedOf({})).to.have.members(afterCommit);
        expect(await protectedOf({ phase: "migrate" })).to.deep.equal([]);
        expect(await protectedOf({ disposable: "true" })).to.deep.equal([]);
        expect(await protectedOf({}, "released")).to.deep.equal([]);
        const all = (await declare({ phase: "finish" }, {}, "kept")).recording;
        expect(await protectedOf({}, "kept")).to.have.members(all.all.map(({ name }) => name));
        expect([...all.before("commit")]).to.include.members([...upTo("migrate"), "guard-cutover"]);
    });

    it("has nothing done again once it is committed, whatever another version of the program says", async () => {
        const ignored = async (commitment: "none" | "kept" | "released"): Promise<string[][]> =>
            (await declare({ phase: "finish" }, {}, commitment)).recording.commands.map(({ ignoreChanges }) => [
                ...ignoreChanges,
            ]);
        for (const each of await ignored("none")) expect(each).to.deep.equal([]);
        for (const each of [...(await ignored("kept")), ...(await ignored("released"))])
            expect(each).to.deep.equal(["triggers"]);
    });

    it("gives out proofs, the gateway's address and the report's paths", async () => {
        const { result } = await declare();
        expect(await valueOf(result.report)).to.have.keys("json", "markdown", "html");
        expect(result.proofs).to.have.keys("verify", "probe");
        expect(result.gatewayUrl === undefined ? undefined : await valueOf(result.gatewayUrl)).to.equal(
            "http://127.0.0.1:18009",
        );
        expect((await declare({ phase: "assess" })).result.gatewayUrl).to.equal(undefined);
    });

    it("declares everything in a preview, where no result is known", async () => {
        for (const phase of phases) {
            const { recording } = await declare({ phase }, { preview: true });
            expect(recording.names, phase).to.have.members([...upTo(phase), "report"]);
        }
    });
});
