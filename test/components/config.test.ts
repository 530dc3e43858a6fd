import { expect } from "chai";
import fc from "fast-check";
import { parseConfig } from "../../components/config/parseConfig.ts";
import { reaches } from "../../components/config/effective.ts";
import { phases } from "../../contract/index.ts";
import {
    configWith,
    facts,
    problemsOf,
    problemsWith,
    rawConfig,
    secretTexts,
    source,
    summary,
    target,
} from "./stacks.ts";

describe("parseConfig", () => {
    it("fills in what is not said", () => {
        const config = configWith({
            phase: undefined,
            workDirectory: "",
            canaryUser: undefined,
            canaryPassword: undefined,
        });
        expect(config).to.deep.include({
            serverName: "example.org",
            phase: "assess",
            rehearsal: false,
            disposable: false,
            protect: false,
            run: undefined,
            copy: "direct",
            copyJobs: undefined,
            copyRateLimit: undefined,
            mediaRateLimit: undefined,
            sourceAfterFailure: "restore",
            remoteMedia: "carry",
            acknowledge: [],
            foreignCode: [],
            workDirectory: "/home/admin/.local/state/synapse-migration/test",
            reportDirectory: "/home/admin/.local/state/synapse-migration/test/reports",
        });
        expect(config.source).to.deep.include({
            serverName: "example.org",
            homeserverConfig: ["/srv/source/homeserver.yaml"],
            machine: { kind: "local" },
        });
        expect(config.target).to.deep.include({
            database: { kind: "managed", port: 0, name: "synapse", owner: "synapse", replace: false },
            listener: { bindAddress: "127.0.0.1", port: 0 },
            gateway: { bindAddress: "127.0.0.1", port: 0 },
        });
        expect(config).not.to.have.property("canary");
    });

    it("takes codes of warnings that are accepted, and nothing else", () => {
        expect(configWith({ acknowledge: "SM-W0818, SM-W0704" }).acknowledge).to.deep.equal(["SM-W0818", "SM-W0704"]);
        const problems = problemsOf(() => configWith({ acknowledge: "everything" }));
        expect(summary(problems)).to.deep.equal(["SM-E0211 acknowledge.0"]);
    });

    it("takes the list of missing media that is accepted, as the refusal shows it, and nothing else", () => {
        const acceptMissingMedia = `12:${"0a".repeat(32)}`;
        expect(configWith({ acceptMissingMedia }).acceptMissingMedia).to.equal(acceptMissingMedia);
        for (const other of ["12", "0a".repeat(32), `0:${"0a".repeat(32)}`])
            expect(summary(problemsOf(() => configWith({ acceptMissingMedia: other })))).to.deep.equal([
                "SM-E0211 acceptMissingMedia",
            ]);
    });

    it("takes names of code that is not Synapse's, one a line or behind semicolons", () => {
        const foreignCode = "function public.f(integer, text); trigger public.users: t\n  view public.v\n";
        expect(configWith({ foreignCode }).foreignCode).to.deep.equal([
            ...["function public.f(integer, text)", "trigger public.users: t", "view public.v"],
        ]);
    });

    it("takes several configuration files in their order", () => {
        const homeserverConfig = ["/etc/matrix-synapse/homeserver.yaml", "/etc/matrix-synapse/conf.d"];
        expect(configWith({ source: { ...source, homeserverConfig } }).source.homeserverConfig).to.deep.equal(
            homeserverConfig,
        );
    });

    it("takes units of systemd by their names, with or without what their kind adds", () => {
        const service = { kind: "systemd", units: ["matrix-synapse", "worker@one.service", "a\\x2db@c-d"] };
        expect(configWith({ source: { ...source, service } }).source).to.have.deep.property("service", {
            kind: "systemd",
            units: ["matrix-synapse.service", "worker@one.service", "a\\x2db@c-d.service"],
        });
    });

    it("goes to cutover in a rehearsal, whose target may be destroyed, unless another phase is declared", () => {
        expect(configWith({ phase: undefined, rehearsal: "true" })).to.include({ phase: "cutover", disposable: true });
        expect(configWith({ phase: "stage", rehearsal: "true" })).to.include({ phase: "stage" });
    });

    it("has the test account answered where clients are, unless another address is given", () => {
        expect(configWith().canary).to.deep.equal({ user: "canary", baseUrl: "https://matrix.example.org" });
        expect(configWith({ canaryBaseUrl: "http://127.0.0.1:8008" }).canary?.baseUrl).to.equal(
            "http://127.0.0.1:8008",
        );
    });

    it("knows an empty secret from one that is not set", () => {
        expect([...configWith({ pepper: "" }).secrets]).to.include("pepper");
        const encrypted = facts.encrypted.filter((key) => !key.endsWith(":pepper"));
        expect([...parseConfig(rawConfig({ pepper: "" }), { ...facts, encrypted }).secrets]).not.to.include("pepper");
    });

    it("holds no secret", () => {
        const text = JSON.stringify({ ...configWith(), secrets: undefined });
        for (const secret of Object.values(secretTexts)) expect(text).not.to.include(secret);
    });

    it("does not look at what is configured for others", () => {
        const raw = { ...rawConfig(), "aws:region": "eu-west-1", "synapse-migration-other:phse": "stage" };
        expect(problemsOf(() => parseConfig(raw, facts))).to.deep.equal([]);
    });

    it("reports all problems at once", () => {
        const problems = problemsWith({
            serverName: "",
            phase: "stge",
            phse: "stage",
            copyJobs: "many",
            source: { ...source, servce: {}, service: { kind: "process" } },
            target: { ...target, kind: "docker" },
        });
        expect(summary(problems)).to.have.members([
            "SM-E0212 serverName",
            "SM-E0211 phase",
            "SM-E0201 phse",
            "SM-E0211 copyJobs",
            "SM-E0201 source.servce",
            "SM-E0212 source.service.pidFile",
            "SM-E0211 target.kind",
        ]);
    });

    for (const [key, found, suggestion] of [
        ["phse", "phse", "phase"],
        ["targt", "targt", "target"],
        ["servername", "servername", "serverName"],
        ["signingkey", "signingkey", "signingKey"],
        ["copyJob", "copyJob", "copyJobs"],
    ] as const) {
        it(`suggests ${suggestion} for the unknown key ${key}`, () => {
            const [problem] = problemsWith({ [key]: "x" });
            expect(problem?.code).to.equal("SM-E0201");
            expect(problem?.detail).to.include({ found: `key "${found}"`, fix: `did you mean "${suggestion}"?` });
        });
    }

    for (const [where, changes, suggestion] of [
        ["source.mediastore", { source: { ...source, mediastore: "/srv" } }, "mediaStore"],
        ["source.service.pidfile", { source: { ...source, service: { ...source.service, pidfile: "/x" } } }, "pidFile"],
        ["target.gateway.prt", { target: { ...target, gateway: { prt: 1 } } }, "port"],
        [
            "target.database.adminPasswdFile",
            {
                target: {
                    ...target,
                    database: {
                        ...{ kind: "existing", host: "db", admin: "postgres", adminPasswordFile: "/x" },
                        adminPasswdFile: "/x",
                    },
                },
            },
            "adminPasswordFile",
        ],
    ] as const) {
        it(`suggests ${suggestion} for ${where}`, () => {
            const [problem] = problemsWith(changes);
            expect(summary(problem === undefined ? [] : [problem])).to.deep.equal([`SM-E0201 ${where}`]);
            expect(problem?.detail.fix).to.equal(`did you mean "${suggestion}"?`);
        });
    }

    it("suggests nothing for a key that is like no other", () => {
        const [problem] = problemsWith({ kubernetesNamespace: "x" });
        expect(problem?.detail).not.to.have.property("fix");
        expect(problem?.detail.expected).to.include("serverName");
    });

    it("looks at a source without secrets", () => {
        expect(problemsWith({ phase: "assess", signingKey: undefined, macaroonSecretKey: undefined })).to.deep.equal(
            [],
        );
    });

    it("says what may stand where a kind is not known", () => {
        const [problem] = problemsWith({ target: { ...target, database: { kind: "rented" } } });
        expect(problem?.detail).to.include({ found: '"rented"', where: "target.database.kind" });
        expect(problem?.detail.expected).to.match(/managed.*existing/);
    });

    for (const key of Object.keys(secretTexts)) {
        it(`refuses ${key} in plain text, and does not repeat it`, () => {
            const encrypted = facts.encrypted.filter((name) => !name.endsWith(`:${key}`));
            const problems = problemsOf(() => parseConfig(rawConfig(), { ...facts, encrypted }));
            expect(summary(problems)).to.deep.equal([`SM-E0222 ${key}`]);
            for (const secret of Object.values(secretTexts))
                expect(problems.map(({ block }) => block).join("\n")).not.to.include(secret);
        });
    }

    it("refuses a plain key that is encrypted, and does not repeat it", () => {
        const encrypted = [...facts.encrypted, "synapse-migration:remoteMedia"];
        const problems = problemsOf(() => parseConfig(rawConfig({ remoteMedia: "hidden" }), { ...facts, encrypted }));
        expect(summary(problems)).to.deep.equal(["SM-E0211 remoteMedia"]);
        expect(problems[0]?.block).not.to.include("hidden");
    });

    it("refuses the passphrase of a bundle that a self-hosted source does not have", () => {
        const encrypted = [...facts.encrypted, "synapse-migration:passphrase"];
        const problems = problemsOf(() => parseConfig(rawConfig({ passphrase: "x" }), { ...facts, encrypted }));
        expect(summary(problems)).to.deep.equal(["SM-E0211 passphrase"]);
    });

    it("cuts long values short", () => {
        const [problem] = problemsWith({ phase: "x".repeat(5000) });
        expect(problem?.detail.found.length).to.be.lessThan(200);
    });

    it("never fails otherwise than with its own errors, and never for a reason that it does not name", () => {
        const key = fc.oneof(
            fc.constantFrom("phase", "run", "source", "target", "copyJobs", "stack", "publicBaseUrl"),
            fc.string({ minLength: 1 }),
        );
        const text = fc.oneof(fc.string(), fc.json(), fc.constantFrom("", "true", "null", "[]", "{}"));
        fc.assert(
            fc.property(fc.dictionary(key, text), (changes) => {
                for (const problem of problemsOf(() => parseConfig(rawConfig(changes), facts))) {
                    expect(problem.detail.where).not.to.equal("");
                    expect(problem.code).to.match(/^SM-E02(01|11|12|20)$/);
                }
            }),
            { numRuns: 300 },
        );
    });
});

describe("reaches", () => {
    it("includes a phase and all before it, and none after it", () => {
        fc.assert(
            fc.property(fc.nat(phases.length - 1), fc.nat(phases.length - 1), (declared, asked) => {
                const [one, other] = [phases[declared], phases[asked]];
                if (one === undefined || other === undefined) throw new Error("no such phase");
                expect(reaches(one, other)).to.equal(asked <= declared);
            }),
        );
    });
});
