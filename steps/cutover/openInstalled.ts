/** Cut-over of an installed homeserver: it listens where its installer had it listen, with all its workers, and starts with its machine. */
import { openInstalledContract, type SelfHostedSource } from "../../contract/index.ts";
import { fenceInstant } from "../../engine/fence/fenceInstant.ts";
import { publicUrl, requireShown } from "../../engine/installed/askInstalled.ts";
import { anothers, heldInstalled, requireHeld } from "../../engine/installed/holder.ts";
import { all, mainAlone } from "../../engine/installed/mainAlone.ts";
import { requireVacated } from "../../engine/installed/vacated.ts";
import { setDoor, type Door } from "../../engine/installed/writtenIdentity.ts";
import { readUptime, type Reading } from "../../engine/run/steadyClock.ts";
import { defineStep } from "../../engine/run/step.ts";
import { sourceService } from "../../engine/services/service.ts";

const answerSeconds = 300;

export const openInstalled = defineStep(
    openInstalledContract,
    async ({ deployment, verifyKeys }, run) => {
        const directory = await requireHeld(run.reference);
        await run.progress.during("opening the installed homeserver", async () => {
            await restart(deployment, "open", directory, run.signal);
            await requireShown(deployment, verifyKeys, { seconds: answerSeconds, signal: run.signal });
        });
        const opened: Reading = { at: new Date().toISOString(), uptime: readUptime() };
        const openedAt = await run.recorded("opened-at", () => Promise.resolve(opened.at));
        const fencedAt = await fenceInstant(run, opened);
        await run.evidence({ openedAt, fencedAt });
        const downtime = fencedAt === undefined ? undefined : (Date.parse(openedAt) - Date.parse(fencedAt)) / 1000;
        return {
            openedAt,
            ...(downtime === undefined ? {} : { downtimeSeconds: Math.max(0, downtime) }),
            checks: [],
            url: await publicUrl(deployment),
        };
    },
    async ({ deployment }, run) => {
        const directory = await heldInstalled(run.reference, "service");
        if (directory === undefined) {
            run.progress.note(anothers);
            return;
        }
        await restart(deployment, "closed", directory, run.signal);
    },
);

/** Between the two it does not run: what it reads is written while nobody reads it. */
async function restart(
    deployment: SelfHostedSource,
    door: Door,
    directory: string,
    signal: AbortSignal,
): Promise<void> {
    const before = await requireVacated(directory);
    const service = sourceService(deployment, signal);
    await service.stop(all(before));
    await setDoor(deployment, door, directory);
    await service.start(door === "open" ? all(before) : mainAlone(before));
}
