/** When nobody could use the homeserver: from the fence to the open gateway, or to the fence being taken back. Pure. */
import { z } from "zod";
import { fenceContract, fencedAtAction, instant, openSteps, seconds } from "../../contract/index.ts";
import { shifted } from "../run/steadyClock.ts";
import type { SteadyRecord } from "./steadyRecords.ts";
import type { DowntimeWindow } from "./reportRecord.ts";

const fenced = z.object({ fencedAt: instant });
const opened = z.object({ openedAt: instant, downtimeSeconds: seconds.optional() });

/** One window for each fence, in order. `downtimeSeconds` of the step that opened the gateway wins over what the instants say. */
export function downtimeOf(records: readonly SteadyRecord[]): DowntimeWindow[] {
    const windows: DowntimeWindow[] = [];
    // The action that noted the instant, which may be of an attempt before the one that was done.
    let toldAt: number | undefined;
    for (const { step, kind, at, result, action, shift } of records) {
        if (step === fenceContract.name && action === fencedAtAction) toldAt ??= shift;
        const last = windows.at(-1);
        const open = last?.end === "ongoing" ? last : undefined;
        const fence = step === fenceContract.name && kind === "done" ? fenced.safeParse(result).data : undefined;
        if (fence !== undefined && open === undefined)
            windows.push({ from: shifted(fence.fencedAt, toldAt ?? shift), end: "ongoing" });
        if (step === fenceContract.name && kind === "undone") toldAt = undefined;
        if (open === undefined) continue;
        if (step === fenceContract.name && kind === "undone") {
            windows[windows.length - 1] = closed(open, at, "rolled-back");
        }
        const opening = openSteps.includes(step) && kind === "done" ? opened.safeParse(result).data : undefined;
        if (opening !== undefined) {
            const openedAt = shifted(opening.openedAt, shift);
            const { downtimeSeconds } = opening;
            const from = downtimeSeconds === undefined ? open.from : shifted(openedAt, -1000 * downtimeSeconds);
            windows[windows.length - 1] = closed({ ...open, from }, openedAt, "opened");
        }
    }
    return windows;
}

function closed(window: DowntimeWindow, until: string, end: DowntimeWindow["end"]): DowntimeWindow {
    return {
        from: window.from,
        until,
        end,
        seconds: Math.max(0, (Date.parse(until) - Date.parse(window.from)) / 1000),
    };
}
