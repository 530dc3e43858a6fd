/** Checks of which each is made, whatever became of the others: one that cannot be made hides nothing that the others find. */
import type { Check } from "../../contract/shared.ts";
import type { ErrorCode } from "./errorCatalogue.ts";
import { MigrationError, MigrationErrors } from "./errors.ts";
import { redact } from "./redaction.ts";
import { systemRefusal } from "./systemErrors.ts";

/** What a server says to a question that nothing could be compared by: a table that is gone, a right that is missing. */
const answersOfContent: ReadonlySet<ErrorCode> = new Set(["SM-E1104", "SM-E0515"]);

/** The check that could not be made, as one that has failed. */
export function unmade(id: string, error: unknown): Check {
    return { id, state: "failed", evidence: `it could not be made: ${redact(described(error))}` };
}

/** Collects checks, and what has kept others from being made. */
export class IndependentChecks {
    public readonly made: Check[] = [];
    /** Errors that have a way out of their own, such as a server that does not answer: their checks count as not run. */
    public readonly refusals: MigrationError[] = [];
    private readonly signal: AbortSignal | undefined;

    /** @param signal  ends everything when it is aborted */
    constructor(signal?: AbortSignal) {
        this.signal = signal;
    }

    /** @param id  of the check that has failed when the work throws */
    public async take(id: string, work: () => Promise<readonly Check[]>): Promise<void> {
        try {
            this.made.push(...(await work()));
        } catch (thrown) {
            this.signal?.throwIfAborted();
            const error = systemRefusal(thrown);
            const own = documented(error).filter(({ code }) => !answersOfContent.has(code));
            this.refusals.push(...own);
            this.made.push(own.length > 0 ? { ...unmade(id, error), state: "not-run" } : unmade(id, error));
        }
    }
}

function documented(error: unknown): readonly MigrationError[] {
    return error instanceof MigrationErrors ? error.errors : error instanceof MigrationError ? [error] : [];
}

/** One line. */
function described(error: unknown): string {
    const errors = documented(error);
    const text =
        errors.length > 0
            ? errors.map(({ code, detail }) => `${code} ${detail.where}: ${detail.found}`).join("; ")
            : error instanceof Error
              ? error.message
              : String(error);
    return text.replaceAll(/\s+/g, " ");
}
