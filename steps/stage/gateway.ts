/** Starts the gateway, closed: what clients and other servers reach until the target is proven. */
import { lstat } from "node:fs/promises";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import type { z } from "zod";
import { askGateway } from "../../engine/gateway/ask.ts";
import { holdGatewayDirectory } from "../../engine/gateway/gatewayDirectory.ts";
import { gatewayProcess } from "../../engine/gateway/gatewayProcess.ts";
import {
    gatewayFiles,
    readGatewayConfig,
    readGatewayState,
    readListeningPort,
    writeGatewayConfig,
    writeGatewayState,
    type GatewayConfig,
} from "../../engine/gateway/state.ts";
import { gatewayContract } from "../../contract/index.ts";
import { runningDaemon, startDaemon, stopDaemon, waitUntilReady } from "../../engine/services/daemon.ts";
import { freePort } from "../../engine/machines/freePort.ts";
import type { ServiceUser } from "../../engine/machines/serviceUser.ts";
import { makeTargetDirectory, releaseTargetDirectory } from "../../engine/machines/targetDirectory.ts";
import { targetUser } from "../../engine/machines/targetUser.ts";
import { removePrivateFile } from "../../engine/run/atomicFile.ts";
import { emptyDirectory, removeTree } from "../../engine/run/heldDirectory.ts";
import { MigrationError } from "../../engine/run/errors.ts";
import { defineStep, type StepRun } from "../../engine/run/step.ts";

const main = fileURLToPath(new URL("../../engine/gateway/main.ts", import.meta.url));
const packageDirectory = fileURLToPath(new URL("../..", import.meta.url));
/** It loads TypeScript through tsx, on a busy machine with a cold cache. */
const startSeconds = 60;
const stopSeconds = 10;

export const gateway = defineStep(
    gatewayContract,
    async (spec, run) => {
        const { directory } = spec;
        const target = dirname(directory);
        const user = (await isThere(target)) ? await targetUser(target) : await makeTargetDirectory(target);
        const held = await holdGatewayDirectory(directory, user, true);
        try {
            return await startGateway(spec, run, user, held.path);
        } finally {
            await held.close();
        }
    },
    async (spec, run) => {
        const { directory } = spec;
        if (!(await isThere(directory))) return;
        const held = await holdGatewayDirectory(directory, await targetUser(dirname(directory)), false);
        const files = gatewayFiles(held.path);
        const owner = (await readGatewayConfig(files.config))?.run;
        if (owner !== undefined && owner !== run.id) {
            await held.close();
            run.progress.note(`the gateway belongs to run ${owner} and stays`);
            return;
        }
        await stopDaemon(files.pid, await gatewayProcess(directory), { graceSeconds: stopSeconds, kill: true });
        await emptyDirectory(held);
        await removeTree(directory);
        await releaseTargetDirectory(dirname(directory));
    },
);

const isThere = async (path: string): Promise<boolean> => (await lstat(path).catch(() => undefined)) !== undefined;

/** @param place  the directory, by its descriptor */
async function startGateway(
    spec: z.infer<typeof gatewayContract.spec>,
    run: StepRun,
    user: ServiceUser | undefined,
    place: string,
): Promise<z.infer<typeof gatewayContract.result>> {
    const { directory } = spec;
    const files = gatewayFiles(place);
    const named = gatewayFiles(directory);
    const recognise = await gatewayProcess(directory);
    const before = await readGatewayConfig(files.config);
    const state = await readGatewayState(files.state, user);
    if (state?.state === "open" && state.run !== run.id) {
        throw new MigrationError("SM-E0714", { where: directory, found: `it was opened by run ${state.run}` });
    }
    const { upstream, mediaUpstream, retryAfterSeconds } = spec;
    // Once chosen, a free port stays: clients and proxies have been told.
    const chosenBefore = before?.listener.port ?? 0;
    const wanted = spec.listener.port === 0 ? chosenBefore : spec.listener.port;
    const port = wanted === 0 ? await freePort(spec.listener.bindAddress) : wanted;
    const config: GatewayConfig = {
        run: run.id,
        listener: { ...spec.listener, port },
        upstream,
        ...(mediaUpstream === undefined ? {} : { mediaUpstream }),
        retryAfterSeconds,
        ...(user === undefined ? {} : { user: { uid: user.uid, gid: user.gid } }),
    };
    if (before !== undefined && !sameService(before, config))
        await stopDaemon(files.pid, recognise, { graceSeconds: stopSeconds, kill: true });
    await writeGatewayConfig(files.config, config);
    // Also where it says the right thing: an earlier version gave it to the user.
    await writeGatewayState(files.state, state?.run === run.id ? state : { state: "closed", run: run.id }, user);
    if ((await runningDaemon(files.pid, recognise)) === undefined) await removePrivateFile(files.listening);

    const daemon = await startDaemon(
        {
            program: process.execPath,
            args: ["--import", "tsx", main, named.config],
            // Where tsx is found.
            workingDirectory: packageDirectory,
            pidFile: files.pid,
            logFile: files.log,
        },
        recognise,
    );
    let chosen = port;
    const url = (): string => `http://${reachable(spec.listener.bindAddress)}:${chosen}`;
    await run.progress.during("starting the gateway", () =>
        waitUntilReady({
            daemon,
            timeoutSeconds: startSeconds,
            logFile: named.log,
            signal: run.signal,
            ready: async () => {
                const listening = await readListeningPort(files.listening);
                if (listening === undefined) return false;
                chosen = listening;
                const answer = await askGateway(url(), "/_matrix/client/versions", run.signal);
                // Open when this very run has opened it before.
                return answer !== undefined && (answer.closed || state?.state === "open");
            },
        }),
    );
    await writeGatewayConfig(files.config, { ...config, listener: { ...config.listener, port: chosen } });
    await run.evidence({ url: url(), pid: daemon.pid, upstream });
    return { url: url(), directory, pidFile: named.pid };
}

/** Whether a running gateway needs no restart; which run owns it is nothing to its process. */
function sameService(a: GatewayConfig, b: GatewayConfig): boolean {
    return JSON.stringify({ ...a, run: "" }) === JSON.stringify({ ...b, run: "" });
}

/** An address to ask at for one to listen on. */
function reachable(bindAddress: string): string {
    if (bindAddress === "0.0.0.0") return "127.0.0.1";
    if (bindAddress === "::") return "[::1]";
    return bindAddress.includes(":") ? `[${bindAddress}]` : bindAddress;
}
