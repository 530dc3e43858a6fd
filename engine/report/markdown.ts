/** The report as Markdown, for terminals, tickets and chat. */
import { badgeText } from "./badges.ts";
import { clockNotes, fallen, figures, mediaFacts, offlineNotice, placesOf, proofs, whatWasFound } from "./contents.ts";
import { formatCount, formatInstant, formatSeconds } from "./quantities.ts";
import { recoveryColumns, recoveryTable } from "./recoveryTime.ts";
import type { RunRecord } from "./reportRecord.ts";
import { visible } from "./safeText.ts";
import { shownSteps, story } from "./timeline.ts";

/** CommonMark with tables; whatever came from elsewhere is escaped. */
export function markdownReport(run: RunRecord): string {
    const server = run.serverName ?? "Unnamed homeserver";
    const asOf = run.asOf === undefined ? "before the first step" : `as of ${formatInstant(run.asOf)}`;
    const sections: [string, string][] = [
        ["Errors", errors(run)],
        ["What is left to do", leftToDo(run)],
        ["Timeline", timeline(run)],
        ["Recovery time", recovery(run)],
        ["Findings", findings(run)],
        ["Proofs", proofTables(run)],
        ["Tables", tables(run)],
        ["Media", media(run)],
        ["Versions and plugins", versions(run)],
    ];
    const parts = [
        `# ${escape(server)}: ${escape(run.outcome.headline)}`,
        `${escape(run.source)} → ${escape(run.target)}, run ${escape(run.run.id)}, phase ${escape(run.run.phase)}, ${asOf}`,
        ...run.outcome.sentences.map(escape),
        run.outcome.notProven.length === 0
            ? ""
            : `Not proven:\n\n${list(run.outcome.notProven.map(({ what, reason }) => `**${escape(what)}**: ${escape(reason)}`))}`,
        run.outcome.notRun.length === 0 ? "" : `Not run, so not shown:\n\n${list(run.outcome.notRun.map(escape))}`,
        run.plugins === "offline" ? `**Offline plugins in use.** ${offlineNotice}` : "",
        list(
            figures(run).map(
                ({ name, value, note }) =>
                    `${name}: **${escape(value)}**${note === undefined ? "" : ` (${escape(note)})`}`,
            ),
        ),
        ...sections.map(([title, content]) => (content === "" ? "" : `## ${title}\n\n${content}`)),
    ];
    return `${parts.filter((part) => part !== "").join("\n\n")}\n`;
}

function errors({ errors }: RunRecord): string {
    return errors
        .map((error) => {
            const lines = [
                `Step ${escape(error.step)}, attempt ${error.attempt}, ${formatInstant(error.at)}`,
                `Found: ${escape(whatWasFound(error))}`,
                ...(error.why === undefined ? [] : [`Why it matters: ${escape(error.why)}`]),
                ...(error.fix === undefined ? [] : [`Fix: ${escape(error.fix)}`]),
            ];
            const state = badgeText(error.resolved ? "resolved" : "standing");
            return `### ${escape(`${error.code} ${error.title ?? ""}`.trim())} (${state})\n\n${list(lines)}`;
        })
        .join("\n\n");
}

function leftToDo({ leftToDo }: RunRecord): string {
    return list(leftToDo.map(({ step, text }) => `${escape(step)}: ${escape(text)}`));
}

function timeline(run: RunRecord): string {
    const steps = shownSteps(run.steps).map((step) => [
        step.name,
        step.phase,
        story(step),
        step.attempts[0] === undefined ? "" : formatInstant(step.attempts[0].startedAt),
        placesOf(step),
    ]);
    const windows = run.downtime.map(({ from, until, seconds }) =>
        until === undefined
            ? `Down since ${formatInstant(from)}.`
            : `Down from ${formatInstant(from)} to ${formatInstant(until)}: ${formatSeconds(seconds ?? 0)}.`,
    );
    if (steps.length === 0) return "";
    return [...windows, ...clockNotes(run), table(["Step", "Phase", "How it went", "Begun", "Machines"], steps)].join(
        "\n\n",
    );
}

function recovery(run: RunRecord): string {
    const rows = recoveryTable(run);
    return rows === undefined
        ? ""
        : table(
              recoveryColumns,
              rows.map((row) => row.map(escape)),
          );
}

function findings({ findings }: RunRecord): string {
    if (findings.length === 0) return "";
    const rows = findings.map(({ id, severity, evidence, fix }) => [id, badgeText(severity), evidence, fix]);
    return table(["Finding", "Severity", "Evidence", "Fix"], rows);
}

function proofTables(run: RunRecord): string {
    const groups = proofs(run).map(({ step, stands, checks, counts }) => {
        const summary = counts.map(({ state, count }) => badgeText(state, formatCount(count))).join(", ");
        const note = stands ? "" : `${fallen}\n\n`;
        const rows = checks.map(({ id, state, evidence }) => [id, badgeText(state), evidence]);
        return `### ${escape(step)}: ${summary}\n\n${note}${table(["Check", "State", "What was seen"], rows)}`;
    });
    return groups.length === 0 ? "" : ["A check that was not run is not a pass.", ...groups].join("\n\n");
}

function tables({ tables }: RunRecord): string {
    if (tables.length === 0) return "";
    const rows = tables.map((one) => [
        one.name,
        one.sourceRows === undefined ? "unknown" : formatCount(one.sourceRows),
        one.targetRows === undefined ? "unknown" : formatCount(one.targetRows),
        one.sourceHash ?? "unknown",
        one.targetHash ?? "unknown",
        badgeText(one.state),
    ]);
    const note = tables.every(({ stands }) => stands) ? "" : `${fallen}\n\n`;
    return note + table(["Table", "Rows, source", "Rows, target", "Hash, source", "Hash, target", "Result"], rows);
}

function media({ media }: RunRecord): string {
    const [first] = media;
    if (first === undefined) return "";
    const rows = media.map((pass) => [pass.step, ...Object.values(mediaFacts(pass))]);
    return table(["Pass", ...Object.keys(mediaFacts(first))], rows);
}

function versions({ versions, environment, plugins, unread }: RunRecord): string {
    const facts = table(
        ["What", "Version"],
        [...Object.entries(versions), ...Object.entries(environment), ["Pulumi plugins", plugins]],
    );
    if (unread.length === 0) return facts;
    return `${facts}\n\nEvidence that could not be used:\n\n${list(unread.map(({ file, reason }) => `${escape(file)}: ${escape(reason)}`))}`;
}

const list = (lines: readonly string[]): string => lines.map((line) => `- ${line}`).join("\n");

function table(columns: readonly string[], rows: readonly (readonly string[])[]): string {
    const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
    return [line(columns), line(columns.map(() => "---")), ...rows.map((row) => line(row.map(escape)))].join("\n");
}

/** More of a text than this is in report.json only. */
const longest = 1000;

/** Text on one line in which no character means anything to Markdown, so that it can stand anywhere, table cells included. */
function escape(text: string): string {
    const short = text.length <= longest ? text : `${text.slice(0, longest)}… (${formatCount(text.length)} characters)`;
    return visible(short)
        .replace(/[\\`*_{}[\]<>()#+!|~&^$]/g, (character) => `\\${character}`)
        .replace(/[\n\t]+/g, " ")
        .trim();
}
