/** Whether the servers that a run has started for its target still stand: they end with their machine, and nobody else looks after them. */
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { databaseContract, gatewayContract, startContract } from "../../contract/index.ts";
import { askGateway } from "../gateway/ask.ts";
import { gatewayProcess } from "../gateway/gatewayProcess.ts";
import { gatewayFiles } from "../gateway/state.ts";
import { isClusterRunning } from "../postgres/server/managedCluster.ts";
import { readJournal } from "../run/journal.ts";
import { keptCopy } from "../run/ownership/keptCopy.ts";
import { parseJson } from "../run/parseJson.ts";
import { runDirectoryPaths } from "../run/runDirectory.ts";
import { stepState } from "../run/stepState.ts";
import { targetUser } from "../machines/targetUser.ts";
import { runningDaemon } from "../services/daemon.ts";
import { homeserverWith } from "../services/synapseProcess.ts";

/** Steps that leave servers behind, in the order in which those need each other. */
const standingSteps = [databaseContract.name, gatewayContract.name, startContract.name] as const;
type StandingStep = (typeof standingSteps)[number];

/** What was started, and what is wrong with it now. */
export interface Look {
    readonly step: StandingStep;
    /** The specification that it was started with; what was secret in it is left out. */
    readonly spec: unknown;
    /** For people; undefined when it stands. */
    readonly wrong: string | undefined;
}

/** Looks at everything that the run has done and not taken back. Changes nothing. */
export async function lookAtServers(runDirectory: string, target: string): Promise<Look[]> {
    const records = await readJournal(runDirectoryPaths(runDirectory).journal);
    const looks: Look[] = [];
    for (const step of standingSteps) {
        if (stepState(records, step).state !== "done") continue;
        const spec = await keptSpec(step, runDirectory, target);
        if (spec !== undefined) looks.push({ step, spec, wrong: await wrongWith(step, spec) });
    }
    return looks;
}

/** Those of the run, which `finish` removes, or those that are kept beside the target. */
async function keptSpec(step: StandingStep, runDirectory: string, target: string): Promise<unknown> {
    for (const directory of [runDirectory, keptCopy(target)]) {
        const file = join(runDirectoryPaths(directory).specs, `${step}.json`);
        const text = await readFile(file, "utf8").catch(() => undefined);
        if (text !== undefined) return parseJson(text);
    }
    return undefined;
}

async function wrongWith(step: StandingStep, spec: unknown): Promise<string | undefined> {
    switch (step) {
        case "database": {
            const { server } = databaseContract.spec.parse(spec);
            if (server.kind !== "managed" || (await isClusterRunning(server.directory))) return undefined;
            return `the PostgreSQL server in ${server.directory} does not run`;
        }
        case "gateway": {
            const { directory } = gatewayContract.spec.parse(spec);
            const runs =
                (await runningDaemon(gatewayFiles(directory).pid, await gatewayProcess(directory))) !== undefined;
            return runs ? undefined : `the gateway in ${directory} does not run`;
        }
        case "start":
            return wrongWithHomeserver(startContract.spec.parse(spec));
    }
}

const shownKeys = z.looseObject({ verify_keys: z.record(z.string(), z.looseObject({ key: z.string() })) });

async function wrongWithHomeserver(spec: z.infer<typeof startContract.spec>): Promise<string | undefined> {
    const { pidFile, baseUrl, verifyKeys, configFiles } = spec;
    const recognise = homeserverWith(configFiles[0] ?? "", await targetUser(dirname(pidFile)));
    if ((await runningDaemon(pidFile, recognise)) === undefined) return `the homeserver of ${pidFile} does not run`;
    const answer = await askGateway(baseUrl, "/_matrix/key/v2/server");
    if (answer === undefined) return `the homeserver at ${baseUrl} runs and does not answer`;
    const shown = shownKeys.safeParse(answer.body);
    const isOurs =
        shown.success && Object.entries(verifyKeys).every(([id, key]) => shown.data.verify_keys[id]?.key === key);
    return isOurs ? undefined : `what answers at ${baseUrl} does not show the keys of this homeserver`;
}
