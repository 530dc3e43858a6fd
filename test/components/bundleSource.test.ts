import { expect } from "chai";
import { z } from "zod";
import { phases, type Phase } from "../../contract/index.ts";
import { unwrappedSecret } from "./recorder.ts";
import {
    bundleSources,
    configWith,
    declare,
    passphrase,
    problemsWith,
    secretKey,
    summary,
    type Setting,
} from "./stacks.ts";
import { contractsByStep } from "./stepResults.ts";

/** What a source that runs needs, and files do not. */
const noServer = { publicBaseUrl: undefined, canaryUser: undefined, canaryPassword: undefined };

const stepsOf: Readonly<Record<Phase, readonly string[]>> = {
    assess: ["assess"],
    stage: ["guard-stage", "secrets", "database", "media-storage", "configure", "gateway"],
    migrate: ["guard-migrate", "safeguard", "import", "import-media", "verify", "swap", "start", "probe"],
    cutover: ["guard-cutover", "commit", "open"],
    finish: ["cleanup"],
};
const upTo = (phase: Phase): string[] => phases.slice(0, phases.indexOf(phase) + 1).flatMap((each) => stepsOf[each]);

for (const [kind, source] of Object.entries(bundleSources)) {
    const declared = (changes: Readonly<Record<string, Setting>> = {}) =>
        declare({ ...noServer, source, passphrase, ...changes });

    describe(`HomeserverMigration of a source of kind ${kind}`, () => {
        for (const phase of phases) {
            it(`declares the steps up to phase ${phase}: no fence, dump, canary, or early media`, async () => {
                const { recording } = await declared({ phase });
                expect(recording.names).to.have.members([...upTo(phase), "report"]);
            });
        }

        it("gives every step a specification that its contract accepts", async () => {
            const { recording } = await declared({ phase: "finish" });
            for (const name of recording.names) {
                const parsed = contractsByStep.get(name)?.spec.safeParse(recording.spec(name));
                expect(parsed?.error, name).to.equal(undefined);
            }
        });

        it("imports after the safeguard and all that is staged, media after that, and verifies both before the swap", async () => {
            const { recording } = await declared({ phase: "finish" });
            const chain = ["safeguard", "import", "import-media", "verify", "swap", "start", "probe", "commit", "open"];
            for (const [index, step] of chain.entries())
                expect([...recording.before(step)], step).to.include.members([
                    ...upTo("stage"),
                    "guard-migrate",
                    ...chain.slice(0, index),
                ]);
            expect([...recording.before("safeguard")]).to.not.include("import");
        });

        it("passes on what was imported, and not what was dumped", async () => {
            const { recording } = await declared();
            expect(recording.spec("import")).to.deep.include({ safeguard: "empty", jobs: 2 });
            expect(recording.spec("import")).to.have.deep.property("verifyKeys", {
                "ed25519:a_AbCd": "Y2FuIGJlIHJlYWQgYnkgZXZlcnlib2R5",
            });
            expect(recording.spec("import-media")).to.include({ incoming: "synapse_incoming_r1" });
            expect(recording.spec("verify")).to.deep.include({
                manifestFile: "/srv/work/runs/r1/import-manifest.json",
                manifestDigest: "9".repeat(64),
                mediaTreeDigest: "8".repeat(64),
                mediaRowsAdded: 3,
                oneTimeKeys: "emptied",
            });
            for (const step of ["start", "commit"])
                expect(recording.spec(step), step).not.to.have.property("fenceToken");
        });

        for (const [title, secret] of [
            ["passphrase", passphrase],
            ["secret key", secretKey],
        ] as const)
            it(`gives the ${title} to what opens files and to nothing else, inside of a secret`, async () => {
                const { recording } = await declared({ phase: "finish", secretKey });
                const holders = recording.commands.filter(({ inputs }) =>
                    z.string().parse(unwrappedSecret(inputs["stdin"])).includes(secret),
                );
                expect(holders.map(({ name }) => name)).to.have.members(["assess", "import", "import-media"]);
                for (const { type, name, inputs } of recording.all) {
                    const open = { ...inputs, stdin: undefined };
                    expect(JSON.stringify(open), `${type} ${name}`).not.to.include(secret);
                }
            });

        it("tells the assessment of a rehearsal, in which nobody has to stop anything", async () => {
            expect((await declared()).recording.spec("assess")).to.include({ rehearsal: false });
            const { recording } = await declared({ phase: undefined, rehearsal: "true" });
            expect(recording.spec("assess")).to.include({ rehearsal: true });
            expect(recording.spec("configure")).to.include({ isolated: true });
        });

        it("logs in as a test account that could not leave anything behind", async () => {
            const account = { canaryUser: "canary", canaryPassword: "secret-canary-77d2" };
            const { recording } = await declared(account);
            expect(recording.names).to.not.include("canary");
            expect(recording.spec("probe")).to.include(account).and.not.to.have.property("canaryFile");
        });

        it("declares everything in a preview, where no result is known", async () => {
            const { recording } = await declare(
                { ...noServer, source, passphrase, phase: "finish" },
                { preview: true },
            );
            expect(recording.names).to.have.members([...upTo("finish"), "report"]);
        });
    });
}

