import { setTimeout as delay } from "node:timers/promises";
import { expect } from "chai";
import { clockChecks, skewFindings, targetClockId } from "../../../engine/assess/clockChecks.ts";
import { clockSkew } from "../../../engine/postgres/server/clockSkew.ts";
import { freePort } from "../../../engine/machines/freePort.ts";
import { testCluster, type TestCluster } from "../../support/cluster.ts";
import { withSkewedClock } from "../../support/skewedClock.ts";
import { runCheck } from "./runCheck.ts";

const here = {
    ...{ kind: "selfHosted" as const, serverName: "example.org", homeserverConfig: ["/no/such"] },
    ...{ machine: { kind: "local" as const }, service: { kind: "process" as const, pidFile: "/no/such" } },
};
const clock = (): number => Date.now() / 1000;

describe("the clocks of source and target (P52, B51)", function () {
    this.timeout(60_000);
    let cluster: TestCluster;

    const targetAt = (port: number) => ({
        ...{ kind: "existing" as const, host: "127.0.0.1", port, admin: "migrator" },
        ...{ adminPasswordFile: cluster.passwordFile, programs: cluster.programs, directory: "/no/such" },
    });
    /** Codes of what a check finds on a server whose clock is that far ahead. */
    const onSkewed = (seconds: number, which: "source-clock" | "target-clock"): Promise<[string[], string]> =>
        withSkewedClock({ host: "127.0.0.1", port: cluster.port }, seconds, async (port) => {
            const real = cluster.address("postgres", "migrator");
            const found =
                which === targetClockId
                    ? await runCheck(clockChecks, which, real, { targetServer: targetAt(port) })
                    : await runCheck(clockChecks, which, { ...real, port }, { source: here });
            if (found === "not-run") throw new Error(`${which} did not run`);
            return [found.map(({ id }) => id), found[0]?.evidence ?? ""];
        });

    before(async () => {
        cluster = await testCluster();
    });

    for (const which of ["source-clock", "target-clock"] as const) {
        it(`is fine to within 5 s, warned of above, and refused above 60 s: ${which}`, async () => {
            expect((await onSkewed(0, which))[0]).to.deep.equal([]);
            expect((await onSkewed(-4, which))[0]).to.deep.equal([]);
            const [warned, behind] = await onSkewed(-8, which);
            expect(warned).to.deep.equal(["SM-W1204"]);
            expect(behind).to.match(
                /PostgreSQL server is (7\.9|8\.0|8\.1) s behind this machine's, to within 0\.\d s$/,
            );
            expect((await onSkewed(58, which))[0]).to.deep.equal(["SM-W1204"]);
            const [refused, ahead] = await onSkewed(300, which);
            expect(refused).to.deep.equal(["SM-E1204"]);
            expect(ahead).to.contain(
                `the clock of the ${which.replace("-clock", "'s")} PostgreSQL server is 300.0 s ahead`,
            );
        });
    }

    it("are not asked where the server is of this machine, or a bundle's receiver's, and not run where it does not answer", async () => {
        const address = cluster.address("postgres", "migrator");
        const target = (spec: Parameters<typeof runCheck>[3]) => runCheck(clockChecks, targetClockId, address, spec);
        const { programs } = cluster;
        expect(await target({ bundle: { programs } })).to.deep.equal([]);
        expect(await target({ targetServer: { kind: "managed", directory: "/d", port: 0, programs } })).to.deep.equal(
            [],
        );
        expect(await target({ targetServer: targetAt(await freePort()) })).to.equal("not-run");
        expect(await target({})).to.equal("not-run");
    });

    it("are compared by the answer that came fastest, halfway between question and answer", async () => {
        const waits = [300, 0, 300, 300, 300];
        const { seconds, uncertainty } = await clockSkew(async () => {
            // All of the time is lost on the way back: taken for halfway, half of it is wrong.
            const there = clock() + 30;
            await delay(waits.shift() ?? 300);
            return there;
        });
        expect(seconds).to.be.closeTo(30, 0.1);
        expect(uncertainty).to.be.lessThan(0.1);
    });

    it("are not blamed for what may be the network's", () => {
        expect(skewFindings("source.example.org", { seconds: 8, uncertainty: 4 })).to.deep.equal([]);
        expect(skewFindings("source.example.org", { seconds: -61, uncertainty: 2 }).map(({ id }) => id)).to.deep.equal([
            "SM-W1204",
        ]);
    });
});
