/** What the run came to, in words that claim no more than was shown. Pure. */
import {
    commitContract,
    fenceContract,
    handOverContract,
    importContract,
    openSteps,
    prepareBundleContract,
    probeContract,
    startSteps,
    takeFileContract,
    verifyBundleContract,
    verifyContract,
} from "../../contract/index.ts";
import { notProven } from "./identityProofs.ts";
import { formatInstant, formatSeconds, plural } from "./quantities.ts";
import type { Outcome, ReportedStep, RunRecord } from "./reportRecord.ts";

/** What the outcome is drawn from: a record without it. */
export type RunFacts = Omit<RunRecord, "outcome">;

/** Without these nothing is proven, however many checks passed. */
const serverProofs: readonly (readonly string[])[] = [[verifyContract.name], startSteps, [probeContract.name]];
const bundleProofs = [[verifyBundleContract.name]];

/** Whether the target is files for another provider, which are not started here. */
const isBundle = ({ steps }: Pick<RunFacts, "steps">): boolean =>
    steps.some(({ name }) => name === prepareBundleContract.name);

export function outcomeOf(facts: RunFacts): Outcome {
    const { state, headline, sentence } = verdict(facts);
    return {
        state,
        headline,
        sentences: [sentence, ...situation(facts, state)],
        notProven: state === "moved" ? notProven(facts.checks) : [],
        notRun: notRunOf(facts),
    };
}

interface Verdict {
    readonly state: Outcome["state"];
    readonly headline: string;
    readonly sentence: string;
}

function verdict(facts: RunFacts): Verdict {
    const server = facts.serverName ?? "The homeserver";
    const troubled = facts.steps.filter((step) => step.state === "failed" || step.state === "undo-failed");
    const [failed] = latestFirst(troubled);
    if (failed !== undefined) return failure(facts, failed);
    const [open] = latestFirst(facts.steps.filter((step) => step.state === "unfinished"));
    if (open !== undefined) {
        return {
            state: "interrupted",
            headline: `Not finished: ${open.name}`,
            sentence: `The step ${open.name} was begun and its end was not written: it still works, or it was killed.`,
        };
    }
    const doubt = doubts(facts);
    const holds = (names: readonly string[]): boolean =>
        facts.steps.some((step) => names.includes(step.name) && step.state === "done");
    if (doubt.length > 0)
        return { state: "unproven", headline: "Not proven the same server", sentence: `${doubt.join("; ")}.` };
    const proofs = isBundle(facts) ? bundleProofs : serverProofs;
    if (proofs.every(holds)) return proven(facts, server);
    const ofMigration = facts.steps.filter((step) => step.phase === "migrate");
    if (ofMigration.some((step) => step.state === "undone") && !ofMigration.some((step) => step.state === "done")) {
        return {
            state: "rolled-back",
            headline: "Rolled back",
            sentence: `The migration of ${server} was begun and taken back, step by step.`,
        };
    }
    if (ofMigration.some((step) => step.state === "done")) {
        return {
            state: "under-way",
            headline: "Under way, not proven yet",
            sentence: `${server} is being moved; ${proofs.flatMap((names) => (holds(names) ? [] : names.slice(0, 1))).join(", ")} not done yet.`,
        };
    }
    if (facts.steps.some((step) => step.phase === "stage" && step.state === "done")) {
        return {
            state: "staged",
            headline: "Staged",
            sentence: `The target of ${server} is prepared and holds no data yet.`,
        };
    }
    const blocking = facts.findings.filter((finding) => finding.severity === "error").length;
    if (blocking > 0) {
        const sentence = `${plural(blocking, "finding")} must be settled before ${server} can be moved.`;
        return { state: "blocked", headline: "Not ready to be moved", sentence };
    }
    return { state: "assessed", headline: "Assessed", sentence: `${server} was looked at; nothing was changed.` };
}

function failure(facts: RunFacts, step: ReportedStep): Verdict {
    const error = facts.errors.findLast((candidate) => candidate.step === step.name);
    const undoing = step.state === "undo-failed";
    const what = undoing ? `Taking back the step ${step.name} did not finish` : `The step ${step.name} failed`;
    const why =
        undoing || error === undefined
            ? ""
            : ` with ${error.code}${error.title === undefined ? "" : `: ${error.title}`}`;
    return {
        state: "failed",
        headline: undoing ? `Rollback stopped in ${step.name}` : `Failed in ${step.name}`,
        sentence: `${what}${why}.`,
    };
}

