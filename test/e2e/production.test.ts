import { existsSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { z } from "zod";
import { checkHomeserver } from "../../rehearsal/check.ts";
import { processesBelow } from "../../rehearsal/directory.ts";
import { MigrationError } from "../../engine/run/errors.ts";
import { makeTestStack, stackOutputs, type TestStack } from "../support/e2eStack.ts";
import { powerCut } from "../support/powerCut.ts";
import { smallPopulation, startTestSynapse, type TestSynapse } from "../support/synapse.ts";
import { synapseMigrate } from "../support/synapseMigrate.ts";
import { queryTarget } from "../support/targetCluster.ts";

/** What the administrator says of a target without a supervisor. */
const production = { acknowledge: "SM-W0745" };

describe("a homeserver that was moved for good", function () {
    this.timeout(900_000);
    let synapse: TestSynapse;
    let made: TestStack;
    let url: string;
    const below = (...path: string[]): string => join(synapse.directory, ...path);
    const serves = async (): Promise<boolean> =>
        (await fetch(`${url}/_matrix/client/versions`).catch(() => undefined))?.status === 200;

    before(async () => {
        synapse = await startTestSynapse({ population: smallPopulation });
        made = await makeTestStack(synapse, production);
        await made.stack.up("cutover");
        url = await made.gatewayUrl();
    });
    after(async () => {
        await synapse.stop();
    });
    afterEach(async () => {
        expect(await serves(), "the moved server serves on").to.equal(true);
        expect(await synapse.homeserver.answers(), "a committed source never serves again").to.equal(false);
    });

    async function notDestroyed(): Promise<void> {
        const before = await made.stack.exportState();
        expect(await refused(() => made.stack.destroy())).to.match(/protected/);
        expect(resourcesOf(await made.stack.exportState())).to.deep.equal(resourcesOf(before));
    }

    /** @returns what Pulumi said when it refused */
    async function refused(work: () => Promise<unknown>): Promise<string> {
        const said = made.listener.lines.length;
        const error = await work().then(
            () => undefined,
            (caught: unknown) => caught,
        );
        expect(error, "it was done").to.be.instanceOf(MigrationError);
        return made.listener.lines.slice(said).join("\n");
    }

    it("is not destroyed by the very next command: Pulumi refuses before anything is deleted", () => notDestroyed());

    it("is the same server, and nothing is left to do", async () => {
        const { expectations } = synapse;
        if (expectations === undefined) throw new Error("the source was not filled");
        const results = await checkHomeserver({ baseUrl: url, expectations, progress: made.listener });
        expect(results.filter(({ passed }) => !passed)).to.deep.equal([]);
        await made.stack.up("cutover", "--expect-no-changes");
        await made.stack.preview("--expect-no-changes");
    });

    it("has nothing of the move in its database but the marker, and the test account nothing that it was given", async () => {
        const tables = await queryTarget(
            synapse,
            "synapse",
            z.object({ name: z.string() }),
            `SELECT n.nspname || '.' || c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind <> 'i' AND (n.nspname = 'synapse_migration' OR c.relname LIKE 'synapse\\_migration%')`,
        );
        expect(tables).to.deep.equal([{ name: "synapse_migration.marker" }]);
        const traces = await queryTarget(
            synapse,
            "synapse",
            z.unknown(),
            `SELECT room_id FROM public.rooms WHERE creator LIKE '@${made.canary.user}:%'
            UNION ALL SELECT room_id FROM public.room_memberships WHERE user_id LIKE '@${made.canary.user}:%'
            UNION ALL SELECT media_id FROM public.local_media_repository WHERE user_id LIKE '@${made.canary.user}:%'
            UNION ALL SELECT device_id FROM public.devices WHERE display_name LIKE 'synapse-migration%'
            UNION ALL SELECT name FROM public.users WHERE name LIKE '@synapse-migration%'`,
        );
        expect(traces).to.deep.equal([]);
    });

    it("is not destroyed later either, when everything of it is protected", () => notDestroyed());

    it("is not replaced, neither whole nor in part", async () => {
        for (const step of ["start", "gateway", "secrets"])
            expect(await refused(() => made.stack.up("cutover", "--replace", `**::${step}`)), step).to.match(/protect/);
        // What was refused has left no outputs.
        await made.stack.up("cutover");
    });

    it("does not go back, with its work directory's journal or without", async () => {
        expect(await refused(() => made.stack.up("stage"))).to.include("SM-E1501");
        const { runId } = await made.stack.outputs(stackOutputs);
        const journal = below("work", "runs", runId, "journal.jsonl");
        renameSync(journal, `${journal}.lost`);
        expect(await refused(() => made.stack.up("stage"))).to.include("SM-E1501");
        renameSync(`${journal}.lost`, journal);
        await made.stack.up("cutover", "--expect-no-changes");
    });

    it("is not made anew by another run, nor by a stack that says that it may be destroyed", async () => {
        await made.stack.set("run", "r2");
        expect(await refused(() => made.stack.up("cutover"))).to.include("SM-E1502");
        await made.stack.set("run", "");
        await made.stack.set("disposable", "true");
        expect(await refused(() => made.stack.up("stage"))).to.include("SM-E1501");
        await made.stack.set("disposable", "false");
        await made.stack.up("cutover", "--expect-no-changes");
    });

    it("comes back after a power cut, by `pulumi up`, and by a command that needs no Pulumi", async () => {
        await powerCut(below("target"));
        await made.stack.preview("--expect-no-changes");
        expect(made.listener.lines.slice(-60).join("\n")).to.match(/does not run[\s\S]*starts it again/);
        expect(await serves()).to.equal(false);
        await made.stack.up("cutover", "--expect-no-changes");
        expect(await serves()).to.equal(true);

        await made.stack.up("finish");
        await powerCut(below("target"));
        await synapseMigrate(["serve", below("target")]);
    });

    it("meets its record when the work directory is lost, and is adopted", async () => {
        renameSync(below("work"), below("lost"));
        expect(await refused(() => made.stack.up("finish"))).to.include("SM-E0742");
        expect(await refused(() => made.stack.up("stage"))).to.include("SM-E0742");
        const { runId } = await made.stack.outputs(stackOutputs);
        const adopt = ["adopt", below("target"), "--work-directory", below("work")];
        expect(await synapseMigrate(adopt)).to.include(`--confirm ${runId}`);
        await synapseMigrate([...adopt, "--confirm", runId]);
        await made.stack.up("finish");
        await made.stack.up("finish", "--expect-no-changes");
    });

    it("is found again by a stack that has lost its state: every step answers", async () => {
        rmSync(below("pulumi"), { recursive: true });
        made = await makeTestStack(synapse, production, { canary: made.canary });
        await made.stack.up("finish");
        await made.stack.up("finish", "--expect-no-changes");
        expect(await refused(() => made.stack.destroy())).to.match(/protected/);
    });

    it("is met by a second stack of the same source, which makes nothing", async () => {
        const second = await makeTestStack(synapse, production, { place: "second", canary: made.canary });
        const said = second.listener.lines;
        await second.stack.up("migrate").then(
            () => expect.fail("it was moved a second time"),
            () => expect(said.join("\n")).to.include("SM-E0741"),
        );
        expect(existsSync(below("second", "target", "postgres"))).to.equal(false);
        await second.stack.destroy();
    });

    it("is forgotten by its stack once it is released, and goes on", async () => {
        const release = ["release", below("target")];
        expect(await synapseMigrate(release)).to.include("--confirm");
        await synapseMigrate([...release, "--confirm", synapse.homeserver.serverName]);
        await made.stack.up("finish");
        await made.stack.destroy();
        expect(processesBelow(below("target"))).not.to.deep.equal([]);
    });
});

/** Names of what a state holds. */
function resourcesOf(state: string): string[] {
    const { deployment } = JSON.parse(state) as { deployment: { resources: { urn: string }[] } };
    return deployment.resources.map(({ urn }) => urn);
}
