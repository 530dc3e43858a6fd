import { expect } from "chai";
import { phases, type Phase } from "../../../contract/index.ts";
import { configWith, bundleSources, declare, passphrase, problemsWith, summary, type Setting } from "../stacks.ts";
import { contractsByStep } from "../stepResults.ts";
import { valueOf } from "../recorder.ts";

const emsBundle = {
    kind: "emsBundle",
    directory: "/srv/bundle",
    synapsePython: "/srv/venv/bin/python",
    postgresPrograms: "/usr/lib/postgresql/15/bin",
};
const stack = { target: emsBundle, passphrase, canaryUser: undefined, canaryPassword: undefined };
const recipientKeyFile = "/etc/ems-support-public.pgp";

const stepsOf: Readonly<Record<Phase, readonly string[]>> = {
    assess: ["assess"],
    stage: ["guard-stage", "prepare-bundle"],
    migrate: [
        "guard-migrate",
        "fence",
        "export-database",
        "export-media",
        "export-config",
        "seal-bundle",
        "verify-bundle",
    ],
    cutover: ["guard-cutover", "hand-over"],
    finish: ["clear-export"],
};
const upTo = (phase: Phase): string[] => phases.slice(0, phases.indexOf(phase) + 1).flatMap((each) => stepsOf[each]);

describe("a target of kind emsBundle", () => {
    for (const phase of phases) {
        it(`declares exactly the steps up to phase ${phase}, and a report`, async () => {
            const { recording } = await declare({ ...stack, phase });
            expect(recording.names).to.have.members([...upTo(phase), "report"]);
        });
    }

    it("gives every step a specification that its contract accepts", async () => {
        const { recording } = await declare({ ...stack, phase: "finish" });
        for (const name of recording.names) {
            const parsed = contractsByStep.get(name)?.spec.safeParse(recording.spec(name));
            expect(parsed?.error, name).to.equal(undefined);
        }
    });

    it("exports after the fence, seals what was exported, verifies what was sealed, and hands over what was verified", async () => {
        const { recording } = await declare({ ...stack, phase: "finish" });
        for (const step of ["export-database", "export-media", "export-config"]) {
            expect([...recording.before(step)], step).to.include("fence");
            expect(recording.spec(step), step).to.have.property("fenceToken");
            expect([...recording.before("seal-bundle")]).to.include(step);
        }
        expect([...recording.before("verify-bundle")]).to.include("seal-bundle");
        expect([...recording.before("hand-over")]).to.include("verify-bundle");
        expect([...recording.before("clear-export")]).to.include("hand-over");
    });

    it("takes a snapshot of a source that goes on in a rehearsal: media after the dump that names them", async () => {
        const { recording } = await declare({ ...stack, phase: undefined, rehearsal: "true" });
        expect(recording.names).to.have.members([...upTo("cutover").filter((step) => step !== "fence"), "report"]);
        for (const step of ["export-database", "export-media", "export-config", "hand-over"])
            expect(recording.spec(step), step).not.to.have.property("fenceToken");
        expect(recording.spec("seal-bundle")).not.to.have.property("fencedAt");
        expect([...recording.before("export-media")]).to.include("export-database");
    });

    it("is assessed as a bundle, with the pg_dump that will write it, and without a server", async () => {
        const { recording } = await declare({ ...stack, phase: "assess" });
        expect(recording.spec("assess")).to.deep.include({
            targetDirectory: "/srv/bundle",
            bundle: { programs: "/usr/lib/postgresql/15/bin" },
        });
        expect(recording.spec("assess")).not.to.have.property("targetServer");
    });

    it("writes the database in the format that is asked for, and assesses what that takes", async () => {
        const target = { ...emsBundle, databaseFormat: "directory" };
        const { recording } = await declare({ ...stack, target, phase: "migrate" });
        expect(recording.spec("export-database")).to.include({ format: "directory" });
        expect(recording.spec("assess")).to.have.nested.property("bundle.databaseFormat", "directory");
        const plain = await declare({ ...stack, phase: "migrate" });
        expect(plain.recording.spec("export-database")).not.to.have.property("format");
    });

    it("compares the secrets in phase stage, as for every other target", async () => {
        const { recording } = await declare({ ...stack, phase: "stage" });
        expect(recording.spec("prepare-bundle")).to.include.keys("signingKey", "pepper", "macaroonSecretKey");
    });

    it("encrypts to the receiver's key where one is named, and knows no passphrase then", async () => {
        const target = { ...emsBundle, recipientKeyFile };
        const { recording } = await declare({ ...stack, target, passphrase: undefined });
        for (const step of ["prepare-bundle", "export-database", "verify-bundle"]) {
            expect(recording.spec(step), step).to.have.nested.property("bundle.recipientKeyFile", recipientKeyFile);
            expect(recording.spec(step), step).not.to.have.property("passphrase");
        }
    });

    it("protects the bundle where asked and what follows its hand-over, and nothing that a rollback deletes", async () => {
        const { recording } = await declare({ ...stack, phase: "finish", protect: "true" });
        const protectedNames = recording.all.filter(({ protect }) => protect === true).map(({ name }) => name);
        const afterHandOver = ["hand-over", "clear-export", "report"];
        expect(protectedNames).to.have.members(["prepare-bundle", ...afterHandOver]);
    });

    it("gives out the proof of the bundle, and no gateway", async () => {
        const { result } = await declare(stack);
        expect(result.gatewayUrl).to.equal(undefined);
        const proof = result.proofs["verify"];
        expect(proof === undefined ? undefined : await valueOf(proof)).to.match(/^6{64}$/);
    });

    it("declares everything in a preview, where no result is known", async () => {
        const { recording } = await declare({ ...stack, phase: "finish" }, { preview: true });
        expect(recording.names).to.have.members([...upTo("finish"), "report"]);
    });
});

