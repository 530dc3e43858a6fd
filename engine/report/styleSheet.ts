/** How the HTML report looks: light and dark, wide and narrow, on paper. No address in it: nothing is fetched. */
import { Markup } from "./markup.ts";

const light = `
    --page: #f6f7f9; --card: #ffffff; --ink: #1b2130; --soft: #566074; --line: #dde1e8; --track: #eef0f4;
    --good: #1a7446; --good-ground: #e5f4ec; --bad: #b3261e; --bad-ground: #fcebea; --warn: #8a5300; --warn-ground: #fdf2de;
    --calm: #2f5fb3; --calm-ground: #e8effb; --bar: #2f6fd0; --bar-failed: #cf3a31; --bar-warn: #d98a1b; --hatch: #ffffff8c;
    --down: #e8590c1c; --down-edge: #d9480f; --down-ink: #a63a0a; --pause: #8089991f;`;
const dark = `
    --page: #12151c; --card: #1a1f29; --ink: #e8ebf1; --soft: #a2acbe; --line: #323a49; --track: #262d3a;
    --good: #74d6a0; --good-ground: #17342a; --bad: #ff9a92; --bad-ground: #421d1f; --warn: #f4bf6a; --warn-ground: #3a2c14;
    --calm: #9cbcf7; --calm-ground: #1d2b47; --bar: #5b93ea; --bar-failed: #f0655c; --bar-warn: #e5a13c; --hatch: #0000006b;
    --down: #ff922b1f; --down-edge: #ff922b; --down-ink: #ffb871; --pause: #a2acbe24;`;