describe("rules of a source that comes as files", () => {
    const { emsExport, backup } = bundleSources;
    const problems = (changes: Readonly<Record<string, Setting>>): string[] =>
        summary(problemsWith({ ...noServer, source: emsExport, ...changes }));

    it("takes one path or a list of them, for database, media and configuration", () => {
        expect(configWith({ ...noServer, source: backup }).source).to.deep.equal({
            kind: "backup",
            serverName: "example.org",
            database: [backup.database],
            media: [backup.media],
            homeserverConfig: [backup.homeserverConfig],
        });
        const database = ["/srv/dump.sql.gz.part-aa", "/srv/dump.sql.gz.part-ab"];
        expect(configWith({ ...noServer, source: { ...emsExport, database } }).source).to.deep.include({
            database,
            media: emsExport.media,
        });
    });

    it("takes a passphrase, old signing keys, and a server that was stopped", () => {
        const told = {
            oldSigningKeys: { "ed25519:a_old": { key: "Y2FuIGJlIHJlYWQ", expired_ts: 1_700_000_000_000 } },
            stoppedBeforeExport: true,
        };
        const config = configWith({ ...noServer, source: { ...emsExport, ...told }, passphrase });
        expect(config.source).to.deep.include(told);
        expect([...config.secrets]).to.include("passphrase");
    });

    it("goes on without a macaroon secret, and never without a signing key", () => {
        expect(problems({ macaroonSecretKey: undefined })).to.deep.equal([]);
        expect(problems({ signingKey: undefined })).to.deep.equal(["SM-E0212 signingKey"]);
    });

    it("needs no address of a server for a test account", () => {
        expect(problems({ canaryUser: "canary", canaryPassword: "secret-canary-77d2" })).to.deep.equal([]);
    });

    it("has no passphrase for a source that runs", () => {
        expect(summary(problemsWith({ passphrase }))).to.deep.equal(["SM-E0211 passphrase"]);
    });

    it("takes a secret key with and without its passphrase, and only for files", () => {
        for (const phrase of [undefined, passphrase])
            expect([
                ...configWith({ ...noServer, source: emsExport, secretKey, passphrase: phrase }).secrets,
            ]).to.include("secretKey");
        expect(summary(problemsWith({ secretKey }))).to.deep.equal(["SM-E0211 secretKey"]);
    });

    for (const [title, source, expected] of [
        ["a kind that there is not", { ...emsExport, kind: "emsexport" }, "SM-E0211 source.kind"],
        ["no kind", { database: emsExport.database }, "SM-E0212 source.kind"],
        ["no database", { kind: "backup" }, "SM-E0212 source.database"],
        ["an empty list of files", { ...backup, database: [] }, "SM-E0211 source.database"],
        ["an empty list of media", { ...backup, media: [] }, "SM-E0211 source.media"],
        ["a relative path", { ...backup, database: ["dump.sql"] }, "SM-E0211 source.database.0"],
        ["a single relative path", { ...backup, media: "media" }, "SM-E0211 source.media.0"],
        [
            "an old key without the time it expired",
            { ...emsExport, oldSigningKeys: { "ed25519:a_old": { key: "Y2Fu" } } },
            "SM-E0212 source.oldSigningKeys.ed25519:a_old.expired_ts",
        ],
    ] as const) {
        it(`refuses ${title}`, () => {
            expect(problems({ source })).to.deep.equal([expected]);
        });
    }

    for (const [where, source, suggestion] of [
        ["source.databse", { ...emsExport, databse: "/x" }, "database"],
        ["source.mediaStore", { ...emsExport, mediaStore: "/x" }, undefined],
        ["source.oldSigningKey", { ...backup, oldSigningKey: {} }, "oldSigningKeys"],
        ["source.stopedBeforeExport", { ...backup, stopedBeforeExport: true }, "stoppedBeforeExport"],
    ] as const) {
        it(`refuses the unknown key ${where}${suggestion === undefined ? "" : `, and suggests ${suggestion}`}`, () => {
            const [problem, ...others] = problemsWith({ ...noServer, source });
            expect(others).to.deep.equal([]);
            expect(summary(problem === undefined ? [] : [problem])).to.deep.equal([`SM-E0201 ${where}`]);
            if (suggestion !== undefined) expect(problem?.detail.fix).to.equal(`did you mean "${suggestion}"?`);
        });
    }

    it("does not suggest a key that only sources of another kind have", () => {
        const [problem] = problemsWith({ ...noServer, source: { ...backup, servce: {} } });
        expect(problem?.detail.fix ?? "").not.to.include("service");
    });
});
