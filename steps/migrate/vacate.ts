/** Stops the installed homeserver for good, so that nothing but the move changes its database, its media and its configuration. */
import { vacateContract } from "../../contract/index.ts";
import { requireShownAgain } from "../../engine/installed/askInstalled.ts";
import { refuseUsed } from "../../engine/installed/usedLately.ts";
import { anothers, claimInstalled, heldInstalled, releaseInstalled } from "../../engine/installed/holder.ts";
import { forgetVacated, keepVacated, vacated } from "../../engine/installed/vacated.ts";
import { defineStep } from "../../engine/run/step.ts";
import { sourceService } from "../../engine/services/service.ts";
import { ranBefore } from "../../engine/services/serviceControl.ts";

export const vacate = defineStep(
    vacateContract,
    async ({ deployment }, run) => {
        const service = sourceService(deployment, run.signal);
        await service.refuseUnstoppable();
        const directory = await claimInstalled(run.reference, "service");
        const known = await vacated(directory);
        // A day may have gone by since the assessment.
        if (known === undefined) await refuseUsed(deployment);
        const before = known ?? (await service.status()).record;
        await keepVacated(directory, before);
        const stopped = await run.progress.during("stopping the installed homeserver", () => service.stop(before));
        const { seconds, evidence } = await service.staysDown(stopped, run.signal);
        const vacatedAt = await run.recorded("vacated-at", () => Promise.resolve(new Date().toISOString()));
        await run.evidence({ service: service.name, evidence: `${evidence}; nothing took its place for ${seconds} s` });
        return { vacatedAt, ran: ranBefore(before) };
    },
    async ({ deployment }, run) => {
        const directory = await heldInstalled(run.reference, "service");
        if (directory === undefined) {
            run.progress.note(anothers);
            return;
        }
        const before = await vacated(directory);
        if (before === undefined) {
            run.progress.say("the installed homeserver was not stopped");
            return;
        }
        await run.progress.during("starting the installed homeserver as it ran", async () => {
            await sourceService(deployment, run.signal).start(before);
            if (ranBefore(before)) await requireShownAgain(deployment, run.signal);
        });
        await forgetVacated(directory);
        await releaseInstalled(directory);
    },
);
