/** How long a homeserver that came as files took to serve again, measured, part by part: its recovery time. Pure. */
import {
    importContract,
    importMediaContract,
    openSteps,
    startSteps,
    takeFileContract,
    verifyContract,
} from "../../contract/index.ts";
import { formatBytes, formatCount, formatSeconds } from "./quantities.ts";
import type { RunRecord } from "./reportRecord.ts";

/** What a row of the table says. */
export const recoveryColumns = ["Part", "Amount", "Took", "Rate"] as const;

/**
 * One row a part, the whole last; undefined unless a bundle was brought in and the gateway opened.
 *
 * The whole runs from the first step of the migration to the open gateway. What no step took, Pulumi and the administrator did.
 */
export function recoveryTable(run: RunRecord): readonly (readonly string[])[] | undefined {
    const began = standing(run, importContract.name)?.startedAt;
    const opened = standing(run, ...openSteps)?.endedAt;
    // Of a source that was stopped here the downtime says more.
    const isStopped = standing(run, takeFileContract.name) !== undefined;
    if (began === undefined || opened === undefined || isStopped) return undefined;
    const whole = Math.max(0, (Date.parse(opened) - Date.parse(began)) / 1000);
    const rows = run.tables.reduce((sum, { targetRows }) => sum + (targetRows ?? 0), 0);
    const media = run.media.find(({ step }) => step === importMediaContract.name);
    const parts = [
        part("database", run, importContract.name, rows, (amount) => `${formatCount(Math.round(amount))} rows`),
        part("media", run, importMediaContract.name, media?.bytes ?? 0, formatBytes),
        part("verification", run, verifyContract.name, rows, (amount) => `${formatCount(Math.round(amount))} rows`),
        part("start of Synapse", run, startSteps),
    ];
    const rest = whole - parts.reduce((sum, { seconds }) => sum + seconds, 0);
    return [
        ...parts.map(({ cells }) => cells),
        ["everything else", "", formatSeconds(Math.max(0, rest)), ""],
        ["recovery time", "", formatSeconds(whole), ""],
    ];
}

function part(
    title: string,
    run: RunRecord,
    step: string | readonly string[],
    amount = 0,
    format: (amount: number) => string = () => "",
): { seconds: number; cells: readonly string[] } {
    const seconds = standing(run, ...[step].flat())?.seconds ?? 0;
    const rate = amount > 0 && seconds > 0 ? `${format(amount / seconds)}/s` : "";
    return { seconds, cells: [title, amount > 0 ? format(amount) : "", formatSeconds(seconds), rate] };
}

/** The attempt that did a step whose work stands. */
function standing(
    { steps }: RunRecord,
    ...names: readonly string[]
): RunRecord["steps"][number]["attempts"][number] | undefined {
    const step = steps.find((one) => names.includes(one.name) && one.state === "done");
    return step?.attempts.findLast(({ kind, state }) => kind === "do" && state === "done");
}
