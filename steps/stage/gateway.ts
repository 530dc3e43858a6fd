/** Starts the gateway, closed: what clients and other servers reach until the target is proven. */
import { chown, mkdir, rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { askGateway } from "../../engine/gateway/ask.ts";
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
import { serviceUser } from "../../engine/machines/serviceUser.ts";
import { MigrationError } from "../../engine/run/errors.ts";
import { defineStep } from "../../engine/run/step.ts";

const main = fileURLToPath(new URL("../../engine/gateway/main.ts", import.meta.url));
const packageDirectory = fileURLToPath(new URL("../..", import.meta.url));
/** It loads TypeScript through tsx, on a busy machine with a cold cache. */
const startSeconds = 60;
const stopSeconds = 10;

export const gateway = defineStep(
    gatewayContract,
    async (spec, run) => {
        const { directory } = spec;
        const files = gatewayFiles(directory);
        const state = await readGatewayState(files.state);
        if (state?.state === "open" && state.run !== run.id) {
            throw new MigrationError("SM-E0714", { where: directory, found: `it was opened by run ${state.run}` });
        }
        const user = serviceUser();
        await mkdir(directory, { recursive: true, mode: 0o700 });
        // The gateway becomes this user and must go on reading its state.
        if (user !== undefined) await chown(directory, user.uid, user.gid);

        const before = await readGatewayConfig(files.config);
        // Once chosen, a free port stays: clients and proxies have been told.
        const port = spec.listener.port === 0 ? (before?.listener.port ?? 0) : spec.listener.port;
        const { upstream, mediaUpstream, retryAfterSeconds } = spec;
        const config: GatewayConfig = {
            run: run.id,
            listener: { ...spec.listener, port },
            upstream,
            ...(mediaUpstream === undefined ? {} : { mediaUpstream }),
            retryAfterSeconds,
            ...(user === undefined ? {} : { user: { uid: user.uid, gid: user.gid } }),
        };
        if (before !== undefined && !sameService(before, config))
            await stopDaemon(files.pid, { graceSeconds: stopSeconds, kill: true });
        await writeGatewayConfig(files.config, config);
        const owner = user === undefined ? {} : { owner: user };
        if (state?.run !== run.id) await writeGatewayState(files.state, { state: "closed", run: run.id }, owner);
        if ((await runningDaemon(files.pid)) === undefined) await rm(files.listening, { force: true });

        const daemon = await startDaemon({
            program: process.execPath,
            args: ["--import", "tsx", main, files.config],
            // Where tsx is found.
            workingDirectory: packageDirectory,
            pidFile: files.pid,
            logFile: files.log,
        });
        let chosen = port;
        const url = (): string => `http://${reachable(spec.listener.bindAddress)}:${chosen}`;
        await run.progress.during("starting the gateway", () =>
            waitUntilReady({
                daemon,
                timeoutSeconds: startSeconds,
                logFile: files.log,
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
        return { url: url(), directory, pidFile: files.pid };
    },
    async (spec, run) => {
        const files = gatewayFiles(spec.directory);
        const owner = (await readGatewayConfig(files.config))?.run;
        if (owner !== undefined && owner !== run.id) {
            run.progress.note(`the gateway belongs to run ${owner} and stays`);
            return;
        }
        await stopDaemon(files.pid, { graceSeconds: stopSeconds, kill: true });
        await rm(spec.directory, { recursive: true, force: true });
    },
);

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
