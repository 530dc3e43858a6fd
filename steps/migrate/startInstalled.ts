/** Starts the installed homeserver as the one that was moved: only with a matching fence, a verified database and the source's own signing key. */
import { performance } from "node:perf_hooks";
import { startInstalledContract } from "../../contract/index.ts";
import { refuseUnlessStillFenced } from "../../engine/fence/stillFenced.ts";
import { publicUrl, requireShown } from "../../engine/installed/askInstalled.ts";
import { anothers, heldInstalled, requireHeld } from "../../engine/installed/holder.ts";
import { all, mainAlone } from "../../engine/installed/mainAlone.ts";
import { requireVacated } from "../../engine/installed/vacated.ts";
import { requireWritten } from "../../engine/installed/writtenIdentity.ts";
import { withClient } from "../../engine/postgres/connection.ts";
import { readMarker, requireMarker } from "../../engine/postgres/databases/marker.ts";
import { adminAddress } from "../../engine/postgres/databases/targetAddress.ts";
import { eachOf } from "../../engine/run/eachOf.ts";
import { defineStep } from "../../engine/run/step.ts";
import { sourceService } from "../../engine/services/service.ts";

/** A first start after a schema upgrade may take long. */
const healthySeconds = 600;

export const startInstalled = defineStep(
    startInstalledContract,
    async ({ source, deployment, database, verifyKeys, fenceToken }, run) => {
        const directory = await requireHeld(run.reference);
        const where = `database ${database.name}`;
        await eachOf(
            async () => {
                const address = await adminAddress(database, database.name);
                await withClient(address, { step: "start-installed" }, async (client) =>
                    requireMarker(await readMarker(client), run.id, ["swapped", "committed"], where),
                );
            },
            () => requireWritten(deployment, directory),
            async () => {
                if (fenceToken !== undefined) await refuseUnlessStillFenced(source, fenceToken, run.reference, run);
            },
        );
        const began = performance.now();
        const before = await requireVacated(directory);
        const version = await run.progress.during("starting the installed homeserver", async () => {
            await sourceService(deployment, run.signal).start(mainAlone(before));
            return requireShown(deployment, verifyKeys, { seconds: healthySeconds, signal: run.signal });
        });
        const startedAt = await run.recorded("started-at", () => Promise.resolve(new Date().toISOString()));
        return {
            baseUrl: await publicUrl(deployment),
            version,
            startedAt,
            healthySeconds: Math.round(performance.now() - began) / 1000,
        };
    },
    async ({ deployment }, run) => {
        const directory = await heldInstalled(run.reference, "service");
        if (directory === undefined) {
            run.progress.note(anothers);
            return;
        }
        await sourceService(deployment, run.signal).stop(all(await requireVacated(directory)));
    },
);
