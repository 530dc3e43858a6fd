/** What a server says about a part of a dump: with the line, and without the values it quotes. */
import { DatabaseError } from "pg";
import { MigrationError } from "../../run/errors.ts";
import type { CopyBlock } from "./sink.ts";
import { describeName, type PlacedStatement } from "./statement.ts";

/** Character not in repertoire, untranslatable character. */
const encodingFaults = ["22021", "22P05"];
const uniqueViolation = "23505";

/** For the lines of a COPY. The server's own message quotes values. */
export function explainCopy(error: unknown, block: CopyBlock, firstLine: number): unknown {
    if (!(error instanceof DatabaseError)) return error;
    const [, line, column] = /^COPY .*?, line (\d+)(?:, column ([^:]+))?/.exec(error.where ?? "") ?? [];
    const inDump = line === undefined ? firstLine : firstLine + Number(line) - 1;
    const where = `line ${inDump} of the dump, table ${describeName(block)}${column === undefined ? "" : `, column ${column}`}`;
    const code = error.code ?? "unknown";
    if (encodingFaults.includes(code))
        return new MigrationError("SM-E0904", { where, found: error.message, cause: error });
    if (code.startsWith("22"))
        return new MigrationError("SM-E0901", {
            where,
            found: `a value that is not of the column's type (SQLSTATE ${code})`,
        });
    return refusal(error, where);
}

/** For every other statement. */
export function explainStatement(error: unknown, { statement, line }: PlacedStatement): unknown {
    if (!(error instanceof DatabaseError)) return error;
    const what =
        statement.kind === "index" || statement.kind === "constraint" || statement.kind === "trigger"
            ? `${statement.kind} ${statement.name} of table ${describeName(statement.table)}`
            : nameOf(statement);
    const where = `line ${line} of the dump${what === "" ? "" : `, ${what}`}`;
    if (error.code === uniqueViolation) return new MigrationError("SM-E0513", { where, found: error.message });
    return refusal(error, where);
}

function nameOf(statement: PlacedStatement["statement"]): string {
    if (statement.kind === "table") return `table ${describeName(statement.table)}`;
    if (statement.kind === "setval") return `sequence ${describeName(statement.sequence)}`;
    if (statement.kind === "refresh") return `materialized view ${describeName(statement.view)}`;
    if (statement.kind === "object")
        return statement.name === undefined ? statement.what : `${statement.what} ${describeName(statement.name)}`;
    return "";
}

function refusal(error: DatabaseError, where: string): unknown {
    // Losing the connection is told by who made it.
    if (error.code?.startsWith("57") === true) return error;
    const code = error.code === "42501" ? "SM-E0515" : "SM-E1104";
    return new MigrationError(code, {
        where,
        found: `${error.message} (SQLSTATE ${error.code ?? "unknown"})`,
        cause: error,
    });
}
