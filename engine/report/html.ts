/** The report as one HTML file that fetches nothing and runs nothing. */
import { Markup, markup } from "./markup.ts";
import { formatInstant } from "./quantities.ts";
import type { RunRecord } from "./reportRecord.ts";
import {
    errorsSection,
    findingsSection,
    leftToDoSection,
    mediaSection,
    pluginNotice,
    proofsSection,
    recoverySection,
    summarySection,
    tablesSection,
    timelineSection,
    versionsSection,
} from "./sections.ts";
import { styleSheet } from "./styleSheet.ts";

/** Id, title, content. */
type Part = readonly [string, string, Markup | undefined];

/** A whole document. Its policy forbids scripts and every fetch; only its own style is allowed. */
export function htmlReport(run: RunRecord): string {
    const server = run.serverName ?? "Unnamed homeserver";
    const asOf = run.asOf === undefined ? "before the first step" : `as of ${formatInstant(run.asOf)}`;
    const errors: Part = ["errors", "Errors", errorsSection(run)];
    // What stopped the run comes first; what it overcame is history.
    const stopped = run.errors.some(({ resolved }) => !resolved);
    const parts: Part[] = [
        ...(stopped ? [errors] : []),
        ["left", "What is left to do", leftToDoSection(run)],
        ["timeline", "Timeline", timelineSection(run)],
        ["recovery", "Recovery time", recoverySection(run)],
        ["findings", "Findings", findingsSection(run)],
        ["proofs", "Proofs", proofsSection(run)],
        ["tables", "Tables", tablesSection(run)],
        ["media", "Media", mediaSection(run)],
        ...(stopped ? [] : [errors]),
        ["versions", "Versions and plugins", versionsSection(run)],
    ];
    const shown = parts.filter(([, , part]) => part !== undefined);
    const kind = run.run.disposable ? "Migration report, disposable stack" : "Migration report";
    return markup`<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark"><meta name="referrer" content="no-referrer">
<title>${server}: ${run.outcome.headline}</title><style>${styleSheet}</style></head>
<body><a class="skip" href="#outcome">Skip to the outcome</a>
<header><p class="eyebrow">${kind}</p><h1><bdi>${server}</bdi></h1>
<p class="route"><b><bdi>${run.source}</bdi></b> <span aria-label="to">→</span> <b><bdi>${run.target}</bdi></b></p>
<p class="eyebrow">run ${run.run.id}, phase ${run.run.phase}, ${asOf}</p>
<nav aria-label="Sections"><ul>${shown.map(([id, title]) => markup`<li><a href="#${id}">${title}</a></li>`)}</ul></nav></header>
<main>
${summarySection(run)}
${pluginNotice(run)}
${shown.map(([, , part]) => part)}</main>
<footer><p>Made from the journal and the evidence of the run, without secrets. The same data is in report.json.</p></footer></body></html>
`.text;
}
