import { expect } from "chai";
import { contractsByStep } from "./stepResults.ts";
import { configWith, declare, problemsWith, summary, target } from "./stacks.ts";

const replicate = { copy: "replicate" } as const;

describe("a stack whose target follows its source", () => {
    it("copies in phase stage, with the homeserver running, and dumps, copies or restores nothing later", async () => {
        const { recording: staged } = await declare({ ...replicate, phase: "stage" });
        expect(staged.names).to.include("follow").and.not.include("fence");
        const { recording } = await declare({ ...replicate, phase: "finish" });
        expect(recording.names).to.include.members(["follow", "settle", "fence", "catch-up", "verify", "swap"]);
        for (const step of ["dump", "restore", "copy"]) expect(recording.names).not.to.include(step);
        for (const name of recording.names) {
            const parsed = contractsByStep.get(name)?.spec.safeParse(recording.spec(name));
            expect(parsed?.error, name).to.equal(undefined);
        }
    });

    it("looks at the copy, and saves what is replaced, before the source is stopped, and takes over the last change after it", async () => {
        const { recording } = await declare({ ...replicate, phase: "migrate" });
        expect([...recording.before("follow")]).to.include("database");
        expect([...recording.before("fence")]).to.include.members(["settle", "safeguard", "canary", "follow"]);
        expect([...recording.before("catch-up")]).to.include.members(["fence", "safeguard"]);
        expect([...recording.before("verify")]).to.include.members(["catch-up", "media-final"]);
        expect([...recording.before("media-final")])
            .to.include("fence")
            .and.not.include("catch-up");
    });

    it("verifies with the manifest of the catch-up", async () => {
        const { recording } = await declare({ ...replicate, phase: "migrate" });
        expect(recording.spec("verify")).to.deep.include({
            replicated: true,
            manifestFile: "/srv/work/runs/r1/replication-manifest.json",
            oneTimeKeys: "kept",
        });
        const { recording: direct } = await declare({ phase: "migrate" });
        expect(direct.spec("verify")).not.to.have.property("replicated");
    });

    it("passes on how it copies, where the source is found, and how strictly it compares", async () => {
        const { recording } = await declare({
            ...replicate,
            ...{ phase: "migrate", copyJobs: "4", copyRateLimit: "10", verify: "strict" },
            replicationAddress: "10.0.0.5:5433",
        });
        const replication = { host: "10.0.0.5", port: 5433 };
        expect(recording.spec("follow")).to.deep.include({ jobs: 4, bytesPerSecond: 10 * 1024 * 1024, replication });
        expect(recording.spec("settle")).to.deep.include({ replication });
        expect(recording.spec("catch-up")).to.deep.include({ jobs: 4, verify: "strict", replication });
    });

    it("keeps the source's password in a file of the target's server only where that is its own", async () => {
        const { recording: own } = await declare({ ...replicate, phase: "stage" });
        expect(own.spec("follow")).to.have.property("serverDirectory", "/srv/target/postgres");
        const database = { kind: "existing", host: "db.example.org", adminPasswordFile: "/srv/admin-password" };
        const { recording } = await declare({ ...replicate, phase: "stage", target: { ...target, database } });
        expect(recording.spec("follow")).not.to.have.property("serverDirectory");
    });

    it("compares quickly unless it is asked to be strict", () => {
        expect(configWith(replicate).verify).to.equal("quick");
    });

    for (const [title, changes, expected] of [
        ["a rehearsal, whose source goes on", { ...replicate, rehearsal: "true" }, "SM-E0211 copy"],
        [
            "a source of files",
            {
                ...replicate,
                source: { kind: "backup", database: ["/srv/dump.sql"] },
                canaryUser: undefined,
                canaryPassword: undefined,
            },
            "SM-E0211 copy",
        ],
        ["a comparison without anything that follows", { verify: "strict" }, "SM-E0211 verify"],
        ["an address without anything that follows", { replicationAddress: "h:1" }, "SM-E0211 replicationAddress"],
        ["an address without a port", { ...replicate, replicationAddress: "h" }, "SM-E0211 replicationAddress"],
        ["a comparison that there is not", { ...replicate, verify: "none" }, "SM-E0211 verify"],
    ] as const)
        it(`is refused with ${title}`, () => {
            expect(summary(problemsWith(changes))).to.include(expected);
        });
});
