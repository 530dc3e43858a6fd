import { expect } from "chai";
import { contractsByStep } from "../stepResults.ts";
import { bundleSources, declare, problemsWith, source, summary, target } from "../stacks.ts";

const machine = { kind: "ssh", address: "root@new.example.org", hostKey: "ssh-ed25519 AAAA" };
const service = { kind: "systemd", units: ["matrix-synapse"] };
const installed = {
    ...target,
    ...{ kind: "installed", machine, service, homeserverConfig: ["/etc/matrix-synapse/homeserver.yaml"] },
};

describe("a target that an installer has made", () => {
    it("is sent media, and nothing else of it is touched, before it is stopped: before the source, and before all else", async () => {
        const { recording } = await declare({ phase: "finish", target: installed });
        expect(recording.names).to.include.members(["installed-database", "place-media-early", "configure"]);
        expect(recording.names).not.to.include.members(["database", "gateway", "start", "open"]);
        for (const step of [
            "canary",
            "fence",
            "safeguard",
            "copy",
            "swap",
            "place-media",
            "identity",
            "start-installed",
        ])
            expect([...recording.before(step)], step).to.include("vacate");
        expect([...recording.before("place-media-early")]).to.include("media-early");
    });

    it("is started once everything is there, and opened once it is committed", async () => {
        const { recording } = await declare({ phase: "finish", target: installed });
        expect([...recording.before("start-installed")]).to.include.members([
            ...["fence", "verify", "swap", "place-media", "identity"],
        ]);
        expect([...recording.before("place-media")]).to.include.members(["verify", "media-final"]);
        expect([...recording.before("probe")]).to.include("start-installed");
        expect([...recording.before("open-installed")]).to.include("commit");
        expect([...recording.before("cleanup")]).to.include("open-installed");
    });

    it("gives every step a specification that its contract accepts", async () => {
        const { recording } = await declare({ phase: "finish", target: installed });
        for (const name of recording.names)
            expect(contractsByStep.get(name)?.spec.safeParse(recording.spec(name)).error, name).to.equal(undefined);
        expect(recording.spec("probe")).to.have.nested.property("deployment.machine.address", "root@new.example.org");
        expect(recording.spec("assess")).not.to.have.property("targetServer");
    });

    it("has its database's administrator found, or the one that the stack names", async () => {
        const found = await declare({ phase: "stage", target: installed });
        for (const spec of [found.recording.spec("assess"), { installed: found.recording.spec("installed-database") }])
            expect(spec).to.have.property("installed").that.does.not.have.property("admin");
        const admin = { kind: "peer", role: "matrix", container: "matrix-postgres" };
        const named = { ...installed, database: { admin } };
        const { recording } = await declare({ phase: "stage", target: named });
        expect(recording.spec("assess")).to.have.nested.property("installed.admin").that.includes(admin);
        expect(recording.spec("installed-database")).to.have.property("admin").that.includes(admin);
    });

    it("takes a homeserver that runs on PostgreSQL, and nothing that is not assessed for it", () => {
        const ofFiles = {
            target: installed,
            source: bundleSources.backup,
            canaryUser: undefined,
            canaryPassword: undefined,
        };
        expect(summary(problemsWith(ofFiles))).to.include("SM-E0211 source.kind");
        expect(summary(problemsWith({ target: installed, copy: "port" }))).to.include("SM-E0211 copy");
    });

    it("is not rehearsed into, not followed, and not the source itself", () => {
        expect(summary(problemsWith({ target: installed, rehearsal: "true" }))).to.include("SM-E0211 rehearsal");
        expect(summary(problemsWith({ target: installed, copy: "replicate" })).join()).to.contain("copy");
        expect(summary(problemsWith({ target: installed, source: { ...source, machine, service } }))).to.deep.equal([
            "SM-E0211 target.service",
        ]);
    });
});
