/** Cut-over: lets traffic through the gateway, and sees that it reaches the homeserver that was proven. */
import { dirname } from "node:path";
import { z } from "zod";
import { openContract } from "../../contract/index.ts";
import { fenceInstant } from "../../engine/fence/fenceInstant.ts";
import { askGateway } from "../../engine/gateway/ask.ts";
import { holdGatewayDirectory } from "../../engine/gateway/gatewayDirectory.ts";
import { gatewayProcess } from "../../engine/gateway/gatewayProcess.ts";
import { publicChecks } from "../../engine/gateway/publicChecks.ts";
import { gatewayFiles, readGatewayState, writeGatewayState, type GatewayState } from "../../engine/gateway/state.ts";
import { signalProcess } from "../../engine/machines/procfs.ts";
import { runningDaemon } from "../../engine/services/daemon.ts";
import { targetUser } from "../../engine/machines/targetUser.ts";
import { MigrationError } from "../../engine/run/errors.ts";
import { readUptime, type Reading } from "../../engine/run/steadyClock.ts";
import { defineStep, type StepRun } from "../../engine/run/step.ts";
import { until } from "../../engine/run/until.ts";

const openSeconds = 20;
const closeSeconds = 5;
const versions = "/_matrix/client/versions";

const keys = z.looseObject({
    server_name: z.string(),
    verify_keys: z.record(z.string(), z.looseObject({ key: z.string() })),
});

interface OpenSpec {
    readonly gatewayDirectory: string;
    readonly gatewayUrl: string;
    readonly serverName: string;
    readonly verifyKeys: Readonly<Record<string, string>>;
}

export const open = defineStep(
    openContract,
    async (spec, run) => {
        await switchGateway(spec.gatewayDirectory, { state: "open", run: run.id });
        try {
            await requireProvenServer(spec, run);
        } catch (error) {
            // Nobody is to talk to a server that is not the one that was proven, even for a moment longer.
            await closeGateway(spec, run);
            throw error;
        }
        const opened: Reading = { at: new Date().toISOString(), uptime: readUptime() };
        const fencedAt = await fenceInstant(run, opened);
        const openedAt = opened.at;
        const checks = await publicChecks({ serverName: spec.serverName, publicBaseUrl: spec.publicBaseUrl });
        await run.evidence({ openedAt, fencedAt, checks });
        return {
            openedAt,
            ...(fencedAt === undefined
                ? {}
                : { downtimeSeconds: Math.max(0, (Date.parse(openedAt) - Date.parse(fencedAt)) / 1000) }),
            checks,
        };
    },
    async (spec, run) => {
        const user = await targetUser(dirname(spec.gatewayDirectory));
        const state = await readGatewayState(gatewayFiles(spec.gatewayDirectory).state, user);
        if (state === undefined || state.run !== run.id) {
            run.progress.note("the gateway is not this run's any more and stays as it is");
            return;
        }
        if (!(await closeGateway(spec, run))) {
            throw new MigrationError("SM-E0712", {
                where: spec.gatewayUrl,
                found: `it still lets traffic through ${closeSeconds} s after it was told to close`,
                changed: "its state file says closed",
            });
        }
    },
);

/** @returns whether it is seen to be closed, or does not run. Not cut short when the step is stopped: it is what stopping means here. */
async function closeGateway(spec: OpenSpec, run: StepRun): Promise<boolean> {
    await switchGateway(spec.gatewayDirectory, { state: "closed", run: run.id });
    const { gatewayDirectory: directory } = spec;
    if ((await runningDaemon(gatewayFiles(directory).pid, await gatewayProcess(directory))) === undefined) return true;
    const closed = async (): Promise<true | undefined> =>
        (await askGateway(spec.gatewayUrl, versions))?.closed === true || undefined;
    return (await until(closed, { seconds: closeSeconds })) === true;
}

/** The state file is what counts; the signal only makes the gateway look at it where the file system reports no changes. */
async function switchGateway(directory: string, state: GatewayState): Promise<void> {
    const user = await targetUser(dirname(directory));
    const held = await holdGatewayDirectory(directory, user, false);
    try {
        const files = gatewayFiles(held.path);
        await writeGatewayState(files.state, state, user);
        const daemon = await runningDaemon(files.pid, await gatewayProcess(directory));
        if (daemon !== undefined) signalProcess(daemon, "SIGHUP");
    } finally {
        await held.close();
    }
}

/**
 * Waits until a request through the gateway is answered by the homeserver with the keys that were proven.
 *
 * @throws MigrationError SM-E1110
 */
async function requireProvenServer(spec: OpenSpec, run: StepRun): Promise<void> {
    let found = "";
    const answered = async (): Promise<"proven" | "another" | undefined> => {
        const reached = await askGateway(spec.gatewayUrl, versions, run.signal);
        const answer = await askGateway(spec.gatewayUrl, "/_matrix/key/v2/server", run.signal);
        const shown = keys.safeParse(answer?.body);
        const ids = shown.success ? Object.entries(shown.data.verify_keys).map(([id, { key }]) => `${id} ${key}`) : [];
        found = [
            reached === undefined ? "nothing answers" : `${versions} answers ${reached.status}`,
            reached?.closed === true ? "the gateway is closed" : "",
            shown.success
                ? `server ${shown.data.server_name} with ${ids.join(", ")}`
                : `/_matrix/key/v2/server shows no keys`,
        ]
            .filter((part) => part !== "")
            .join("; ");
        if (reached?.status !== 200 || !shown.success) return undefined;
        const right = Object.entries(spec.verifyKeys).every(([id, key]) => ids.includes(`${id} ${key}`));
        // A homeserver that shows other keys does not change them: there is nothing to wait for.
        return right && shown.data.server_name === spec.serverName ? "proven" : "another";
    };
    if ((await until(answered, { seconds: openSeconds, signal: run.signal })) === "proven") return;
    const expected = Object.entries(spec.verifyKeys).map(([id, key]) => `${id} ${key}`);
    throw new MigrationError("SM-E1110", {
        where: spec.gatewayUrl,
        found,
        expected: `server ${spec.serverName} with ${expected.join(", ")}`,
        changed: "the gateway was opened for a moment and is closed again",
    });
}
