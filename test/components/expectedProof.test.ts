/** What will not be proven is known from the configuration, and said before anything is stopped. */
import { expect } from "chai";
import { refuseIfBlocked } from "../../components/assessment.ts";
import { expectedProof, withExpectedProof } from "../../components/expectedProof.ts";
import { MigrationError } from "../../engine/run/errors.ts";
import { assessment } from "./stepResults.ts";
import { bundleSources, configWith, passphrase, target, type Setting } from "./stacks.ts";

const nobody = { canaryUser: undefined, canaryPassword: undefined };
const backup = { ...nobody, source: bundleSources.backup, publicBaseUrl: undefined };
const severity = (changes: Readonly<Record<string, Setting>>): string | undefined =>
    expectedProof(configWith(changes))?.severity;

describe("a move without a test account", () => {
    for (const phase of ["assess", "stage", "migrate"])
        it(`is warned of in phase ${phase}, in which the source can still come back`, () => {
            expect(severity({ ...nobody, phase })).to.equal("warning");
            expect(severity({ ...backup, phase })).to.equal("warning");
        });

    for (const phase of ["cutover", "finish"]) {
        it(`blocks in phase ${phase}, by name and with what to configure`, () => {
            const config = configWith({ ...nobody, phase });
            const error = (() => {
                try {
                    refuseIfBlocked(config, withExpectedProof(config, assessment));
                } catch (caught) {
                    return caught;
                }
                return undefined;
            })();
            if (!(error instanceof MigrationError)) throw new Error("nothing was refused");
            expect(error.code).to.equal("SM-E0300");
            expect(error.detail.found)
                .to.match(/^1 blocking findings\nSM-W0605 /)
                .and.include("8 of the probe's 12 checks")
                .and.include("npx pulumi config set canaryUser <name>; npx pulumi config set --secret canaryPassword")
                .and.include("add SM-W0605 to config `acknowledge`");
        });

        it(`goes on in phase ${phase} once it is acknowledged, and keeps saying so`, () => {
            for (const stack of [nobody, backup])
                expect(severity({ ...stack, phase, acknowledge: "SM-W0713 SM-W0605" })).to.equal("warning");
        });
    }

    it("does not stand in the way of a committed target, for which nothing is left to decide", () => {
        const config = configWith({ ...nobody, phase: "finish" });
        const committed = { ...assessment, committed: true };
        expect(withExpectedProof(config, committed)).to.deep.equal(committed);
        refuseIfBlocked(config, withExpectedProof(config, committed));
    });

    it("is nothing where nothing is at stake: a rehearsal, a disposable target, files that nobody starts", () => {
        expect(severity({ ...nobody, rehearsal: "true" })).to.equal(undefined);
        expect(severity({ ...nobody, disposable: "true" })).to.equal(undefined);
        const emsBundle = {
            ...{ kind: "emsBundle", directory: "/srv/bundle" },
            ...{ synapsePython: target.synapsePython, postgresPrograms: target.postgresPrograms },
        };
        expect(severity({ ...nobody, target: emsBundle, passphrase })).to.equal(undefined);
    });

    it("is nothing where there is an account, or, for a source that comes as files, one to log in with", () => {
        expect(severity({})).to.equal(undefined);
        expect(severity({ ...backup, canaryUser: "canary", canaryPassword: "secret-canary-77d2" })).to.equal(undefined);
        expect(expectedProof(configWith(backup))?.fix).to.include("whose password you know");
    });
});
