/** What a move has left on its machine, to be compared with what an undisturbed one leaves. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { z } from "zod";
import { readJournal } from "../../engine/run/journal.ts";
import { isDone } from "../../engine/run/stepState.ts";
import { checkHomeserver } from "../../rehearsal/check.ts";
import { processesBelow } from "../../rehearsal/directory.ts";
import { stackOutputs, type TestStack } from "./e2eStack.ts";
import type { TestSynapse } from "./synapse.ts";
import { queryTarget } from "./targetCluster.ts";

/** Without what is another one each time: numbers of attempts, instants, digests. */
export interface Remains {
    readonly files: readonly string[];
    readonly databases: readonly string[];
    readonly roles: readonly string[];
    readonly processes: readonly string[];
    readonly resources: readonly string[];
    readonly pending: readonly string[];
    readonly steps: readonly string[];
}

const state = z.looseObject({
    deployment: z.looseObject({
        resources: z.array(z.looseObject({ urn: z.string() })),
        pending_operations: z.array(z.looseObject({ type: z.string() })).nullish(),
    }),
});

export async function remainsOf(synapse: TestSynapse, { stack }: TestStack): Promise<Remains> {
    const { directory } = synapse;
    const { runId } = await stack.outputs(stackOutputs);
    const records = await readJournal(join(directory, "work", "runs", runId, "journal.jsonl"));
    const { deployment } = state.parse(JSON.parse(await stack.exportState()));
    const general = (text: string): string => text.replaceAll(runId, "<run>").replaceAll(directory, "");
    const names = async (sql: string): Promise<string[]> =>
        (await queryTarget(synapse, "postgres", z.object({ name: z.string() }), sql)).map(({ name }) => general(name));
    const files = [...filesBelow(synapse, "target"), ...filesBelow(synapse, "work")];
    const steps = [...new Set(records.map(({ step }) => step))].filter((step) => isDone(records, step));
    const servers = processesBelow(join(directory, "target")).map(({ command }) => command.split(" ").slice(0, 3));
    return {
        // The server's own files have other names each time; media are compared by the steps.
        files: files.filter((file) => !/^\/target\/(postgres\/data|media_store)\//.test(file)).map(general),
        databases: await names("SELECT datname AS name FROM pg_database ORDER BY datname"),
        roles: await names("SELECT rolname AS name FROM pg_roles ORDER BY rolname"),
        processes: servers
            .map((words) => general(words.join(" ")))
            .filter((command) => !command.startsWith("postgres:")),
        resources: deployment.resources.map(({ urn }) => urn.split("::").slice(2).join("::")),
        pending: (deployment.pending_operations ?? []).map(({ type }) => type),
        steps,
    };
}

/** Files below a directory of the test homeserver's, as paths from there. */
export function filesBelow({ directory }: TestSynapse, name: string): string[] {
    const path = join(directory, name);
    if (!existsSync(path)) return [];
    return readdirSync(path, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name).slice(directory.length));
}

export function sameRemains(is: Remains, was: Remains): void {
    for (const kind of Object.keys(was) as (keyof Remains)[]) {
        const [now, before] = [new Set(is[kind]), new Set(was[kind])];
        expect(
            [...before].filter((one) => !now.has(one)),
            `${kind} that are missing`,
        ).to.deep.equal([]);
        expect(
            [...now].filter((one) => !before.has(one)),
            `${kind} that are left`,
        ).to.deep.equal([]);
    }
}

/** By its public API, and the source never serves again. */
export async function isTheServer(synapse: TestSynapse, { gatewayUrl, listener }: TestStack): Promise<void> {
    const { expectations } = synapse;
    if (expectations === undefined) throw new Error("the source was not filled");
    const results = await checkHomeserver({ baseUrl: await gatewayUrl(), expectations, progress: listener });
    expect(results.filter(({ passed }) => !passed)).to.deep.equal([]);
    expect(await synapse.homeserver.answers(), "a committed source never serves again").to.equal(false);
}
