/** The one error class that users see, and the block it is printed as. */
import { errorCatalogue, exitCodes, type CatalogueEntry, type ErrorCode } from "./errorCatalogue.ts";

export interface ErrorDetail {
    /** The place: step, file:line, database@host:port, table. */
    readonly where: string;
    /** What was found there. Never a secret. */
    readonly found: string;
    /** What should have been there. */
    readonly expected?: string;
    /** Replaces the catalogue's text where the case allows a more exact way out. */
    readonly fix?: string;
    /** What this process had changed when it stopped; defaults to "nothing was changed". */
    readonly changed?: string;
    readonly cause?: unknown;
}

/**
 * An error with a documented code. {@link block} renders it for people; {@link exitCode} is that of its family.
 *
 * Nothing secret may be put into its fields: they are printed, logged and kept in reports.
 */
export class MigrationError extends Error {
    public override readonly name = "MigrationError";
    public readonly code: ErrorCode;
    public readonly detail: ErrorDetail;

    constructor(code: ErrorCode, detail: ErrorDetail) {
        super(`${code} ${errorCatalogue[code].title}: ${detail.found}`, { cause: detail.cause });
        this.code = code;
        this.detail = detail;
    }

    public get exitCode(): number {
        return exitCodes[errorCatalogue[this.code].family];
    }

    /** The error block: one screen, printed last. */
    public get block(): string {
        const entry: CatalogueEntry = errorCatalogue[this.code];
        const { where, found, expected, fix, changed } = this.detail;
        const lines: [string, string | undefined][] = [
            ["where", where],
            ["found", found],
            ["expected", expected],
            ["why", entry.why],
            ["fix", fix ?? entry.fix],
            ["changed", changed ?? "nothing was changed"],
            ["docs", `docs/errors.md#${this.code.toLowerCase()}     exit ${this.exitCode}`],
        ];
        const body = lines.flatMap(([label, text]) =>
            text === undefined ? [] : [`  ${label.padEnd(9)}${text.replaceAll("\n", `\n${" ".repeat(11)}`)}`],
        );
        return [`${this.code} ${entry.title}`, ...body].join("\n");
    }
}

/** Several problems found together, printed one block after the other. Exits with the code of the first. */
export class MigrationErrors extends Error {
    public override readonly name = "MigrationErrors";
    public readonly errors: readonly MigrationError[];

    constructor(errors: readonly MigrationError[]) {
        super(errors.map((error) => error.message).join("; "));
        this.errors = errors;
    }

    public get exitCode(): number {
        return this.errors[0]?.exitCode ?? 1;
    }

    public get block(): string {
        return this.errors.map((error) => error.block).join("\n\n");
    }
}

/** An error, and what was done because of it: printed first and last. Exits with the code of the error. */
export class ErrorWithAftermath extends Error {
    public override readonly name = "ErrorWithAftermath";
    /** Whatever the step has thrown. */
    public readonly error: unknown;
    public readonly aftermath: MigrationError;

    constructor(error: unknown, aftermath: MigrationError) {
        super(`${error instanceof Error ? error.message : String(error)}; ${aftermath.message}`, { cause: error });
        this.error = error;
        this.aftermath = aftermath;
    }
}

/** Throws nothing for no problems, the problem itself for one, all of them together for more. */
export function throwAll(errors: readonly MigrationError[]): void {
    const [first, ...rest] = errors;
    if (first === undefined) return;
    throw rest.length === 0 ? first : new MigrationErrors(errors);
}
