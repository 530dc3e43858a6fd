/** The sections of the HTML report, one function each; a section without content is left out. */
import { badge, badgeTone, outcomeTone, type BadgeName } from "./badges.ts";
import {
    clockNotes,
    fallen,
    figures,
    mediaFacts,
    offlineNotice,
    placesOf,
    proofs,
    whatWasFound,
    type Proof,
} from "./contents.ts";
import { Markup, markup, prose, table } from "./markup.ts";
import { formatCount, formatInstant, formatSeconds, plural } from "./quantities.ts";
import { recoveryColumns, recoveryTable } from "./recoveryTime.ts";
import type { ReportedTable, RunRecord } from "./reportRecord.ts";
import { shownSteps, story, timeline, timelinePauses } from "./timeline.ts";

export function summarySection({ outcome, ...run }: RunRecord): Markup {
    const notRun = markup`<h3>Not run, so not shown</h3><ul>${outcome.notRun.map((name) => markup`<li>${prose(name)}</li>`)}</ul>`;
    const notProven = markup`<h3>Not proven</h3><ul>${outcome.notProven.map(({ what, reason }) => markup`<li><b>${prose(what)}</b>: ${prose(reason)}</li>`)}</ul>`;
    return markup`<section class="${`outcome ${outcomeTone(outcome.state)}`}" aria-labelledby="outcome"><h2 id="outcome">${outcome.headline}</h2>
${outcome.sentences.map((sentence) => markup`<p>${prose(sentence)}</p>\n`)}${outcome.notProven.length > 0 ? notProven : undefined}${outcome.notRun.length > 0 ? notRun : undefined}</section>
<dl class="figures">${figures({ outcome, ...run }).map(
        ({ name, value, note }) =>
            markup`<div><dt>${name}</dt><dd>${value}${note === undefined ? undefined : markup`<small>${note}</small>`}</dd></div>\n`,
    )}</dl>`;
}

export function pluginNotice({ plugins }: RunRecord): Markup | undefined {
    if (plugins !== "offline") return undefined;
    return section("plugins", "Offline plugins in use", markup`<p>${offlineNotice}</p>`, "notice");
}

export function errorsSection({ errors }: RunRecord): Markup | undefined {
    if (errors.length === 0) return undefined;
    const entries = errors.map((error) => {
        const text = (name: string, value: string | undefined): Markup | undefined =>
            value === undefined ? undefined : markup`<p><b>${name}</b> ${prose(value)}</p>`;
        return markup`<div class="${`finding ${error.resolved ? "calm" : "bad"}`}"><h3>${error.code} ${error.title} ${badge(error.resolved ? "resolved" : "standing")}</h3>
<p>Step ${error.step}, attempt ${error.attempt}, ${formatInstant(error.at)}</p>${text("Found", whatWasFound(error))}${text("Why it matters", error.why)}${text("Fix", error.fix)}</div>`;
    });
    return section("errors", "Errors", markup`${entries}`);
}

/** What Pulumi showed for a moment, if at all. */
export function leftToDoSection({ leftToDo }: RunRecord): Markup | undefined {
    if (leftToDo.length === 0) return undefined;
    const entries = leftToDo.map(({ step, text, at, undo }) => {
        const when = markup`<span class="small">${undo ? "taken back" : "done"} ${formatInstant(at)}</span>`;
        return markup`<li><b>${step}</b>: ${prose(text)} ${when}</li>`;
    });
    return section("left", "What is left to do", markup`<ul>${entries}</ul>`);
}

export function timelineSection(run: RunRecord): Markup | undefined {
    const drawing = timeline(run);
    if (drawing === undefined) return undefined;
    const steps = shownSteps(run.steps).flatMap((step) =>
        step.attempts.map((attempt) => [
            step.name,
            step.phase,
            `${attempt.kind === "undo" ? "taking back" : "attempt"} ${attempt.number}`,
            attempt.error === undefined ? attempt.state : `${attempt.state}, ${attempt.error.code}`,
            formatInstant(attempt.startedAt),
            formatSeconds(attempt.seconds),
            placesOf(step),
        ]),
    );
    const columns = [
        { name: "Step" },
        { name: "Phase" },
        { name: "Attempt" },
        { name: "End" },
        { name: "Begun" },
        { name: "Took", number: true },
        { name: "Machines" },
    ];
    const key = (style: string, name: string): Markup =>
        markup`<li><svg width="22" height="12" aria-hidden="true"><rect class="${style}" x="1" y="1" width="20" height="10" rx="3"/></svg>${name}</li>`;
    const used = (test: (attempt: RunRecord["steps"][number]["attempts"][number]) => boolean): boolean =>
        run.steps.some(({ attempts }) => attempts.some(test));
    const legend = [
        key("bar done", "done"),
        ...(used(({ state }) => state === "failed") ? [key("bar failed", "failed")] : []),
        ...(used(({ state }) => state === "interrupted" || state === "unfinished")
            ? [key("bar interrupted", "killed or not finished")]
            : []),
        ...(used(({ kind }) => kind === "undo") ? [key("bar undo", "taken back")] : []),
        ...(run.downtime.length > 0 ? [key("downtime", "downtime")] : []),
        ...timelinePauses(run).map((seconds) => key("pause", `pause of ${formatSeconds(seconds)}, drawn short`)),
    ];
    const stories = run.steps.filter(
        ({ state }) => state === "failed" || state === "undo-failed" || state === "unfinished",
    );
    return section(
        "timeline",
        "Timeline",
        markup`${clockNotes(run).map((note) => markup`<p>${note}</p>`)}${stories.map((step) => markup`<p><b>${step.name}</b>: ${story(step)}</p>`)}${drawing}<ul class="legend">${legend}</ul>
<details><summary>The timeline as a table</summary>${table("Attempts at each step", columns, steps)}</details>`,
    );
}

