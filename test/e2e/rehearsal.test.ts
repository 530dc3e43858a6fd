import { join } from "node:path";
import { expect } from "chai";
import { processesBelow } from "../../rehearsal/directory.ts";
import { existsSync, readFileSync } from "node:fs";
import { runRecord } from "../../engine/report/reportRecord.ts";
import { thisMachine } from "../../toolchain/machine.ts";
import { findPulumiCli } from "../../toolchain/pulumiCli.ts";
import { findPlugins } from "../../toolchain/pulumiPlugins.ts";
import { makeTestStack, stackOutputs, type TestStack } from "../support/e2eStack.ts";
import { smallPopulation, startTestSynapse, type TestSynapse } from "../support/synapse.ts";

describe("a rehearsal with Pulumi", function () {
    this.timeout(600_000);
    let synapse: TestSynapse;
    let made: TestStack;

    before(async () => {
        synapse = await startTestSynapse({ population: smallPopulation });
        made = await makeTestStack(synapse, { rehearsal: true, copy: "archive" });
    });
    after(async () => {
        await made.stack.destroy().catch(() => undefined);
        await synapse.stop();
    });

    it("goes to the cut-over by way of an archive in one up beside the running source, isolated, and is destroyed whole", async () => {
        const { stack, listener, gatewayUrl } = made;
        await stack.up("cutover");
        expect(await synapse.homeserver.answers(), "the source was never stopped").to.equal(true);
        const settings = await synapse.cluster.query(
            "SELECT 1 FROM pg_db_role_setting WHERE setconfig::text LIKE '%read_only%'",
        );
        expect(settings.rows, "the source's database was never made read-only").to.deep.equal([]);
        expect(
            listener.lines.some((line) => line.includes(" fence ")),
            "a fence was declared",
        ).to.equal(false);

        expect((await fetch(`${await gatewayUrl()}/_matrix/client/versions`)).status).to.equal(200);
        const { report, runId } = await stack.outputs(stackOutputs);
        const runDirectory = join(synapse.directory, "work", "runs", runId);
        const evidence = readFileSync(join(runDirectory, "evidence", "restore.json"), "utf8");
        expect(evidence, "one-time keys would be handed out twice").to.contain('"oneTimeKeys": "emptied"');
        expect(readFileSync(report.markdown, "utf8").split("\n")[0]).to.match(/: Proven the same server$/);
        const { outcome, plugins, environment } = runRecord.parse(JSON.parse(readFileSync(report.json, "utf8")));
        expect(outcome.notProven).to.deep.equal([]);
        // Whichever plugins there are, the report and the warning tell the truth of them.
        const standIns = findPlugins(thisMachine(), await findPulumiCli(thisMachine())).filter(
            ({ kind }) => kind === "stand-in",
        );
        expect(plugins).to.equal(standIns.length > 0 ? "offline" : "official");
        for (const { name } of standIns) expect(environment[name]).to.match(/^stand-in of synapse-migration/);
        const warnings = listener.lines.filter((line) => line.includes("Pulumi's own plugins are not in use"));
        expect(warnings.length > 0, "the warning of stand-ins").to.equal(standIns.length > 0);
        await stack.up("cutover", "--expect-no-changes");
        expect(existsSync(join(runDirectory, "dump")), "the dump is kept until the end").to.equal(true);
        await stack.up("finish");
        expect(existsSync(join(runDirectory, "dump")), "the dump is removed").to.equal(false);

        await stack.destroy();
        expect(await synapse.homeserver.answers(), "the source still serves").to.equal(true);
        for (const directory of ["target", "work"])
            expect(processesBelow(join(synapse.directory, directory))).to.deep.equal([]);
    });
});
