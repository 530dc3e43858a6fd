import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { processesBelow } from "../../rehearsal/directory.ts";
import { MigrationError } from "../../engine/run/errors.ts";
import { makeTestStack, type TestStack } from "../support/e2eStack.ts";
import { filesBelow, isTheServer, remainsOf, sameRemains, type Remains } from "../support/remains.ts";
import { smallPopulation, startTestSynapse, type TestSynapse } from "../support/synapse.ts";

const killOnce = fileURLToPath(new URL("../support/killOnce.mjs", import.meta.url));
/** Each kill ends a `pulumi up`, and the next one goes on; otherwise the killed step is run again at once, which takes a tenth of the time. */
const isThroughPulumi = process.env["SYNAPSE_MIGRATION_TEST_THROUGH_PULUMI"] !== undefined;
/** Far more than there are kinds of records. */
const mostAttempts = 150;

for (const copy of ["direct", "archive"] as const) {
    describe(`a move by copy: ${copy} whose steps are killed after every record that they write`, function () {
        this.timeout(3_600_000);

        it("ends where an undisturbed one ends", async () => {
            const undisturbed = await moved(copy, async ({ made }) => {
                await made.stack.up("finish");
                return 1;
            });
            const killed = await moved(copy, async ({ made, arm }) => {
                arm();
                return untilItIsThrough(made, () => made.stack.up("finish"));
            });
            sameRemains(killed.remains, undisturbed.remains);
            expect(killed.kills, "records that were written").to.have.length.greaterThan(40);
            tell(killed.kills, killed.attempts);
        });
    });
}

describe("a way back whose steps are killed after every record that they write", function () {
    this.timeout(3_600_000);

    it("ends where an undisturbed one ends, with the source serving; and then nothing is left", async () => {
        const synapse = await startTestSynapse({ population: smallPopulation });
        try {
            const { made, arm, kills } = await makeKilledStack(synapse, { copy: "direct" });
            await made.stack.up("migrate");
            await made.stack.up("stage");
            const undisturbed = await remainsOf(synapse, made);
            await made.stack.up("migrate");
            expect(await synapse.homeserver.answers()).to.equal(false);
            arm();
            let attempts = await untilItIsThrough(made, () => made.stack.up("stage"));
            expect(await synapse.homeserver.answers(), "the source serves again").to.equal(true);
            sameRemains(await remainsOf(synapse, made), undisturbed);
            await synapse.cluster.query("CREATE TABLE written_after_the_way_back (x int)");
            attempts += await untilItIsThrough(made, () => made.stack.destroy());
            expect(processesBelow(join(synapse.directory, "target"))).to.deep.equal([]);
            expect(filesBelow(synapse, "target")).to.deep.equal([]);
            expect(kills(), "records that were written").to.have.length.greaterThan(20);
            tell(kills(), attempts);
        } finally {
            await synapse.stop();
        }
    });
});

/** Declares it again and again; each time some steps get one record further. */
async function untilItIsThrough({ stack }: TestStack, operation: () => Promise<void>): Promise<number> {
    for (let attempt = 1; attempt <= mostAttempts; attempt++) {
        const ended = await operation().then(
            () => true,
            (error: unknown) => {
                if (!(error instanceof MigrationError)) throw error;
                return false;
            },
        );
        if (ended) return attempt;
        await stack.cancel();
    }
    throw new Error(`it did not end in ${mostAttempts} attempts`);
}

interface KilledStack {
    readonly made: TestStack;
    /** From now on steps are killed. */
    readonly arm: () => void;
    /** Which were. */
    readonly kills: () => string[];
}

async function makeKilledStack(synapse: TestSynapse, config: Readonly<Record<string, unknown>>): Promise<KilledStack> {
    const kills = join(synapse.directory, "kills");
    const environment = {
        NODE_OPTIONS: `--import=${killOnce}`,
        SYNAPSE_MIGRATION_TEST_KILLS: kills,
        ...(isThroughPulumi ? {} : { SYNAPSE_MIGRATION_TEST_RESUME: "1" }),
    };
    return {
        made: await makeTestStack(synapse, { acknowledge: "SM-W0745", ...config }, { environment }),
        arm: () => {
            mkdirSync(kills);
        },
        kills: () => (existsSync(kills) ? readdirSync(kills) : []),
    };
}

async function moved(
    copy: string,
    move: (stack: KilledStack) => Promise<number>,
): Promise<{ remains: Remains; kills: string[]; attempts: number }> {
    const synapse = await startTestSynapse({ population: smallPopulation });
    try {
        const stack = await makeKilledStack(synapse, { copy });
        const attempts = await move(stack);
        await isTheServer(synapse, stack.made);
        return { remains: await remainsOf(synapse, stack.made), kills: stack.kills(), attempts };
    } finally {
        await synapse.stop();
    }
}

/** A line a step: the records after which it was killed, and went on. */
function tell(kills: readonly string[], attempts: number): void {
    const steps = new Map<string, string[]>();
    for (const [step = "", kind = "", action = ""] of kills.map((kill) => kill.split(".")))
        steps.set(step, [...(steps.get(step) ?? []), action === "" ? kind : action]);
    console.log(`      ${kills.length} kills, all resumed, in ${attempts} times Pulumi`);
    for (const [step, places] of steps) console.log(`      ${step.padEnd(20)}${places.join(", ")}`);
}
