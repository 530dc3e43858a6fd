/** Stops the installed homeserver for good, so that nothing but the move changes its database, its media and its configuration. */
import { vacateContract } from "../../contract/index.ts";
import { requireShownAgain } from "../../engine/installed/askInstalled.ts";
import { refuseUsed } from "../../engine/installed/usedLately.ts";
import { forgetVacated, keepVacated, vacated } from "../../engine/installed/vacated.ts";
import { defineStep } from "../../engine/run/step.ts";
import { sourceService } from "../../engine/services/service.ts";
import { ranBefore } from "../../engine/services/serviceControl.ts";

export const vacate = defineStep(
    vacateContract,
    async ({ deployment }, run) => {
        const service = sourceService(deployment, run.signal);
        await service.refuseUnstoppable();
        // A day may have gone by since the assessment.
        if ((await vacated(run.directory)) === undefined) await refuseUsed(deployment);
        const before = (await vacated(run.directory)) ?? (await service.status()).record;
        await keepVacated(run.directory, before);
        const stopped = await run.progress.during("stopping the installed homeserver", () => service.stop(before));
        const { seconds, evidence } = await service.staysDown(stopped, run.signal);
        const vacatedAt = await run.recorded("vacated-at", () => Promise.resolve(new Date().toISOString()));
        await run.evidence({ service: service.name, evidence: `${evidence}; nothing took its place for ${seconds} s` });
        return { vacatedAt, ran: ranBefore(before) };
    },
    async ({ deployment }, run) => {
        const before = await vacated(run.directory);
        if (before === undefined) {
            run.progress.say("the installed homeserver was not stopped by this run");
            return;
        }
        await run.progress.during("starting the installed homeserver as it ran", async () => {
            await sourceService(deployment, run.signal).start(before);
            if (ranBefore(before)) await requireShownAgain(deployment, run.signal);
        });
        await forgetVacated(run.directory);
    },
);
