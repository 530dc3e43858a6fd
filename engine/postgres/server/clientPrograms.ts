/** PostgreSQL's client programs: their versions, and runs whose errors do not show rows. */
import { join } from "node:path";
import { runProgram, type ProgramOptions, type ProgramResult } from "../../machines/program.ts";
import { MigrationError } from "../../run/errors.ts";
import type { StepRun } from "../../run/step.ts";
import type { DatabaseAddress } from "../connection.ts";
import { connectionEnvironment } from "../databaseTls.ts";
import { withPasswordFile } from "./passwordFile.ts";

/** Dumps and restores of the largest known homeservers end within a day. */
const longestSeconds = 48 * 3600;
const linesInError = 10;

export interface ProgramVersion {
    /** For example "15.18". */
    readonly text: string;
    readonly major: number;
}

/** Reads `pg_dump (PostgreSQL) 15.18 (Debian ...)`. */
export async function programVersion(directory: string, program: string): Promise<ProgramVersion> {
    const { stdout } = await runProgram(join(directory, program), ["--version"], { timeoutSeconds: 20 });
    const [, text = "", major = ""] = /\(PostgreSQL\) ((\d+)[^\s]*)/.exec(stdout) ?? [];
    if (text !== "") return { text, major: Number(major) };
    throw new MigrationError("SM-E0504", {
        where: join(directory, program),
        found: stdout.trim(),
        expected: "its version",
    });
}

/**
 * @param serverNumber  `server_version_num`
 * @throws MigrationError SM-E0504 when the program is older than the server
 */
export function refuseOldProgram(program: string, version: ProgramVersion, serverNumber: number): void {
    const server = Math.floor(serverNumber / 10000);
    if (version.major >= server) return;
    throw new MigrationError("SM-E0504", {
        where: program,
        found: `version ${version.text}`,
        expected: `version ${server} or newer, as the server is`,
    });
}

export interface DatabaseProgram {
    readonly directory: string;
    readonly program: "pg_dump" | "pg_restore";
    readonly args: readonly string[];
    readonly address: DatabaseAddress;
    /** Names the password file and the sessions. */
    readonly step: string;
    /** Session settings for `PGOPTIONS`, without spaces in them. */
    readonly settings?: Readonly<Record<string, string>>;
    readonly onErrorLine?: (line: string) => void;
}

/**
 * In force before a program's first statement, whatever the database or the role has set. Statements are read as written only under the first
 * two; pg_dump itself sees to what the text of values depends on.
 */
const programSettings = {
    ...{ standard_conforming_strings: "on", quote_all_identifiers: "off" },
    ...{ statement_timeout: "0", idle_session_timeout: "0", idle_in_transaction_session_timeout: "0" },
};

/**
 * Runs a client program that connects to a database. Its password is in a file that is removed afterwards.
 *
 * @throws MigrationError SM-E1101 with what PostgreSQL said, less the rows it shows; SM-E0513 when a unique index finds duplicates (B27)
 */
export async function runDatabaseProgram(
    call: DatabaseProgram,
    run: Pick<StepRun, "directory" | "signal">,
): Promise<ProgramResult> {
    const { address, settings = {} } = call;
    const options = Object.entries({ ...programSettings, ...settings }).map(([name, value]) => `-c ${name}=${value}`);
    return withPasswordFile(run.directory, call.step, address, (passwordFile) =>
        runPostgresProgram(
            join(call.directory, call.program),
            [...["--username", address.user], ...["--dbname", address.name, "--no-password"], ...call.args],
            {
                environment: {
                    PGPASSFILE: passwordFile,
                    PGAPPNAME: `synapse-migration ${call.step}`,
                    PGCONNECT_TIMEOUT: "10",
                    PGCLIENTENCODING: "UTF8",
                    PGOPTIONS: options.join(" "),
                    ...connectionEnvironment(address),
                },
                timeoutSeconds: longestSeconds,
                signal: run.signal,
                ...(call.onErrorLine === undefined ? {} : { onErrorLine: call.onErrorLine }),
            },
        ),
    );
}

/** Runs a program that reads an archive and connects to nothing, or the like. */
export async function runPostgresProgram(
    program: string,
    args: readonly string[],
    options: ProgramOptions,
): Promise<ProgramResult> {
    const complaints: string[] = [];
    try {
        return await runProgram(program, args, {
            ...options,
            onErrorLine: (line) => {
                if (isComplaint(line)) complaints.push(line);
                options.onErrorLine?.(line);
            },
        });
    } catch (error) {
        if (!(error instanceof MigrationError)) throw error;
        throw withoutRows(error, program, complaints);
    }
}

/** Messages, but neither DETAIL nor CONTEXT nor COPY lines: those quote rows, and rows hold access tokens. */
function isComplaint(line: string): boolean {
    return /^pg_\w+: (error|fatal|from TOC entry|warning)|^(ERROR|FATAL):|ERROR: {2}/.test(line);
}

function withoutRows(error: MigrationError, program: string, complaints: readonly string[]): MigrationError {
    const ending = error.detail.found.split("\n")[0] ?? "";
    const duplicate = complaints.find((line) => line.includes("could not create unique index"));
    const found = [ending, ...complaints.slice(-linesInError)].join("\n");
    return duplicate === undefined
        ? new MigrationError("SM-E1101", { where: program, found, expected: "the program to end with exit code 0" })
        : new MigrationError("SM-E0513", { where: program, found: duplicate.replace(/^.*ERROR:\s*/, "") });
}
