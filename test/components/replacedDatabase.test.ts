import { expect } from "chai";
import { declare, problemsWith, summary, target } from "./stacks.ts";

const replacing = { ...target, database: { kind: "managed", replace: true } };
const copy = { manifestFile: "/srv/work/runs/r1/safeguard/manifest.json", digest: "a".repeat(64) };
const copied = JSON.stringify({ previous: "copied", ...copy, rows: 7, bytes: 700, seconds: 1 });
const now = Date.now();
const opened = (hoursAgo: number): string =>
    JSON.stringify({ openedAt: new Date(now - hoursAgo * 3_600_000).toISOString(), checks: [] });

describe("a database that is replaced", () => {
    it("is refused unless the configuration says that it may be replaced", async () => {
        const { recording } = await declare({ phase: "finish" });
        expect(recording.spec("database")).to.include({ replace: false });
        expect(recording.spec("safeguard")).to.include({ replace: false });
        for (const step of ["swap", "cleanup"]) expect(recording.spec(step), step).not.to.have.property("copy");
    });

    for (const kind of ["managed", "existing"]) {
        it(`may be on a server of kind ${kind}`, async () => {
            const server = kind === "managed" ? {} : { host: "db.example.org", adminPasswordFile: "/etc/admin" };
            const database = { kind, replace: true, ...server };
            const { recording } = await declare({ target: { ...target, database }, copyJobs: "3" });
            expect(recording.spec("database")).to.include({ replace: true });
            expect(recording.spec("safeguard")).to.include({ replace: true, jobs: 3 });
        });
    }

    it("is put aside and later removed by steps that know its copy", async () => {
        const { recording } = await declare({ phase: "finish", target: replacing }, { outputs: { safeguard: copied } });
        for (const step of ["swap", "cleanup"]) expect(recording.spec(step), step).to.deep.include({ copy });
        expect(recording.spec("cleanup")).to.include({ safeguardHours: 24 });
    });

    it("is looked at again once it has been kept long enough, and once only", async () => {
        const seen = async (hoursAgo: number, outputs: object = { safeguard: copied }, hours = "24") => {
            const changes = { phase: "finish", target: replacing, safeguardHours: hours };
            const { recording } = await declare(changes, { outputs: { ...outputs, open: opened(hoursAgo) } });
            return recording.command("cleanup").inputs["environment"];
        };
        expect(await seen(1)).to.deep.equal(await seen(1));
        expect(JSON.stringify(await seen(1))).to.match(/kept until/);
        expect(JSON.stringify(await seen(25))).to.match(/due since/);
        expect(await seen(25)).to.deep.equal(await seen(25));
        expect(JSON.stringify(await seen(25, { safeguard: copied }, "48"))).to.match(/kept until/);
        expect(await seen(1, {})).to.deep.equal(await seen(25, {}));
    });

    it("cannot be kept for less than a day", () => {
        expect(summary(problemsWith({ safeguardHours: "23" }))).to.deep.equal(["SM-E0211 safeguardHours"]);
        expect(summary(problemsWith({ safeguardHours: "soon" }))).to.deep.equal(["SM-E0211 safeguardHours"]);
        expect(
            summary(problemsWith({ target: { ...target, database: { kind: "managed", replace: "yes" } } })),
        ).to.deep.equal(["SM-E0211 target.database.replace"]);
    });
});