/** Reasons why a run whose steps are all done still proves nothing. */
function doubts({ checks, tables, ...facts }: RunFacts): string[] {
    const unread = facts.unread.filter(({ stands }) => stands);
    const failed = checks.filter((check) => check.stands && check.state === "failed");
    const different = tables.filter((table) => table.stands && table.state === "different");
    return [
        ...(failed.length > 0
            ? [`${plural(failed.length, "check")} failed: ${failed.map(({ step, id }) => `${step} ${id}`).join(", ")}`]
            : []),
        ...(different.length > 0
            ? [`${plural(different.length, "table")} differ: ${different.map(({ name }) => name).join(", ")}`]
            : []),
        ...(unread.length > 0 ? [`evidence could not be read: ${unread.map(({ file }) => file).join(", ")}`] : []),
    ];
}

/** All is done and nothing failed: what the headline may claim is what was shown, and nothing that was only not contradicted. */
function proven(facts: RunFacts, server: string): Verdict {
    const count = (state: string): number =>
        facts.checks.filter((check) => check.stands && check.state === state).length;
    const parts = [`${plural(count("passed"), "check")} passed`, "none failed"];
    if (count("warning") > 0) parts.push(plural(count("warning"), "warning"));
    parts.push(notRunOf(facts).length === 0 ? "all were run" : `${notRunOf(facts).length} not run (listed below)`);
    if (isBundle(facts))
        return {
            state: "proven",
            headline: "The bundle is proven whole",
            sentence: `The bundle of ${server} holds all of it: ${parts.join(", ")}.`,
        };
    const open = notProven(facts.checks).map(({ what }) => what);
    if (open.length > 0)
        return {
            state: "moved",
            headline: `Moved; not proven: ${open.join(", ")}`,
            sentence: `${server} was moved, and nothing speaks against it, but not everything that would prove it the same server was shown: ${parts.join(", ")}.`,
        };
    return {
        state: "proven",
        headline: "Proven the same server",
        sentence: `${server} on the target is proven the same server: ${parts.join(", ")}.`,
    };
}

/** Where the source and the gateway stand. */
function situation({ steps, downtime }: RunFacts, state: Outcome["state"]): string[] {
    const stateOf = (name: string): ReportedStep["state"] | undefined =>
        steps.find((step) => step.name === name)?.state;
    const committed = stateOf(commitContract.name) === "done";
    const isOpen = openSteps.some((name) => stateOf(name) === "done");
    const window = downtime.at(-1);
    const sentences: string[] = [];
    const fence = stateOf(fenceContract.name);
    if (stateOf(importContract.name) === "done" && stateOf(takeFileContract.name) === undefined)
        sentences.push(
            "The source came as files: nothing here could stop the old server, and somebody has said that it is stopped for good.",
        );
    else if (fence === undefined)
        sentences.push(
            steps.some((step) => step.phase === "migrate")
                ? "The source was not fenced: it was copied while it could still write."
                : "The source was not stopped by this run.",
        );
    else if (fence === "undone")
        sentences.push(
            `The fence was taken back${window?.until === undefined ? "" : ` at ${formatInstant(window.until)}`}: the source serves again, unless a newer run holds it.`,
        );
    else if (fence !== "done")
        sentences.push("The fence is not certain: look whether the source runs before anything else.");
    else if (stateOf(handOverContract.name) === "done")
        sentences.push("The bundle is handed over: the source is fenced and must never serve again.");
    else if (committed) sentences.push("The target is committed: the source is fenced and must never serve again.");
    else
        sentences.push(
            "The source is stopped and fenced; declaring the phase `stage` and running `pulumi up` brings it back.",
        );
    if (window?.end === "opened" && window.until !== undefined && isOpen) {
        sentences.push(
            `The gateway is open since ${formatInstant(window.until)}, after ${formatSeconds(window.seconds ?? 0)} of downtime.`,
        );
    } else if (isOpen) sentences.push("The gateway is open.");
    else if ((state === "proven" || state === "moved") && !isBundle({ steps }))
        sentences.push("The gateway is still closed: no client has reached the target yet.");
    if (state === "failed" || state === "interrupted")
        sentences.push("Running `pulumi up` again goes on where this stopped.");
    return sentences;
}

/** More tables than this are counted instead of named. */
const namedTables = 5;

function notRunOf({ checks, tables }: RunFacts): string[] {
    const open = tables.filter((table) => table.stands && table.state === "not-compared");
    const named = open.map(({ name }) => `table ${name}: not compared`);
    return [
        ...checks.filter((check) => check.stands && check.state === "not-run").map(({ step, id }) => `${step}: ${id}`),
        ...(open.length > namedTables ? [`${plural(open.length, "table")}: not compared`] : named),
    ];
}

function latestFirst(steps: readonly ReportedStep[]): ReportedStep[] {
    const end = (step: ReportedStep): string => step.attempts.at(-1)?.endedAt ?? "";
    return [...steps].sort((a, b) => (end(a) < end(b) ? 1 : end(a) > end(b) ? -1 : 0));
}