describe("rules of a target of kind emsBundle", () => {
    const rules: readonly (readonly [string, Readonly<Record<string, Setting>>, readonly string[]])[] = [
        ["neither a passphrase nor a key", { passphrase: undefined }, ["SM-E0212 passphrase"]],
        ["a passphrase and a key", { target: { ...emsBundle, recipientKeyFile } }, ["SM-E0211 passphrase"]],
        ["parts that are too small", { target: { ...emsBundle, partBytes: 1000 } }, ["SM-E0211 target.partBytes"]],
        [
            "a format that there is not",
            { target: { ...emsBundle, databaseFormat: "custom" } },
            ["SM-E0211 target.databaseFormat"],
        ],
        ["a gateway", { target: { ...emsBundle, gateway: { port: 1 } } }, ["SM-E0201 target.gateway"]],
        ["a database", { target: { ...emsBundle, database: { kind: "managed" } } }, ["SM-E0201 target.database"]],
        ["a listener", { target: { ...emsBundle, listener: { port: 1 } } }, ["SM-E0201 target.listener"]],
        ["a test account", { canaryUser: "canary", canaryPassword: "x" }, ["SM-E0211 canaryUser"]],
        ["a source that comes as files", { source: bundleSources.emsExport }, ["SM-E0211 target.kind"]],
        [
            "a bundle inside of the work directory",
            { target: { ...emsBundle, directory: "/srv/work/bundle" } },
            ["SM-E0211 target.directory"],
        ],
        ["no signing key from phase stage on", { signingKey: undefined }, ["SM-E0212 signingKey"]],
    ];
    for (const [title, changes, expected] of rules) {
        it(`refuses ${title}`, () => {
            expect(summary(problemsWith({ ...stack, ...changes }))).to.deep.equal(expected);
        });
    }

    it("takes a passphrase, or a key, and parts of whatever size from 1 MiB on", () => {
        expect(configWith({ ...stack, target: { ...emsBundle, partBytes: 1024 * 1024 } }).target).to.include({
            kind: "emsBundle",
            partBytes: 1024 * 1024,
        });
        expect(
            problemsWith({ ...stack, passphrase: undefined, target: { ...emsBundle, recipientKeyFile } }),
        ).to.deep.equal([]);
    });
});
