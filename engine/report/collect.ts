/** Makes the record of a run out of its directory: journal, evidence, results. Reads only. */
import { join } from "node:path";
import { z } from "zod";
import {
    assessContract,
    importMediaContract,
    check,
    configureContract,
    count,
    finding,
    gatewayContract,
    instant,
    type RunReference,
} from "../../contract/index.ts";
import { errorCatalogue, type CatalogueEntry } from "../run/errorCatalogue.ts";
import { readJournal, type JournalRecord } from "../run/journal.ts";
import { readNotes, type Note } from "../run/notes.ts";
import { runDirectoryPaths } from "../run/runDirectory.ts";
import { standingResult, stands, stepsOf } from "./attempts.ts";
import { downtimeOf } from "./measuredDowntime.ts";
import { readEvidence, type StepEvidence } from "./evidence.ts";
import { outcomeOf, type RunFacts } from "./outcome.ts";
import { runRecord, type ReportedCheck, type ReportedStep, type RunRecord } from "./reportRecord.ts";
import { clockSettings, steadyRecords } from "./steadyRecords.ts";
import { scrubbed } from "./safeText.ts";
import { tablesOf } from "./tableEvidence.ts";

/** What a report is made of, beside what the run directory holds. */
export interface ReportRequest {
    readonly run: RunReference;
    /** The phase that the stack declares. */
    readonly phase: string;
    /** Facts of the control plane. `source`, `target` and `plugins` (`official` or `offline`) are shown in their own places. */
    readonly environment: Readonly<Record<string, string>>;
}

/** The report is of everything but itself. */
const ownStep = "report";

/**
 * Collects what the run has shown so far; works at any phase, and after a failure.
 *
 * The same run directory always gives the same record.
 *
 * @throws MigrationError SM-E0701 when the journal cannot be trusted: then there is nothing to report
 */
export async function collectRun(request: ReportRequest): Promise<RunRecord> {
    const paths = runDirectoryPaths(request.run.directory);
    const records = (await readJournal(paths.journal)).filter(told);
    const evidence = (await readEvidence(paths.evidence)).filter(({ step }) => step !== ownStep);
    // Scrubbed before the outcome is put into words, so that names agree, and again after, when they are part of longer texts.
    const notes = (await readNotes(request.run.directory)).filter(({ step }) => step !== ownStep);
    const facts = runRecord.omit({ outcome: true }).parse(scrubbed(factsOf(request, records, evidence, notes)));
    return runRecord.parse(scrubbed({ ...facts, outcome: outcomeOf(facts) }));
}

/**
 * Whether a record is part of the story. Where the control plane replaces a step that only looks, the new one has looked before the old
 * one is taken back; what it saw stands.
 */
function told({ step, kind }: JournalRecord): boolean {
    const takenBack = kind === "undo" || kind === "undone";
    return step !== ownStep && !(step === assessContract.name && takenBack);
}

/** Puts journal and evidence together. Pure. */
export function factsOf(
    request: ReportRequest,
    journal: readonly JournalRecord[],
    evidence: readonly StepEvidence[],
    notes: readonly Note[] = [],
): RunFacts {
    const records = steadyRecords(journal);
    const steps = stepsOf(records);
    const assessment = assessed.safeParse(standingResult(records, assessContract.name)).data;
    const { source, target, plugins, ...environment } = request.environment;
    const configured = z
        .object({ baseUrl: z.string() })
        .safeParse(standingResult(records, configureContract.name)).data;
    const gateway = z.object({ url: z.string() }).safeParse(standingResult(records, gatewayContract.name)).data;
    const order = new Map(steps.map((step, index) => [step.name, index]));
    const inOrder = [...evidence].sort((a, b) => (order.get(a.step) ?? -1) - (order.get(b.step) ?? -1));
    const asOf = records.at(-1)?.at;
    return {
        format: "synapse-migration report",
        version: 1,
        run: { id: request.run.id, phase: request.phase, disposable: request.run.disposable ?? false },
        ...(asOf === undefined ? {} : { asOf }),
        ...(assessment?.serverName === undefined ? {} : { serverName: assessment.serverName }),
        source: source ?? "source homeserver",
        target: target ?? gateway?.url ?? configured?.baseUrl ?? "target homeserver",
        downtime: downtimeOf(records),
        clockSet: clockSettings(records),
        steps,
        checks: checksOf(steps, records, inOrder),
        findings: findingsOf(records, inOrder),
        tables: tablesOf(steps, inOrder),
        media: mediaOf(steps, records),
        ...(assessment?.sizes === undefined ? {} : { sizes: assessment.sizes }),
        ...(assessment?.predictedDowntimeSeconds === undefined
            ? {}
            : { predictedDowntimeSeconds: assessment.predictedDowntimeSeconds }),
        versions: Object.fromEntries([
            ...Object.entries(assessment?.versions ?? {}),
            ...inOrder.flatMap(({ versions }) => Object.entries(versions)),
        ]),
        environment,
        plugins: plugins?.includes("offline") === true ? "offline" : plugins === "official" ? plugins : "unknown",
        errors: errorsOf(steps),
        // Notes have the time that the clock said then.
        leftToDo: leftToDo(stepsOf(journal), notes),
        unread: inOrder.flatMap(({ step, unread }) =>
            unread.map((reason) => ({ file: join("evidence", `${step}.json`), reason, stands: stands(steps, step) })),
        ),
    };
}