export function recoverySection(run: RunRecord): Markup | undefined {
    const rows = recoveryTable(run);
    if (rows === undefined) return undefined;
    const columns = recoveryColumns.map((name, index) => ({ name, number: index > 0 }));
    return section(
        "recovery",
        "Recovery time",
        table(
            "From the first step of the migration to the open gateway, measured",
            columns,
            rows.map((row) => row.map((cell) => prose(cell))),
        ),
    );
}

export function findingsSection({ findings }: RunRecord): Markup | undefined {
    if (findings.length === 0) return undefined;
    const entries = findings.map(({ id, severity, evidence, fix, step }) => {
        return markup`<div class="${`finding ${badgeTone(severity)}`}"><h3>${id} ${badge(severity)}</h3>
<p>${prose(evidence)}</p><p class="fix"><b>Fix</b> ${prose(fix)}</p><p class="small">found by ${step}</p></div>`;
    });
    return section("findings", "Findings", markup`${entries}`);
}

export function proofsSection(run: RunRecord): Markup | undefined {
    const all = proofs(run);
    if (all.length === 0) return undefined;
    return section("proofs", "Proofs", markup`<p>A check that was not run is not a pass.</p>${all.map(proofGroup)}`);
}

function proofGroup({ step, stands, checks, counts }: Proof): Markup {
    const open = counts.some(({ state }) => state !== "passed") ? new Markup(" open") : undefined;
    const badges = counts.map(({ state, count }) => badge(state, formatCount(count)));
    const rows = checks.map(({ id, state, evidence }) => [prose(id), badge(state), prose(evidence)]);
    const note = stands ? undefined : markup`<p class="taken-back">${fallen}</p>`;
    return markup`<details class="group"${open}><summary>${step} ${badges} ${stands ? undefined : badge("fallen")}</summary>${note}${table(`Checks of ${step}`, [{ name: "Check" }, { name: "State" }, { name: "What was seen" }], rows)}</details>\n`;
}

export function tablesSection({ tables }: RunRecord): Markup | undefined {
    if (tables.length === 0) return undefined;
    const [equal, others] = [
        tables.filter(({ state }) => state === "equal"),
        tables.filter(({ state }) => state !== "equal"),
    ];
    const note = tables.every(({ stands }) => stands) ? undefined : markup`<p class="taken-back">${fallen}</p>`;
    const attention = others.length === 0 ? undefined : comparison("Tables that are not shown to be equal", others);
    const rest =
        equal.length === 0
            ? undefined
            : markup`<details class="group"><summary>${plural(equal.length, "table")} ${badge("equal")}</summary>${comparison("Tables that are equal in source and target", equal)}</details>`;
    return section(
        "tables",
        "Tables",
        markup`<p>Rows and the sum of their hashes, counted in the source's snapshot and in the target.</p>${note}${attention}${rest}`,
    );
}

function comparison(caption: string, tables: readonly ReportedTable[]): Markup {
    const unknown = markup`<span class="badge none">unknown</span>`;
    const rows = (value: number | undefined): Markup | string => (value === undefined ? unknown : formatCount(value));
    const hash = (value: string | undefined): Markup =>
        value === undefined ? unknown : markup`<span class="hash">${value}</span>`;
    const columns = [
        { name: "Table" },
        { name: "Rows, source", number: true },
        { name: "Rows, target", number: true },
        { name: "Hash, source", number: true },
        { name: "Hash, target", number: true },
        { name: "Result" },
    ];
    const entries = tables.map((one) => [
        prose(one.name),
        rows(one.sourceRows),
        rows(one.targetRows),
        hash(one.sourceHash),
        hash(one.targetHash),
        badge(one.state satisfies BadgeName),
    ]);
    return table(`${caption}: ${formatCount(tables.length)}`, columns, entries);
}

export function mediaSection({ media }: RunRecord): Markup | undefined {
    const names = Object.keys(
        mediaFacts({ step: "", files: 0, bytes: 0, copied: 0, missing: 0, orphans: 0, treeDigest: "" }),
    );
    if (media.length === 0) return undefined;
    const columns = [{ name: "Pass" }, ...names.map((name) => ({ name, number: name !== "Digest of the tree" }))];
    const rows = media.map((pass) => [
        pass.step,
        ...Object.entries(mediaFacts(pass)).map(([name, value]) =>
            name === "Digest of the tree" ? markup`<span class="hash">${value}</span>` : value,
        ),
    ]);
    return section("media", "Media", table("Passes over the media store", columns, rows));
}

export function versionsSection({ versions, environment, plugins, unread }: RunRecord): Markup {
    const rows = (facts: Readonly<Record<string, string>>): Markup[][] =>
        Object.entries(facts).map(([name, value]) => [prose(name), prose(value)]);
    const columns = [{ name: "What" }, { name: "Version" }];
    const facts = [...rows(versions), ...rows(environment), [prose("Pulumi plugins"), prose(plugins)]];
    const problems = unread.map(({ file, reason }) => [prose(file), prose(reason)]);
    const unused =
        unread.length === 0
            ? undefined
            : table("Evidence that could not be used", [{ name: "File" }, { name: "Why" }], problems);
    return section("versions", "Versions and plugins", markup`${table("What took part", columns, facts)}${unused}`);
}

function section(id: string, title: string, content: Markup, style = ""): Markup {
    return markup`<section class="${style}" aria-labelledby="${id}"><h2 id="${id}">${title}</h2>\n${content}</section>\n`;
}
