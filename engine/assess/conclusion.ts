/** What follows from what the checks found: counts, order, what is shown, and whether it may go on. */
import type { z } from "zod";
import type { InputEvidence } from "../bundle/input/inputEvidence.ts";
import type { assessContract, Finding } from "../../contract/index.ts";
import { MigrationError, MigrationErrors, throwAll } from "../run/errors.ts";
import { errorCatalogue, type CatalogueEntry, type ErrorCode } from "../run/errorCatalogue.ts";
import { unlessAcknowledged } from "./acknowledgement.ts";

type AssessSpec = z.infer<typeof assessContract.spec>;
type Assessment = z.infer<typeof assessContract.result>;

/** The rest is in the evidence file: a result takes at most 4 KiB. */
const findingsInResult = 8;
const longestText = 240;

/** What an assessment has gathered. */
export interface Gathered extends Pick<
    Assessment,
    "runId" | "serverName" | "versions" | "sizes" | "predictedDowntimeSeconds" | "notRun"
> {
    readonly findings: readonly Finding[];
    /** Ids of checks that ran and found nothing. */
    readonly passed: readonly string[];
    /** What tells the files of a bundle from others. */
    readonly inputs?: readonly InputEvidence[];
}

/**
 * @throws MigrationErrors of all findings that block, where the specification says that they must
 */
export async function conclude(
    spec: AssessSpec,
    evidenceFile: string,
    keep: (evidence: object) => Promise<void>,
    { findings: found, passed, inputs, ...gathered }: Gathered,
): Promise<Assessment> {
    const findings = found
        .map((one) => unlessAcknowledged(one, spec.acknowledged ?? []))
        .sort((a, b) => severity(a) - severity(b));
    const { notRun, versions, sizes } = gathered;
    await keep({ findings, notRun, versions, sizes, passed, ...(inputs === undefined ? {} : { inputs }) });
    if (spec.enforce) refuseErrors(findings, "the assessment of source and target");
    const countOf = (level: Finding["severity"]): number =>
        findings.filter((finding) => finding.severity === level).length;
    return {
        ...gathered,
        errors: countOf("error"),
        warnings: countOf("warning"),
        findings: shown(findings),
        committed: false,
        evidenceFile,
    };
}

/** What an error has to say, as a finding that blocks. Rethrows what is not a documented error. */
export function documentedFindings(error: unknown): Finding[] {
    const errors = error instanceof MigrationErrors ? error.errors : error instanceof MigrationError ? [error] : [];
    if (errors.length === 0) throw error;
    return errors.map(({ code, detail }) => {
        const entry: CatalogueEntry = errorCatalogue[code];
        return {
            id: code,
            severity: "error",
            evidence: `${entry.title}: ${detail.where}: ${detail.found}`,
            fix: detail.fix ?? entry.fix,
        };
    });
}

/** As many as a result has room for, and not longer than it has. */
export function shown(findings: readonly Finding[]): Finding[] {
    return findings.slice(0, findingsInResult).map(shortened);
}

function shortened(finding: Finding): Finding {
    return { ...finding, evidence: finding.evidence.slice(0, longestText), fix: finding.fix.slice(0, longestText) };
}

const severity = ({ severity: level }: Finding): number => ["error", "warning", "info"].indexOf(level);

/** @throws MigrationErrors of all findings that block */
export function refuseErrors(findings: readonly Finding[], where: string): void {
    const isCode = (id: string): id is ErrorCode => id in errorCatalogue;
    throwAll(
        findings.flatMap(({ id, severity: level, evidence, fix }) =>
            level === "error" && isCode(id) ? [new MigrationError(id, { where, found: evidence, fix })] : [],
        ),
    );
}
