import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { z } from "zod";
import { checkHomeserver } from "../../rehearsal/check.ts";
import { MigrationError } from "../../engine/run/errors.ts";
import { readJournal } from "../../engine/run/journal.ts";
import { isCommitted } from "../../engine/run/stepState.ts";
import { makeTestStack, stackOutputs, type TestStack } from "../support/e2eStack.ts";
import { smallPopulation, startTestSynapse, type TestSynapse } from "../support/synapse.ts";
import { queryTarget } from "../support/targetCluster.ts";

const killOnce = fileURLToPath(new URL("../support/killOnce.mjs", import.meta.url));
/** Far more than there are kinds of records. */
const mostAttempts = 150;

/** What a move has left, without what is another one each time: numbers of attempts, instants, digests. */
interface Remains {
    readonly files: readonly string[];
    readonly databases: readonly string[];
    readonly roles: readonly string[];
    readonly resources: readonly string[];
    readonly pending: number;
    readonly steps: readonly string[];
}

const state = z.looseObject({
    deployment: z.looseObject({
        resources: z.array(z.looseObject({ urn: z.string() })),
        pending_operations: z.array(z.unknown()).nullish(),
    }),
});

for (const copy of ["direct", "archive"] as const) {
    describe(`a move by copy: ${copy} whose steps are killed after every record that they write`, function () {
        this.timeout(3_600_000);

        it("ends where an undisturbed one ends", async () => {
            const undisturbed = await moved(copy, async ({ stack }) => {
                await stack.up("finish");
                return 0;
            });
            const killed = await moved(copy, untilItIsThrough, true);
            for (const kind of Object.keys(undisturbed.remains) as (keyof Remains)[]) {
                const [is, was] = [killed.remains[kind], undisturbed.remains[kind]].map(
                    (some) => new Set([some].flat()),
                );
                expect(
                    [...(was ?? [])].filter((one) => !is?.has(one)),
                    `${kind} that are missing`,
                ).to.deep.equal([]);
                expect(
                    [...(is ?? [])].filter((one) => !was?.has(one)),
                    `${kind} that are left`,
                ).to.deep.equal([]);
            }
            expect(killed.kills, "records that were written").to.have.length.greaterThan(40);
            console.log(`      ${killed.kills.length} kills, ${killed.attempts} times \`pulumi up\``);
        });
    });
}

/** Declares the last phase again and again; each time some steps get one record further. */
async function untilItIsThrough({ stack }: TestStack): Promise<number> {
    for (let attempt = 1; attempt <= mostAttempts; attempt++) {
        const ended = await stack.up("finish").then(
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

async function moved(
    copy: string,
    move: (made: TestStack) => Promise<number>,
    isKilled = false,
): Promise<{ remains: Remains; kills: string[]; attempts: number }> {
    const synapse = await startTestSynapse({ population: smallPopulation });
    const kills = join(synapse.directory, "kills");
    mkdirSync(kills);
    const environment = isKilled
        ? { NODE_OPTIONS: `--import=${killOnce}`, SYNAPSE_MIGRATION_TEST_KILLS: kills }
        : undefined;
    try {
        const made = await makeTestStack(synapse, { acknowledge: "SM-W0745", copy }, { environment });
        const attempts = await move(made);
        const { expectations } = synapse;
        if (expectations === undefined) throw new Error("the source was not filled");
        const results = await checkHomeserver({
            baseUrl: await made.gatewayUrl(),
            expectations,
            progress: made.listener,
        });
        expect(results.filter(({ passed }) => !passed)).to.deep.equal([]);
        expect(await synapse.homeserver.answers(), "a committed source never serves again").to.equal(false);
        return { remains: await remainsOf(synapse, made), kills: readdirSync(kills), attempts };
    } finally {
        await synapse.stop();
    }
}

async function remainsOf(synapse: TestSynapse, { stack }: TestStack): Promise<Remains> {
    const { directory } = synapse;
    const { runId } = await stack.outputs(stackOutputs);
    const records = await readJournal(join(directory, "work", "runs", runId, "journal.jsonl"));
    expect(isCommitted(records)).to.equal(true);
    const { deployment } = state.parse(JSON.parse(await stack.exportState()));
    const own = (path: string): string[] =>
        readdirSync(join(directory, path), { recursive: true, withFileTypes: true })
            .filter((entry) => entry.isFile())
            .map((entry) => join(entry.parentPath, entry.name).slice(directory.length))
            // The server's own files have other names each time; media are compared by the steps.
            .filter((file) => !/^\/target\/(postgres\/data|media_store)\//.test(file))
            .map((file) => file.replaceAll(runId, "<run>"));
    const names = async (sql: string): Promise<string[]> =>
        (await queryTarget(synapse, "postgres", z.object({ name: z.string() }), sql)).map(({ name }) =>
            name.replaceAll(runId, "<run>"),
        );
    return {
        files: [...own("target"), ...own("work")].sort(),
        databases: await names("SELECT datname AS name FROM pg_database ORDER BY datname"),
        roles: await names("SELECT rolname AS name FROM pg_roles ORDER BY rolname"),
        resources: deployment.resources.map(({ urn }) => urn.split("::").slice(2).join("::")).sort(),
        pending: deployment.pending_operations?.length ?? 0,
        steps: [...new Set(records.filter(({ kind }) => kind === "done").map(({ step }) => step))].sort(),
    };
}