/** One sheet for the whole page. */
export const styleSheet = new Markup(`
:root { color-scheme: light dark; ${light} }
@media (prefers-color-scheme: dark) { :root { ${dark} } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif; overflow-wrap: anywhere; }
main, header, footer { max-width: 62rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 2.25rem; }
footer { padding-bottom: 3rem; color: var(--soft); font-size: .875rem; }
a { color: var(--calm); } a:focus-visible, summary:focus-visible { outline: 3px solid var(--calm); outline-offset: 2px; border-radius: 4px; }
.skip { position: absolute; left: -999px; } .skip:focus { left: 1rem; top: .5rem; }
h1 { font-size: clamp(1.6rem, 5vw, 2.4rem); line-height: 1.15; margin: .15rem 0 .4rem; letter-spacing: -.02em; }
h2 { font-size: 1.25rem; margin: 0 0 .75rem; letter-spacing: -.01em; } h3 { font-size: 1rem; margin: 1.25rem 0 .4rem; }
p { margin: .35rem 0; max-width: 46rem; }
.eyebrow { color: var(--soft); font-size: .875rem; font-weight: 600; margin: 0; }
.route { color: var(--soft); font-size: 1.05rem; } .route b { color: var(--ink); font-weight: 600; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 14px; padding: 1.4rem 1.5rem; margin: 1.1rem 0; }
.outcome { border-left: 8px solid var(--calm); background: var(--calm-ground); } .outcome h2 { font-size: 1.5rem; color: var(--calm); margin-bottom: .3rem; }
.outcome.good { border-color: var(--good); background: var(--good-ground); } .outcome.good h2 { color: var(--good); }
.outcome.bad { border-color: var(--bad); background: var(--bad-ground); } .outcome.bad h2 { color: var(--bad); }
.outcome.warn { border-color: var(--warn); background: var(--warn-ground); } .outcome.warn h2 { color: var(--warn); }
.outcome ul { margin: .3rem 0 0; padding-left: 1.25rem; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .8rem; margin: 1.1rem 0; }
.figures div { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: .8rem 1rem; }
.figures dt { color: var(--soft); font-size: .8125rem; } .figures dd { margin: 0; font-size: 1.45rem; font-weight: 650; letter-spacing: -.02em; font-variant-numeric: tabular-nums; }
.figures dd small { display: block; font-size: .8125rem; font-weight: 400; color: var(--soft); letter-spacing: 0; }
.notice { border: 2px dashed var(--warn); background: var(--warn-ground); } .notice h2 { color: var(--warn); margin-bottom: .2rem; }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1.1rem; list-style: none; padding: 0; margin: .6rem 0; font-size: .9375rem; }
.badge { display: inline-block; white-space: nowrap; border-radius: 999px; padding: .05rem .6rem; font-size: .8125rem; font-weight: 600; border: 1px solid transparent; }
.badge.good { color: var(--good); background: var(--good-ground); } .badge.bad { color: var(--bad); background: var(--bad-ground); border-color: currentColor; }
.badge.warn { color: var(--warn); background: var(--warn-ground); } .badge.calm { color: var(--calm); background: var(--calm-ground); }
.badge.none { color: var(--soft); background: transparent; border: 1px dashed var(--soft); }
.finding { border-left: 4px solid var(--line); padding: .1rem 0 .1rem 1rem; margin: 1rem 0; } .finding.bad { border-color: var(--bad); } .finding.warn { border-color: var(--warn); } .finding.calm { border-color: var(--calm); }
.small { color: var(--soft); font-size: .8125rem; } .finding h3 { margin: 0; } .fix { margin-top: .3rem; } .fix b, .why b { font-weight: 600; } .taken-back { color: var(--soft); font-style: italic; }
table { border-collapse: collapse; width: 100%; font-size: .9375rem; margin: .4rem 0 .2rem; }
caption { text-align: left; color: var(--soft); font-size: .875rem; padding-bottom: .4rem; }
th, td { text-align: left; vertical-align: top; padding: .42rem .7rem .42rem 0; border-bottom: 1px solid var(--line); } tbody tr:last-child > * { border-bottom: 0; }
thead th { overflow-wrap: normal; color: var(--soft); font-size: .8125rem; font-weight: 600; } tbody th { font-weight: 500; min-width: 7rem; } td.number { white-space: nowrap; } td.number .hash { white-space: normal; } td:last-child, thead th:last-child { padding-right: 0; } .number { text-align: right; font-variant-numeric: tabular-nums; }
code, .hash { font: .8125rem/1.5 ui-monospace, "SF Mono", Menlo, "DejaVu Sans Mono", monospace; }
details > summary { cursor: pointer; padding: .3rem 0; } details.group { border-top: 1px solid var(--line); padding: .35rem 0; } details.group > summary { font-weight: 600; }
details.group > summary .badge { margin-left: .3rem; } details.long > summary { list-style-position: outside; }
bdi { white-space: pre-line; }
svg.timeline { display: block; overflow: visible; font-size: 13px; } svg text { fill: var(--ink); }
svg .end { text-anchor: end; } svg .soft, svg .note { fill: var(--soft); } svg .phase { font-weight: 650; font-size: 14px; } svg .step { font-weight: 500; }
svg .note.failed, svg .note.undo-failed { fill: var(--bad); font-weight: 600; } svg .note.unfinished { fill: var(--warn); font-weight: 600; }
svg .rule { stroke: var(--line); } svg .track { fill: var(--track); } svg .bar.done { fill: var(--bar); } svg .bar.failed { fill: url(#hatch-failed); stroke: var(--bar-failed); } svg .bar.interrupted { fill: url(#hatch-interrupted); stroke: var(--bar-warn); }
svg .bar.undo { fill: var(--card); stroke: var(--bar); stroke-width: 2; stroke-dasharray: 4 2; }
svg .hatch-ground.failed { fill: var(--bar-failed); } svg .hatch-ground.interrupted { fill: var(--bar-warn); } svg .hatch-line { fill: var(--hatch); }
svg .downtime { fill: var(--down); } svg .downtime-edge { fill: var(--down-edge); } svg .downtime-label { fill: var(--down-ink); font-weight: 600; } svg .pause { fill: var(--pause); }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; list-style: none; padding: 0; margin: .9rem 0 .4rem; font-size: .875rem; color: var(--soft); } .legend svg { vertical-align: -1px; margin-right: .4rem; }
@media (max-width: 640px) {
    main, header, footer { padding-left: .75rem; padding-right: .75rem; } section { padding: 1.05rem 1rem; }
    .figures { grid-template-columns: 1fr 1fr; gap: .55rem; } .figures div { padding: .6rem .75rem; } .figures div:last-child:nth-child(odd) { grid-column: 1 / -1; } .figures dd { font-size: 1.2rem; }
    table, tbody, tr, th[scope=row], td, caption { display: block; width: 100%; } thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
    tbody tr { border: 1px solid var(--line); border-radius: 10px; padding: .5rem .75rem; margin: .5rem 0; } tbody tr > * { border: 0; padding: .1rem 0; } tbody th { font-weight: 650; }
    td { display: grid; grid-template-columns: 8.6rem 1fr; column-gap: .75rem; } td::before { content: attr(data-label); color: var(--soft); font-size: .8125rem; padding-top: .12rem; } td > .badge { justify-self: start; } td.number { text-align: left; }
}
@media print {
    :root { color-scheme: light; ${light} --page: #ffffff; } body { font-size: 10.5pt; } header { padding-top: 0; } main, header, footer { max-width: none; padding: 0; }
    nav, .skip { display: none; } section { border-radius: 0; border-width: 1px 0 0; padding: .8rem 0; margin: 0; } .outcome { border-width: 0 0 0 6px; padding-left: .8rem; }
    * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } tr, .finding, .figures div, svg g { break-inside: avoid; } h2, h3, caption { break-after: avoid; }
    details::details-content { content-visibility: visible; display: block; height: auto; } summary { list-style: none; } details.long > summary { display: none; }
}
`);
