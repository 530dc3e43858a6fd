/** The timeline of the steps as inline SVG: a row a step, a bar an attempt. Widths are percentages, so text keeps its size on any screen. */
import { markup, type Markup } from "./markup.ts";
import { formatInstant, formatSeconds, plural } from "./quantities.ts";
import type { Attempt, DowntimeWindow, ReportedStep, RunRecord } from "./reportRecord.ts";
import { timeScale, type TimeScale } from "./timeScale.ts";

/** Heights in CSS pixels. */
const axisHeight = 24;
const downtimeHeight = 26;
const phaseHeight = 34;
const rowHeight = 38;
const barHeight = 12;
/** Narrower bars could not be seen; percent. */
const narrowestBar = 0.6;

/** Undefined when no step was begun. */
export function timeline(run: RunRecord): Markup | undefined {
    const steps = shownSteps(run.steps);
    const scale = scaleOf(run);
    if (scale === undefined) return undefined;
    const phases = [...new Set(steps.map(({ phase }) => phase))];
    const top = axisHeight + (run.downtime.length > 0 ? downtimeHeight : 0);
    const height = top + phases.length * phaseHeight + steps.length * rowHeight + 6;
    let y = top;
    const rows = phases.map((phase) => {
        const own = steps.filter((step) => step.phase === phase);
        const heading = phaseHeading(phase, own, y);
        y += phaseHeight;
        const bars = own.map((step) => {
            const drawn = row(step, y, scale);
            y += rowHeight;
            return drawn;
        });
        return markup`<g>${heading}${bars}</g>\n`;
    });
    return markup`<svg class="timeline" role="img" aria-labelledby="timeline-title timeline-desc" width="100%" height="${height}">
<title id="timeline-title">Timeline of the steps</title>
<desc id="timeline-desc">${description(run, steps, scale)}</desc>
<defs>${hatch("failed")}${hatch("interrupted")}</defs>
${run.downtime.map((window) => downtime(window, scale, height))}
${axis(scale, height)}
${rows}</svg>`;
}

/** Lengths of the pauses that are drawn shorter than they were, seconds. */
export function timelinePauses(run: RunRecord): number[] {
    return scaleOf(run)?.pauses.map(({ from, until }) => (until - from) / 1000) ?? [];
}

function scaleOf({ steps }: RunRecord): TimeScale | undefined {
    const attempts = steps.flatMap((step) => step.attempts);
    return timeScale(
        attempts.map(({ startedAt, endedAt }) => ({ from: Date.parse(startedAt), until: Date.parse(endedAt) })),
    );
}

/** Guards only wait for a rollback; they are shown when they had something to do that did not end well. */
export function shownSteps(steps: readonly ReportedStep[]): ReportedStep[] {
    return steps.filter(({ name, state }) => !name.startsWith("guard-") || (state !== "done" && state !== "undone"));
}

/** `failed twice, done in 12.3 s`: the story of one step in words. */
export function story(step: ReportedStep): string {
    const failures = step.attempts.filter(({ kind, state }) => kind === "do" && state === "failed").length;
    const kills = step.attempts.filter(({ kind, state }) => kind === "do" && state === "interrupted").length;
    const last = step.attempts.at(-1);
    const took = formatSeconds(last?.seconds ?? 0);
    const parts = [
        ...(failures > 0 && !(failures === 1 && step.state === "failed") ? [`failed ${times(failures)}`] : []),
        ...(kills > 0 ? [`killed ${times(kills)}`] : []),
    ];
    const ends = {
        done: took,
        failed: `failed after ${took}`,
        unfinished: "not finished",
        undone: `taken back in ${took}`,
        "undo-failed": "taking back did not finish",
    };
    const end = step.state === "done" && parts.length > 0 ? `then done in ${took}` : ends[step.state];
    return [...parts, end].join(", ");
}

const times = (count: number): string => (count === 1 ? "once" : count === 2 ? "twice" : `${count} times`);

function phaseHeading(phase: string, steps: readonly ReportedStep[], y: number): Markup {
    const seconds = steps.flatMap(({ attempts }) => attempts).reduce((sum, attempt) => sum + attempt.seconds, 0);
    return markup`<line class="rule" x1="0" x2="100%" y1="${y + 6.5}" y2="${y + 6.5}"/><text class="phase" x="0" y="${y + 25}">${phase}</text><text class="soft end" x="100%" y="${y + 25}">${formatSeconds(seconds)} of work</text>`;
}