/** Of the assessment; each field on its own, as a report is also made of what an older version left. */
const assessed = z.object({
    serverName: z.string().optional().catch(undefined),
    versions: z.record(z.string(), z.string()).optional().catch(undefined),
    sizes: z
        .object({ databaseBytes: count, mediaBytes: count, mediaFiles: count, tables: count })
        .optional()
        .catch(undefined),
    predictedDowntimeSeconds: z.number().min(0).optional().catch(undefined),
});

const resultChecks = z.object({
    checks: z.array(z.object(check.shape)).catch([]),
    warnings: z.array(z.object(check.shape)).catch([]),
    notRun: z.array(z.union([z.object(check.shape), z.string()])).catch([]),
});

/** Checks in the evidence of each step, then those that only its result names. */
function checksOf(
    steps: readonly ReportedStep[],
    records: readonly JournalRecord[],
    evidence: readonly StepEvidence[],
): ReportedCheck[] {
    const names = [...steps.map(({ name }) => name), ...evidence.map(({ step }) => step)];
    return [...new Set(names)].flatMap((name) => {
        const own = new Map<string, ReportedCheck>();
        const add = (found: z.infer<typeof check>): void => {
            if (!own.has(found.id)) own.set(found.id, { step: name, ...found, stands: stands(steps, name) });
        };
        evidence.find(({ step }) => step === name)?.checks.forEach(add);
        const result = resultChecks.safeParse(standingResult(records, name)).data;
        for (const found of [...(result?.checks ?? []), ...(result?.warnings ?? []), ...(result?.notRun ?? [])]) {
            add(typeof found === "string" ? { id: found, state: "not-run", evidence: "the step left it out" } : found);
        }
        return [...own.values()];
    });
}

const severities = ["error", "warning", "info"] as const;

function findingsOf(records: readonly JournalRecord[], evidence: readonly StepEvidence[]): RunFacts["findings"] {
    const found = evidence.flatMap(({ step, findings }) => findings.map((one) => ({ step, ...one })));
    const shape = z.object({ findings: z.array(z.object(finding.shape)).catch([]) });
    const inResult = shape.safeParse(standingResult(records, assessContract.name)).data?.findings ?? [];
    for (const one of inResult) {
        if (!found.some(({ id, evidence: seen }) => id === one.id && seen === one.evidence)) {
            found.push({ step: assessContract.name, ...one });
        }
    }
    return found.sort((a, b) => severities.indexOf(a.severity) - severities.indexOf(b.severity));
}

function mediaOf(steps: readonly ReportedStep[], records: readonly JournalRecord[]): RunFacts["media"] {
    const shape = runRecord.shape.media.element.omit({ step: true }).strip();
    return steps.flatMap(({ name }) => {
        const media =
            name.startsWith("media-") || name === importMediaContract.name
                ? shape.safeParse(standingResult(records, name)).data
                : undefined;
        return media === undefined ? [] : [{ step: name, ...media }];
    });
}

/** Of the last attempt at each step, or at taking it back: what an earlier one left, it has met again. */
function leftToDo(steps: readonly ReportedStep[], notes: readonly Note[]): RunFacts["leftToDo"] {
    const begun = new Map(steps.map(({ name, attempts }) => [name, attempts.at(-1)?.startedAt ?? ""]));
    const current = notes.filter(({ step, at }) => at >= (begun.get(step) ?? ""));
    return current.map((note) => ({ ...note, at: instant.parse(note.at) }));
}

function errorsOf(steps: readonly ReportedStep[]): RunFacts["errors"] {
    const catalogue: ReadonlyMap<string, CatalogueEntry> = new Map(Object.entries(errorCatalogue));
    return steps
        .flatMap(({ name, state, attempts }) =>
            attempts.flatMap(({ number, endedAt, error }) => {
                if (error === undefined) return [];
                const entry = catalogue.get(error.code);
                const known = entry === undefined ? {} : { title: entry.title, why: entry.why, fix: entry.fix };
                return [
                    {
                        step: name,
                        attempt: number,
                        at: instant.parse(endedAt),
                        ...error,
                        ...known,
                        resolved: state === "done" || state === "undone",
                    },
                ];
            }),
        )
        .sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0));
}
