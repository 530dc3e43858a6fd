import { expect } from "chai";
import { bundleSources, problemsWith, source, summary, target } from "./stacks.ts";

describe("rules of the configuration", () => {
    for (const [title, changes, expected] of [
        ["a phase that there is not", { phase: "deploy" }, "SM-E0211 phase"],
        ["a boolean that is none", { protect: "yes" }, "SM-E0211 protect"],
        ["a number out of range", { copyJobs: "65" }, "SM-E0211 copyJobs"],
        ["a number that is none", { copyJobs: "2.5" }, "SM-E0211 copyJobs"],
        ["text where an object belongs", { source: "selfHosted" }, "SM-E0211 source"],
        ["a relative path", { target: { ...target, directory: "target" } }, "SM-E0211 target.directory"],
        ["a user with a name that no user has", { target: { ...target, user: "a b" } }, "SM-E0211 target.user"],
        ["a relative work directory", { workDirectory: "work" }, "SM-E0211 workDirectory"],
        ["a copy mode that there is not", { copy: "by-hand" }, "SM-E0211 copy"],
        ["a direct copy out of files", { source: bundleSources.backup, copy: "direct" }, "SM-E0211 copy"],
        ["a rate that no archive has", { copy: "archive", copyRateLimit: "10" }, "SM-E0211 copyRateLimit"],
        [
            "a rate of media that come as files",
            { source: bundleSources.backup, mediaRateLimit: "10" },
            "SM-E0211 mediaRateLimit",
        ],
        ["a source kind that there is not", { source: { ...source, kind: "synology" } }, "SM-E0211 source.kind"],
        [
            "a service kind that there is not yet",
            { source: { ...source, service: { kind: "runit" } } },
            "SM-E0211 source.service.kind",
        ],
        [
            "a service of systemd without units",
            { source: { ...source, service: { kind: "systemd", units: [] } } },
            "SM-E0211 source.service.units",
        ],
        ...[
            "/lib/systemd/system/synapse.service",
            "synapse/../nginx",
            "worker@.service",
            "synapse.target",
            "a b",
            "-f",
        ].map(
            (unit) =>
                [
                    `a unit that is no service's name: ${unit}`,
                    { source: { ...source, service: { kind: "systemd", units: ["synapse", unit] } } },
                    "SM-E0211 source.service.units.1",
                ] as const,
        ),
        ["a run id that cannot name a database", { run: "Run-1" }, "SM-E0211 run"],
        [
            "a database name that needs quotes",
            { target: { ...target, database: { kind: "managed", name: "My DB" } } },
            "SM-E0211 target.database.name",
        ],
        ["an address that is no URL", { publicBaseUrl: "matrix.example.org" }, "SM-E0211 publicBaseUrl"],
        ["no server name", { serverName: undefined }, "SM-E0212 serverName"],
        ["no source", { source: undefined }, "SM-E0212 source"],
        ["no configuration file", { source: { ...source, homeserverConfig: [] } }, "SM-E0211 source.homeserverConfig"],
        [
            "a target inside of the work directory",
            { target: { ...target, directory: "/srv/work/target" } },
            "SM-E0211 target.directory",
        ],
        ["a work directory inside of the target", { workDirectory: "/srv/target/work" }, "SM-E0211 target.directory"],
        [
            "a rehearsal that replaces a database",
            { rehearsal: "true", target: { ...target, database: { kind: "managed", replace: true } } },
            "SM-E0211 target.database.replace",
        ],
        [
            "listener and gateway on one port",
            { target: { ...target, listener: { port: 8008 }, gateway: { port: 8008 } } },
            "SM-E0211 target.gateway.port",
        ],
        ["a test account without an address", { publicBaseUrl: undefined }, "SM-E0212 canaryBaseUrl"],
        ["a test account without a password", { canaryPassword: undefined }, "SM-E0212 canaryPassword"],
        ["a password without a test account", { canaryUser: undefined }, "SM-E0212 canaryUser"],
        ["no signing key from phase stage on", { signingKey: undefined, phase: "stage" }, "SM-E0212 signingKey"],
        ["no macaroon secret from phase stage on", { macaroonSecretKey: undefined }, "SM-E0212 macaroonSecretKey"],
        ["a file that was copied from another stack", { stack: "prod" }, "SM-E0220 stack"],
    ] as const) {
        it(`refuses ${title}`, () => {
            expect(summary(problemsWith(changes))).to.deep.equal([expected]);
        });
    }
});
