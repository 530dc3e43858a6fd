/** Starts the target behind the closed gateway: only with a matching fence, a verified database and the source's own signing key. */
import { constants } from "node:fs";
import { open, readFile, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { performance } from "node:perf_hooks";
import { z } from "zod";
import { startContract } from "../../contract/index.ts";
import { refuseUnlessStillFenced } from "../../engine/fence/stillFenced.ts";
import { startDaemon, stopDaemon, waitUntilReady, type Recognise } from "../../engine/services/daemon.ts";
import { targetUser } from "../../engine/machines/targetUser.ts";
import { homeserverWith } from "../../engine/services/synapseProcess.ts";
import type { ServiceUser } from "../../engine/machines/serviceUser.ts";
import { hasCode } from "../../engine/run/heldDirectory.ts";
import { withClient } from "../../engine/postgres/connection.ts";
import { readMarker, requireMarker } from "../../engine/postgres/databases/marker.ts";
import { adminAddress } from "../../engine/postgres/databases/targetAddress.ts";
import { MatrixApi } from "../../engine/synapse/api/matrixApi.ts";
import { eachOf } from "../../engine/run/eachOf.ts";
import { MigrationError } from "../../engine/run/errors.ts";
import { defineStep, type StepRun } from "../../engine/run/step.ts";
import { thisMachine } from "../../engine/machines/local/localMachine.ts";
import { mergeConfigFiles } from "../../engine/synapse/config/configFiles.ts";
import { isolationName } from "../../engine/synapse/config/targetConfig.ts";
import { refuseRewritten } from "../../engine/synapse/config/writtenFiles.ts";
import { registerSecrets } from "../../engine/synapse/secrets/registerSecrets.ts";
import { parseSigningKeys, verifyKeysOf } from "../../engine/synapse/secrets/signingKey.ts";

/** A first start after a schema upgrade may take long; a start that has failed ends its process, which is seen at once. */
const healthySeconds = 600;
/** Synapse finishes what it is sending, and its own pid file is removed last. */
const stopGraceSeconds = 120;

type StartSpec = z.infer<typeof startContract.spec>;

export const start = defineStep(
    startContract,
    async (spec, run) => {
        await refuseUnfit(spec, run);
        await hideSecrets(spec);
        const began = performance.now();
        await run.progress.during("starting the target homeserver", async () => {
            const user = await targetUser(dirname(spec.pidFile));
            const logFile = startLog(spec);
            await makeLog(spec, user);
            const started = {
                program: spec.python,
                args: ["-m", "synapse.app.homeserver", ...spec.configFiles.flatMap((file) => ["--config-path", file])],
                workingDirectory: dirname(spec.pidFile),
                pidFile: spec.pidFile,
                logFile,
                ...(user === undefined ? {} : { user }),
            };
            const daemon = await startDaemon(started, recogniser(spec, user));
            await waitUntilReady({
                daemon,
                ready: () => answersVersions(spec.baseUrl),
                timeoutSeconds: healthySeconds,
                logFile,
                ownLog: spec.logFile,
                signal: run.signal,
            });
        });
        await refuseOtherKey(spec);
        const startedAt = await run.recorded("started-at", () => Promise.resolve(new Date().toISOString()));
        return {
            baseUrl: spec.baseUrl,
            version: await serverVersion(spec.baseUrl),
            startedAt,
            healthySeconds: Math.round(performance.now() - began) / 1000,
        };
    },
    async (spec) => {
        const user = await targetUser(dirname(spec.pidFile));
        await stopDaemon(spec.pidFile, recogniser(spec, user), { graceSeconds: stopGraceSeconds });
        await rm(startLog(spec), { force: true });
    },
);

/** Takes every look, so that whoever mends what one of them finds does not meet the next one afterwards. */
async function refuseUnfit(spec: StartSpec, run: StepRun): Promise<void> {
    let isCommitted = false;
    await eachOf(
        () => refuseOtherKey(spec),
        async () => {
            const database = await adminAddress(spec.database, spec.database.name);
            const where = `database ${spec.database.name}`;
            const { state } = await withClient(database, { step: "start" }, async (client) =>
                requireMarker(await readMarker(client), run.id, ["swapped", "committed"], where),
            );
            isCommitted = state === "committed";
        },
        // Since the commit nothing has to be asked of the source, which may be gone, and the files are their administrator's.
        async () => isCommitted || refuseUnfenced(spec, run),
        async () => isCommitted || refuseRewritten(run, "nothing: the target was not started"),
    );
}

/** Whoever is not stopped must not be met: a rehearsal's target is kept from the network by its configuration. */
async function refuseUnfenced({ source, fenceToken, configFiles }: StartSpec, run: StepRun): Promise<void> {
    if (fenceToken !== undefined) return refuseUnlessStillFenced(source, fenceToken, run.reference, run);
    if (source.kind !== "selfHosted" || configFiles.some((file) => basename(file) === isolationName)) return;
    throw new MigrationError("SM-E0716", {
        where: "the target homeserver",
        found: `neither a fence token nor ${isolationName} among ${configFiles.join(", ")}`,
        expected: "a source that is fenced, or a target that is isolated",
        changed: "nothing",
    });
}

/** Where it does not come up, its logs are quoted. What cannot be read here has Synapse itself say so. */
async function hideSecrets({ configFiles }: StartSpec): Promise<void> {
    const { sections } = await mergeConfigFiles(thisMachine, configFiles).catch(() => ({ sections: {} }));
    const files: unknown = "app_service_config_files" in sections ? sections["app_service_config_files"] : [];
    const appServiceConfigFiles = Array.isArray(files) ? files.map(String) : [];
    // Its paths are its own: nothing of it is a container's.
    const directory = dirname(configFiles[0] ?? "/");
    await registerSecrets({ machine: thisMachine, sections, directory, paths: {}, appServiceConfigFiles });
}

const recogniser = ({ configFiles: [first = ""] }: StartSpec, user: ServiceUser | undefined): Recognise =>
    homeserverWith(first, user);

/** What Synapse says before its own log is open: beside the pid file, where Synapse's user makes no files. */
const startLog = ({ pidFile, logFile }: StartSpec): string => join(dirname(pidFile), `${basename(logFile)}.start`);

/** An earlier version put the log there, too: then it has to be there before Synapse is. */
async function makeLog({ pidFile, logFile }: StartSpec, user: ServiceUser | undefined): Promise<void> {
    if (dirname(logFile) !== dirname(pidFile)) return;
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
    const log = await open(logFile, flags, 0o600).catch((error: unknown) => {
        if (hasCode(error, "EEXIST")) return undefined;
        throw error;
    });
    if (user !== undefined) await log?.chown(user.uid, user.gid);
    await log?.close();
}

/** Synapse invents a key where its file is missing, and every other homeserver would then reject what it signs. */
async function refuseOtherKey({ signingKeyFile, verifyKeys }: StartSpec): Promise<void> {
    const text = await readFile(signingKeyFile, "utf8").catch((error: unknown) => {
        if (hasCode(error, "ENOENT")) return undefined;
        throw error;
    });
    const found = text === undefined ? {} : verifyKeysOf(parseSigningKeys(text, signingKeyFile));
    if (JSON.stringify(Object.entries(found).sort()) === JSON.stringify(Object.entries(verifyKeys).sort())) return;
    throw new MigrationError("SM-E0818", {
        where: signingKeyFile,
        // Of two keys with one id, the public halves alone tell which is which.
        found: text === undefined ? "there is no such file" : `the public keys ${named(found)}`,
        expected: `exactly the source's public keys ${named(verifyKeys)}`,
    });
}

function named(keys: Readonly<Record<string, string>>): string {
    return Object.entries(keys)
        .map(([id, key]) => `${id} ${key}`)
        .join(", ");
}

async function answersVersions(baseUrl: string): Promise<boolean> {
    const answer = await new MatrixApi(baseUrl).ask("/_matrix/client/versions").catch(() => undefined);
    return answer?.status === 200;
}

async function serverVersion(baseUrl: string): Promise<string> {
    const shape = z.object({ server: z.object({ version: z.string() }) });
    return (
        shape.safeParse((await new MatrixApi(baseUrl).ask("/_matrix/federation/v1/version")).json).data?.server
            .version ?? "unknown"
    );
}