function row(step: ReportedStep, y: number, scale: TimeScale): Markup {
    const bars = step.attempts.map((attempt) => bar(attempt, y + 19, scale));
    return markup`<g><text class="step" x="0" y="${y + 13}">${step.name}</text><text class="${`note end ${step.state}`}" x="100%" y="${y + 13}">${story(step)}</text><rect class="track" x="0" width="100%" y="${y + 19}" height="${barHeight}" rx="3"/>${bars}</g>\n`;
}

function bar(attempt: Attempt, y: number, scale: TimeScale): Markup {
    const from = scale.position(Date.parse(attempt.startedAt));
    const width = Math.max(narrowestBar, scale.position(Date.parse(attempt.endedAt)) - from);
    const x = Math.min(from, 100 - width);
    const state = attempt.state === "unfinished" ? "interrupted" : attempt.state;
    const name = `${attempt.kind === "undo" ? "taken back" : "attempt"} ${attempt.number}: ${attempt.state}, ${formatSeconds(attempt.seconds)}, from ${formatInstant(attempt.startedAt)}`;
    const style = attempt.kind === "undo" && state === "done" ? "undo" : state;
    return markup`<rect class="${`bar ${style}`}" x="${percent(x)}" width="${percent(width)}" y="${y}" height="${barHeight}" rx="3"><title>${name}${attempt.error === undefined ? "" : `, ${attempt.error.code}`}</title></rect>`;
}

function downtime(window: DowntimeWindow, scale: TimeScale, height: number): Markup {
    const from = scale.position(Date.parse(window.from));
    const until = window.until === undefined ? 100 : scale.position(Date.parse(window.until));
    const length = window.seconds === undefined ? "not over yet" : formatSeconds(window.seconds);
    const leftHalf = from < 40;
    const x = leftHalf ? from : until;
    return markup`<g><rect class="downtime" x="${percent(from)}" width="${percent(Math.max(narrowestBar, until - from))}" y="${axisHeight}" height="${height - axisHeight}"/><rect class="downtime-edge" x="${percent(from)}" width="${percent(Math.max(narrowestBar, until - from))}" y="${axisHeight}" height="3"/><text class="${`downtime-label ${leftHalf ? "" : "end"}`}" x="${percent(x)}" dx="${leftHalf ? 4 : -4}" y="${axisHeight + 19}">downtime ${length}</text></g>`;
}

function axis(scale: TimeScale, height: number): Markup {
    const pauses = scale.pauses.map(
        ({ at, width, from, until }) =>
            markup`<rect class="pause" x="${percent(at)}" width="${percent(width)}" y="${axisHeight}" height="${height - axisHeight}"><title>pause of ${formatSeconds((until - from) / 1000)}, drawn short</title></rect>`,
    );
    const clock = (instant: number): string => new Date(instant).toISOString().slice(11, 19);
    return markup`${pauses}<text class="soft" x="0" y="15">${clock(scale.from)}</text><text class="soft end" x="100%" y="15">${clock(scale.until)} UTC</text>`;
}

/** The same again in words, for those who do not see it. */
function description({ downtime }: RunRecord, steps: readonly ReportedStep[], scale: TimeScale): string {
    const window = downtime.map(({ from, until, seconds }) =>
        until === undefined
            ? `Down since ${formatInstant(from)}.`
            : `Down from ${formatInstant(from)} to ${formatInstant(until)}, ${formatSeconds(seconds ?? 0)}.`,
    );
    const span = `${plural(steps.length, "step")} from ${formatInstant(new Date(scale.from).toISOString())} to ${formatInstant(new Date(scale.until).toISOString())}.`;
    return [span, ...window, ...steps.map((step) => `${step.name}: ${story(step)}.`)].join(" ");
}

function hatch(name: string): Markup {
    return markup`<pattern id="hatch-${name}" patternUnits="userSpaceOnUse" width="7" height="7" patternTransform="rotate(45)"><rect class="${`hatch-ground ${name}`}" width="7" height="7"/><rect class="hatch-line" width="2.5" height="7"/></pattern>`;
}

const percent = (value: number): string => `${value.toFixed(2)}%`;
