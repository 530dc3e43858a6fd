/** Stops the source and proves, at its database, that it can no longer write. */
import { rm } from "node:fs/promises";
import { dirname } from "node:path";
import type { z } from "zod";
import {
    configureContract,
    fenceContract,
    fencedAtAction,
    type FenceTarget,
    type SelfHostedSource,
} from "../../contract/index.ts";
import { takenOverAction } from "../../engine/fence/afterFailure.ts";
import { claimFence, readFenceHolder, releaseFence, type FenceHolder } from "../../engine/fence/fenceHolder.ts";
import { givenBack } from "../../engine/fence/givenBack.ts";
import { refuseUnloadable } from "../../engine/fence/loadsConfiguration.ts";
import { readyTarget } from "../../engine/fence/lookBeforeFence.ts";
import {
    claimSource,
    describeSourceRecord,
    releaseSource,
    whoseFence,
    type SourceRecord,
} from "../../engine/fence/sourceRecord.ts";
import { fenceableDatabase } from "../../engine/fence/database/databaseOfSource.ts";
import type { FenceableDatabase } from "../../engine/fence/database/fenceableDatabase.ts";
import { tokenDigest, tokenFile, writeToken } from "../../engine/fence/fenceToken.ts";
import { sourceService } from "../../engine/services/service.ts";
import { ranBefore, type WatchedService } from "../../engine/services/serviceControl.ts";
import { removeTrial, tryDefinitions } from "../../engine/postgres/directCopy/tryDefinitions.ts";
import { sourceAddress } from "../../engine/postgres/databases/sourceDatabase.ts";
import { placeOn } from "../../engine/machines/placeOn.ts";
import { MatrixApi } from "../../engine/synapse/api/matrixApi.ts";
import { ownBaseUrl } from "../../engine/synapse/api/ownApi.ts";
import { eachOf } from "../../engine/run/eachOf.ts";
import { MigrationError } from "../../engine/run/errors.ts";
import { defineStep, type StepRun } from "../../engine/run/step.ts";
import { Together } from "../../engine/run/together.ts";
import { until } from "../../engine/run/until.ts";
import { refuseChangedSource } from "../../engine/synapse/config/sectionDigests.ts";
import { readSourceConfig } from "../../engine/synapse/config/sourceConfig.ts";
import { refuseRewritten } from "../../engine/synapse/config/writtenFiles.ts";

/** For how long the streams are seen standing still. */
const stillSeconds = 2;
/** A source that is started again has nothing to upgrade. */
const servingSeconds = 120;

export const fence = defineStep(
    fenceContract,
    async ({ source, target }, run) => {
        const service = sourceService(source, run.signal);
        const database = await fenceableDatabase(source);
        const before = await readFenceHolder(dirname(run.directory));
        // An attempt that was killed may have stopped it: then there is nothing left to look at before.
        if (before === undefined || (await service.status()).running) {
            await refuseChangedSource(await readSourceConfig(source), run.directory, configureContract.name);
            await database.refuseObstacles(run.signal);
        }
        const takenOver = await run.recorded(takenOverAction, () =>
            Promise.resolve(before !== undefined && before.run !== run.id),
        );
        // In the source's own database first: of two stacks that would fence it, one is refused while it still serves.
        const found = await database.readOnly();
        // As the record has it, where an attempt has changed it already.
        const { readOnly } = await database.record("fence", (place) => claimSource(place, run.reference, found));
        // Kept before anything is stopped: the undo has to know how the source was even when we are killed in the middle.
        const holder = await claimFence(run, async () => ({
            service: (await service.status()).record,
            readOnly,
        }));
        let told = false;
        let comesBack = false;
        try {
            // Where the source is exported into files, all that is its receiver's.
            if (target !== undefined) await tryTarget(target, source, database.kind, run);
            // The downtime begins here, whatever this step still has to do.
            const fencedAt = await run.recorded(fencedAtAction, () => Promise.resolve(new Date().toISOString()));
            told = true;
            const watched = (watching: Promise<WatchedService>): Promise<WatchedService> =>
                watching.catch((error: unknown) => {
                    comesBack = error instanceof MigrationError;
                    throw error;
                });
            const stopped = await run.progress.during("stopping the source homeserver", () =>
                service.stop(holder.service),
            );
            const together = new Together(run.signal);
            const watching = together.part(watched(service.staysDown(stopped, together.signal)));
            const proving = proveFenced(source, database, run, { fencedAt, watching, signal: together.signal });
            const [result] = await together.all(proving, watching);
            return result;
        } catch (error) {
            const back = () => lift(source, run, holder, comesBack);
            throw await givenBack(error, { run, holder, service, takenOver, told, lift: back });
        }
    },
    async ({ source, target }, run) => {
        if (target !== undefined)
            await removeTrial(target.database, run).catch((error: unknown) => {
                run.progress.say(`the target is not asked whether a trial was left: ${String(error)}`);
            });
        const database = await fenceableDatabase(source);
        const { whose, record } = await database.record("fence", (place) => whoseFence(place, run.reference));
        if (record !== undefined && whose !== "ours") {
            run.progress.note(`the source stays stopped: it is ${describeSourceRecord(record)}`);
            return;
        }
        const holder = await readFenceHolder(dirname(run.directory));
        if (holder === undefined && record !== undefined) {
            await liftRecorded(source, record, run);
            return;
        }
        if (holder?.run !== run.id) {
            run.progress.say(
                holder === undefined ? "nothing was fenced" : "a newer run holds the fence: the source stays stopped",
            );
            return;
        }
        await lift(source, run, holder);
    },
);

