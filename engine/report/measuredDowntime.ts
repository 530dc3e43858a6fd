/** When nobody could use the homeserver: from the fence to the open gateway, or to the fence being taken back. Pure. */
import { z } from "zod";
import { fenceContract, instant, openContract, seconds } from "../../contract/index.ts";
import type { JournalRecord } from "../run/journal.ts";
import type { DowntimeWindow } from "./reportRecord.ts";

const fenced = z.object({ fencedAt: instant });
const opened = z.object({ openedAt: instant, downtimeSeconds: seconds.optional() });

/** One window for each fence, in order. `downtimeSeconds` of the step that opened the gateway wins over what the instants say. */
export function downtimeOf(records: readonly JournalRecord[]): DowntimeWindow[] {
    const windows: DowntimeWindow[] = [];
    for (const { step, kind, at, result } of records) {
        const last = windows.at(-1);
        const open = last?.end === "ongoing" ? last : undefined;
        const fence = step === fenceContract.name && kind === "done" ? fenced.safeParse(result).data : undefined;
        if (fence !== undefined && open === undefined) windows.push({ from: fence.fencedAt, end: "ongoing" });
        if (open === undefined) continue;
        if (step === fenceContract.name && kind === "undone") {
            windows[windows.length - 1] = closed(open, at, "rolled-back");
        }
        const opening = step === openContract.name && kind === "done" ? opened.safeParse(result).data : undefined;
        if (opening !== undefined) {
            const from =
                opening.downtimeSeconds === undefined
                    ? open.from
                    : new Date(Date.parse(opening.openedAt) - opening.downtimeSeconds * 1000).toISOString();
            windows[windows.length - 1] = closed({ ...open, from }, opening.openedAt, "opened");
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
