import { join } from "node:path";
import { expect } from "chai";
import { z } from "zod";
import { processesBelow, signalIfThere } from "../../rehearsal/directory.ts";
import { MigrationError } from "../../engine/run/errors.ts";
import { readJournal } from "../../engine/run/journal.ts";
import { makeTestStack, stackOutputs, type TestStack } from "../support/e2eStack.ts";
import { smallPopulation, startTestSynapse, type TestSynapse } from "../support/synapse.ts";

const state = z.object({
    deployment: z.object({
        resources: z.array(
            z.object({
                ...{ urn: z.string(), id: z.string().optional(), protect: z.boolean().optional() },
                outputs: z.record(z.string(), z.unknown()).optional(),
            }),
        ),
        pending_operations: z
            .array(z.object({ type: z.string(), resource: z.object({ urn: z.string() }) }))
            .nullish()
            .transform((pending) => pending ?? []),
    }),
});

describe("a stack whose Pulumi was killed in the middle of an `up`", function () {
    this.timeout(600_000);
    let synapse: TestSynapse;
    let made: TestStack;

    before(async () => {
        synapse = await startTestSynapse({ population: smallPopulation });
        made = await makeTestStack(synapse, { acknowledge: "SM-W0745" });
    });
    after(() => synapse.stop());

    const look = async () => {
        const { resources, pending_operations: pending } = state.parse(
            JSON.parse(await made.stack.exportState()),
        ).deployment;
        resources.sort((one, other) => one.urn.localeCompare(other.urn));
        return {
            resources,
            pending: pending.map(({ type, resource }) => `${type} ${resource.urn.split("::").at(-1)}`),
        };
    };
    const journal = async () =>
        readJournal(
            join(synapse.directory, "work", "runs", (await made.stack.outputs(stackOutputs)).runId, "journal.jsonl"),
        );

    /** Only the CLI: what it has called ends by itself. */
    function killPulumiAt(text: string): void {
        made.listener.onLine = (line) => {
            if (!line.includes(text)) return;
            made.listener.onLine = () => undefined;
            const ours = processesBelow(synapse.directory).filter(
                ({ command }) => command.includes("pulumi") && command.includes("stack.yaml"),
            );
            for (const { pid } of ours) signalIfThere(pid, "SIGKILL");
        };
    }

    it("goes on with `cancel` and `up`; what was pending stays noted until it is cleared, which does no step and loses nothing", async () => {
        const { stack, listener } = made;
        killPulumiAt("[copy] copying rows");
        await stack.up("cutover").then(
            () => expect.fail("pulumi was not killed"),
            (error: unknown) => expect(error).to.be.instanceOf(MigrationError),
        );
        await stack.cancel();
        expect((await look()).pending).to.deep.equal(["creating copy"]);

        await stack.up("cutover");
        const gatewayUrl = await made.gatewayUrl();
        const serves = async () => (await fetch(`${gatewayUrl}/_matrix/client/versions`)).status;
        expect(await serves()).to.equal(200);
        const moved = await journal();
        const kinds = (step: string) => moved.filter((record) => record.step === step).map(({ kind }) => kind);
        expect(kinds("copy").filter((kind) => kind === "done")).to.have.length(1);
        for (const step of ["fence", "canary", "commit"])
            expect(
                kinds(step).filter((kind) => kind === "intent"),
                step,
            ).to.have.length(1);
        // It is created, and noted as being created: every further command warns of it.
        const before = await look();
        expect(before.pending).to.deep.equal(["creating copy"]);
        expect(before.resources.some(({ urn }) => urn.endsWith("::copy"))).to.equal(true);

        await stack.up("cutover", "--refresh");
        expect((await look()).pending, "a refresh alone keeps it").to.deep.equal(["creating copy"]);

        await stack.forgetPending();
        const after = await look();
        expect(after.pending).to.deep.equal([]);
        expect(after.resources.map(({ urn, id }) => [urn, id])).to.deep.equal(
            before.resources.map(({ urn, id }) => [urn, id]),
        );
        const answers = (some: typeof after) => some.resources.map(({ outputs }) => outputs?.["stdout"]);
        expect(answers(after)).to.deep.equal(answers(before));
        expect(
            after.resources.filter(({ urn, protect }) => urn.includes("HomeserverMigration$") && protect !== true),
            "all is protected as it was",
        ).to.deep.equal([]);
        expect(await journal(), "no step was done or taken back").to.deep.equal(moved);
        expect(await serves()).to.equal(200);

        const said = listener.lines.length;
        await stack.up("cutover", "--expect-no-changes");
        expect(listener.lines.slice(said).join("\n")).not.to.include("pending operations");
    });
});
