/** Findings: what a check has found, with the words that the error catalogue has for it. */
import type { Finding } from "../../contract/index.ts";
import { errorCatalogue, type CatalogueEntry, type ErrorCode } from "./errorCatalogue.ts";

/** A finding of a code of the error catalogue: `SM-E…` blocks, `SM-W…` warns. */
export function finding(code: ErrorCode, evidence: string, fix?: string): Finding {
    const entry: CatalogueEntry = errorCatalogue[code];
    return {
        id: code,
        severity: code.startsWith("SM-E") ? "error" : "warning",
        evidence: `${entry.title}: ${evidence}`,
        fix: fix ?? entry.fix,
    };
}
