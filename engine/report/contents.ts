/** What the Markdown and the HTML report both say: key figures, groups, numbers in words. Pure. */
import { checkState, type CheckState } from "../../contract/index.ts";
import { formatBytes, formatCount, formatInstant, formatSeconds } from "./quantities.ts";
import { recoveryTable } from "./recoveryTime.ts";
import type { ReportedCheck, ReportedStep, RunRecord } from "./reportRecord.ts";

export interface Figure {
    readonly name: string;
    readonly value: string;
    /** A second, smaller line. */
    readonly note?: string;
}

/** The numbers that are looked for first; those that are not known yet are left out. */
export function figures(run: RunRecord): Figure[] {
    const figures: Figure[] = [downtimeFigure(run)];
    const { media } = run;
    const tables = run.tables.filter(({ stands }) => stands);
    const checks = run.checks.filter(({ stands }) => stands);
    if (tables.length > 0) {
        const rows = tables.reduce((sum, { sourceRows }) => sum + (sourceRows ?? 0), 0);
        const equal = tables.filter(({ state }) => state === "equal").length;
        figures.push({
            name: "Tables equal",
            value: `${formatCount(equal)} of ${formatCount(tables.length)}`,
            note: `${formatCount(rows)} rows`,
        });
    } else if (run.sizes !== undefined) {
        figures.push({
            name: "Database",
            value: formatBytes(run.sizes.databaseBytes),
            note: `${formatCount(run.sizes.tables)} tables`,
        });
    }
    const files = media.at(-1);
    if (files !== undefined)
        figures.push({ name: "Media files", value: formatCount(files.files), note: formatBytes(files.bytes) });
    else if (run.sizes !== undefined) {
        figures.push({
            name: "Media",
            value: formatBytes(run.sizes.mediaBytes),
            note: `${formatCount(run.sizes.mediaFiles)} files`,
        });
    }
    if (checks.length > 0) {
        const counts = countStates(checks);
        const others = (["failed", "warning", "not-run"] as const).map(
            (state) => `${formatCount(counts[state])} ${stateWords[state]}`,
        );
        figures.push({ name: "Checks passed", value: formatCount(counts.passed), note: others.join(", ") });
    }
    const seconds = run.steps.flatMap(({ attempts }) => attempts).reduce((sum, attempt) => sum + attempt.seconds, 0);
    figures.push({ name: "Work in all steps", value: formatSeconds(seconds) });
    return figures;
}

const stateWords: Readonly<Record<CheckState, string>> = {
    passed: "passed",
    failed: "failed",
    warning: "warned",
    "not-run": "not run",
};

function downtimeFigure(run: RunRecord): Figure {
    const { downtime, predictedDowntimeSeconds } = run;
    const recovered = recoveryTable(run)?.at(-1)?.[2];
    const last = downtime.at(-1);
    const predicted =
        predictedDowntimeSeconds === undefined ? undefined : `${formatSeconds(predictedDowntimeSeconds)} predicted`;
    if (last === undefined && recovered !== undefined)
        return { name: "Recovery time", value: recovered, ...(predicted === undefined ? {} : { note: predicted }) };
    if (last === undefined)
        return { name: "Downtime", value: "none", ...(predicted === undefined ? {} : { note: predicted }) };
    if (last.seconds === undefined)
        return { name: "Downtime", value: "not over", note: `since ${last.from.slice(11, 19)} UTC` };
    const before = downtime.length > 1 ? [`${downtime.length} times in all`] : [];
    const notes = [...(predicted === undefined ? [] : [predicted]), ...before];
    return {
        name: "Downtime",
        value: formatSeconds(last.seconds),
        ...(notes.length === 0 ? {} : { note: notes.join(", ") }),
    };
}

function countStates(checks: readonly ReportedCheck[]): Record<CheckState, number> {
    const count = (state: CheckState): number => checks.filter((check) => check.state === state).length;
    return { passed: count("passed"), failed: count("failed"), warning: count("warning"), "not-run": count("not-run") };
}

/** What went wrong first, then what was not shown, then what passed. */
const proofOrder: readonly CheckState[] = ["failed", "warning", "not-run", "passed"];

export interface Proof {
    readonly step: string;
    readonly stands: boolean;
    readonly checks: readonly ReportedCheck[];
    /** How many of each state there are, states without checks left out. */
    readonly counts: readonly { readonly state: CheckState; readonly count: number }[];
}

export function proofs({ checks }: RunRecord): Proof[] {
    return [...new Set(checks.map(({ step }) => step))].map((step) => {
        const own = checks.filter((check) => check.step === step);
        const counts = countStates(own);
        return {
            step,
            stands: own.every(({ stands }) => stands),
            checks: proofOrder.flatMap((state) => own.filter((check) => check.state === state)),
            counts: checkState.options
                .filter((state) => counts[state] > 0)
                .map((state) => ({ state, count: counts[state] })),
        };
    });
}

/** The message of a MigrationError without the code and the title that are shown beside it. */
export function whatWasFound({ code, title, message }: RunRecord["errors"][number]): string {
    const prefix = `${code} ${title ?? ""}: `;
    return message.startsWith(prefix) ? message.slice(prefix.length) : message;
}

export const mediaFacts = ({ files, bytes, copied, missing, orphans, treeDigest }: RunRecord["media"][number]) => ({
    Files: formatCount(files),
    Size: formatBytes(bytes),
    "Copied in this pass": formatCount(copied),
    Missing: formatCount(missing),
    "Not in the database": formatCount(orphans),
    "Digest of the tree": treeDigest,
});

/** The machines that a step has worked on, in one cell. */
export const placesOf = ({ machines }: ReportedStep): string => machines?.join(", ") ?? "not known";

/** Shown with checks and tables of steps that were taken back. */
export const fallen = "This does not stand: the step was taken back since, or the journal does not know it.";

export const offlineNotice =
    "The Pulumi plugins of this run are the stand-ins that come with this program, as the official ones could not be had.";

/** That the clock was set while the run went on, a sentence each time. */
export function clockNotes({ clockSet }: Pick<RunRecord, "clockSet">): string[] {
    return clockSet.map(({ before, seconds }) => {
        const way = `${formatSeconds(Math.abs(seconds))} ${seconds > 0 ? "forward" : "back"}`;
        return `The machine's clock was set ${way}, before ${formatInstant(before)}. Times are as it was after that, and no duration is measured by it.`;
    });
}