/** Has the target take all that it will be given but the rows, while the source serves. */
async function tryTarget(
    target: FenceTarget,
    source: SelfHostedSource,
    kind: FenceableDatabase["kind"],
    run: StepRun,
): Promise<void> {
    const { database } = target;
    const { serverName } = source;
    await run.progress.during("looking whether the target's database answers", () =>
        readyTarget(target, run, serverName, run.signal),
    );
    // Those of an SQLite file are made anew, by Synapse's own script.
    if (kind === "postgres") {
        const address = await sourceAddress(source);
        await run.progress.during("trying the source's definitions on the target", () =>
            tryDefinitions({ source: address, database, serverName, step: "fence" }, run),
        );
    }
    // What is installed has a configuration of its own, and has started with it.
    if (database.installed !== undefined) return;
    await run.progress.during("having the target's Synapse load its configuration", () =>
        eachOf(
            async () => refuseUnloadable(run, await readSourceConfig(source)),
            () => refuseRewritten(run, "nothing: the source was not stopped"),
        ),
    );
}

/** A source that was told to stop, and has. */
interface Stopped {
    readonly fencedAt: string;
    /** How long it was seen to stay so, in the end. */
    readonly watching: Promise<WatchedService>;
    readonly signal: AbortSignal;
}

/** Proves, at the database of a source that was stopped, that nobody is left who could write. */
async function proveFenced(
    source: SelfHostedSource,
    database: FenceableDatabase,
    run: StepRun,
    { fencedAt, watching, signal }: Stopped,
): Promise<z.infer<typeof fenceContract.result>> {
    const { progress } = run;
    const { stands, checks, sessionsEnded } = await database.proveStill({ seconds: stillSeconds, progress, signal });
    const { seconds: watchedSeconds, evidence: stopped } = await watching;
    const token = { run: run.id, serverName: source.serverName, fencedAt, ...stands };
    await writeToken(run.directory, token);
    const evidence = `${stopped}; nothing took its place for ${watchedSeconds} s`;
    await run.evidence({
        checks: [{ id: "service-stopped", state: "passed", evidence }, ...checks],
        fencedAt,
        ...stands,
    });
    return { token: tokenDigest(token), fencedAt, stillSeconds, sessionsEnded };
}

/** Gives the source back as it was, and gives up the fence. */
async function lift(source: SelfHostedSource, run: StepRun, holder: FenceHolder, comesBack = false): Promise<void> {
    const database = await fenceableDatabase(source);
    await database.giveBack(holder.readOnly);
    await run.progress.during("starting the source homeserver again", async () => {
        await sourceService(source).start(holder.service, { comesBack });
        if (ranBefore(holder.service)) await serving(source);
    });
    await rm(tokenFile(run.directory), { force: true });
    await database.record("fence", (place) => releaseSource(place, run.reference));
    await releaseFence(run);
}

/**
 * How the service ran was lost with the work directory: the database gets back what its record has. What systemd runs says itself how it ran; the
 * rest is a person's to do.
 *
 * @throws MigrationError SM-E0744 where the source does not run
 */
async function liftRecorded(source: SelfHostedSource, record: SourceRecord, run: StepRun): Promise<void> {
    const database = await fenceableDatabase(source);
    await database.giveBack(record.readOnly);
    await database.record("fence", (place) => releaseSource(place, run.reference));
    const service = sourceService(source);
    const { running, record: found } = await service.status();
    // Part of it may run, and what did not run is held as well.
    if (found.kind === "systemd") {
        await run.progress.during("starting the source homeserver again", () => service.start(found));
        if (ranBefore(found)) await serving(source);
        return;
    }
    if (running) return;
    throw new MigrationError("SM-E0744", {
        where: service.name,
        found: `${dirname(run.directory)} has no record of how it ran`,
        expected: "the record that the fence made",
        changed: "the fence was lifted: the database may be written to again, and nobody holds it",
    });
}

/** @throws MigrationError SM-E0712 when the source does not answer its clients in time; a source without a client listener is not asked */
async function serving(source: SelfHostedSource): Promise<void> {
    const config = await readSourceConfig(source);
    const baseUrl = await ownBaseUrl(config);
    if (baseUrl === undefined) return;
    const api = new MatrixApi(baseUrl);
    await until(
        async () => {
            const answer = await api.ask("/_matrix/client/versions").catch(() => undefined);
            return answer?.status === 200 || undefined;
        },
        { seconds: servingSeconds },
        () =>
            new MigrationError("SM-E0712", {
                where: placeOn(config.machine, config.clientBaseUrl ?? baseUrl),
                found: `the source was started and does not answer after ${servingSeconds} s`,
                expected: "200 from /_matrix/client/versions",
                changed: "the fence is lifted and the source was started",
            }),
    );
}
