/** The headline claims what was shown, and nothing that was only not contradicted. */
import { expect } from "chai";
import { canaryChecks } from "../../../engine/probe/canaryChecks.ts";
import { factsOf } from "../../../engine/report/collect.ts";
import { htmlReport } from "../../../engine/report/html.ts";
import { markdownReport } from "../../../engine/report/markdown.ts";
import { outcomeOf } from "../../../engine/report/outcome.ts";
import { runRecord, type RunRecord } from "../../../engine/report/reportRecord.ts";
import { MatrixApi } from "../../../engine/synapse/api/matrixApi.ts";
import type { Check } from "../../../contract/index.ts";
import { journal, migrated, undone, type Line } from "./fixtures.ts";

const passed = (id: string): Check => ({ id, state: "passed", evidence: "seen" });
const verified = [passed("database-rows"), passed("media.complete")];
const answered = ["server-keys", "client-versions", "write-old-room", "write-new-room"].map(passed);
const left = [
    "old-access-token",
    "old-sync-token",
    "known-event",
    "known-media",
    "password-pepper",
    "guest-token-macaroon",
].map(passed);

const withoutResults: Line[] = migrated.map((line) =>
    line.step === "verify" || line.step === "probe" ? { ...line, result: {} } : line,
);

function recordOf(verify: readonly Check[], probe: readonly Check[], lines = withoutResults): RunRecord {
    const seen = { findings: [], tables: [], versions: {}, unread: [] };
    const facts = factsOf({ run: { id: "a", directory: "/a" }, phase: "cutover", environment: {} }, journal(lines), [
        { step: "verify", checks: verify, ...seen },
        { step: "probe", checks: probe, ...seen },
    ]);
    return runRecord.parse({ ...facts, outcome: outcomeOf(facts) });
}
const changed = (checks: readonly Check[], id: string, to: Partial<Check>): Check[] =>
    checks.map((check) => (check.id === id ? { ...check, ...to } : check));
const open = ({ outcome }: RunRecord): string[] => outcome.notProven.map(({ what }) => what);

describe("the headline of a move", () => {
    it("is a proof when every proof of identity ran and passed", () => {
        const run = recordOf(verified, [...answered, ...left]);
        expect(run.outcome).to.deep.include({ state: "proven", headline: "Proven the same server", notProven: [] });
    });

    it("names all that a test account would have shown where none is configured, in every form of the report", async () => {
        const api = new MatrixApi("http://127.0.0.1:9");
        const nobody = { user: undefined, password: undefined, pepper: undefined };
        const probe = [...answered, ...(await canaryChecks(api, undefined, nobody, { runId: "a" }))];
        // As the finding SM-W0605 says before the move.
        expect(probe.filter(({ state }) => state === "not-run")).to.have.length(8);
        const run = recordOf(verified, probe);
        const headline =
            "Moved; not proven: passwords, sessions and devices, sync positions, rooms and messages, media downloads, guest tokens";
        expect(run.outcome).to.include({ state: "moved", headline });
        expect(run.outcome.notProven[0]).to.deep.equal({
            what: "passwords",
            step: "probe",
            check: "password-pepper",
            reason: "no test account is configured (config `canaryUser`)",
        });
        const [markdown, html] = [markdownReport(run), htmlReport(run)];
        expect(markdown).to.include(headline).and.include("- **rooms and messages**: no test account is configured");
        expect(html).to.include(`<title>example.org: ${headline}</title>`).and.include("<h3>Not proven</h3>");
        expect(html).to.include('class="outcome warn"');
        for (const form of [markdown, html, JSON.stringify(run)]) expect(form).to.not.match(/proven the same server:/i);
    });

    it("says with a login alone, as for a source that comes as files, what only a running source could have been given", () => {
        const notRun = { state: "not-run", evidence: "a source that comes as files" } as const;
        const probe = left.map((check) => (check.id === "password-pepper" ? check : { ...check, ...notRun }));
        expect(open(recordOf(verified, [...answered, ...probe]))).to.deep.equal([
            "sessions and devices",
            "sync positions",
            "rooms and messages",
            "media downloads",
            "guest tokens",
        ]);
    });

    it("asks for no guest token where the source gives none", () => {
        const none = changed(left, "guest-token-macaroon", { state: "not-run", evidence: "the source gives none" });
        expect(open(recordOf(verified, [...answered, ...none]))).to.deep.equal([]);
    });

    it("counts a warning as not proven: a login that does not reach the pepper, media that were left behind", () => {
        const probe = changed(left, "password-pepper", { state: "warning", evidence: "exceed 72 bytes" });
        const verify = changed(verified, "media.complete", { state: "warning", evidence: "5 of 9 media" });
        const { notProven } = recordOf(verify, [...answered, ...probe]).outcome;
        expect(notProven.map(({ what, reason }) => [what, reason])).to.deep.equal([
            ["media files", "5 of 9 media"],
            ["passwords", "exceed 72 bytes"],
        ]);
    });

    it("misses what no evidence tells of", () => {
        expect(open(recordOf([], left))).to.deep.equal(["signing key and server name", "database rows", "media files"]);
    });

    it("needs every row compared, not the newest alone", () => {
        const quick: Check = { id: "replica-rows", state: "not-run", evidence: "verify: quick" };
        const verify = [quick, passed("media.arrived")];
        expect(open(recordOf(verify, [...answered, ...left]))).to.deep.equal(["database rows"]);
        expect(open(recordOf([passed("replica-rows"), passed("media.arrived")], [...answered, ...left]))).to.deep.equal(
            [],
        );
    });

    it("does not take what was taken back since", () => {
        const { outcome } = recordOf(
            verified,
            [...answered, ...left],
            [...withoutResults, ...undone("probe", 9000, 1)],
        );
        expect(outcome.headline).to.equal("Under way, not proven yet");
    });

    it("is the difference that was found, before all that was not run", () => {
        const probe = changed(left, "known-event", { state: "failed", evidence: "404" });
        const { outcome } = recordOf(verified, probe);
        expect(outcome).to.include({ state: "unproven", headline: "Not proven the same server" });
    });
});
