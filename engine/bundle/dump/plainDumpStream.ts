/** `pg_dump` in plain format as a stream: its end is judged before the last bytes may be used. */
import { join } from "node:path";
import type { DatabaseAddress } from "../../postgres/connection.ts";
import { connectionEnvironment } from "../../postgres/databaseTls.ts";
import { markerSchema } from "../../postgres/databases/marker.ts";
import { withPasswordFile } from "../../postgres/server/passwordFile.ts";
import { MigrationError } from "../../run/errors.ts";
import type { Bytes } from "../streams/byteReader.ts";
import { streamProgram, type ProgramEnd } from "../streams/streamProgram.ts";

export interface PlainDumpOptions {
    readonly address: DatabaseAddress;
    /** Names the password file and the session. */
    readonly step: string;
    readonly clientDirectory: string;
    /** As `pg_export_snapshot()` gave it. */
    readonly snapshot: string;
    /** Mode 0700. */
    readonly runDirectory: string;
    readonly signal: AbortSignal;
}

/** It waits for locks before it writes anything. */
const stallSeconds = 600;
const shownLines = 5;

/**
 * Runs the work on the dump: without owners and privileges, as `pg_dump -O` of the guide, as the receiver has neither of the roles.
 *
 * The stream ends with SM-E1101 when pg_dump fails: a pipe of a shell would end well (D04).
 */
export async function withPlainDump<T>(options: PlainDumpOptions, work: (dump: Bytes) => Promise<T>): Promise<T> {
    const { address, step, clientDirectory, snapshot, runDirectory, signal } = options;
    const program = join(clientDirectory, "pg_dump");
    return withPasswordFile(runDirectory, step, address, (passwordFile) =>
        work(
            streamProgram(
                program,
                [
                    ...["--username", address.user],
                    ...["--dbname", address.name, "--no-password", "--format", "plain", "--encoding", "UTF8"],
                    ...["--snapshot", snapshot, "--no-owner", "--no-privileges", "--no-tablespaces"],
                    ...["--no-publications", "--no-subscriptions", "--exclude-schema", markerSchema],
                ],
                {
                    input: nothing(),
                    secret: "",
                    environment: {
                        PGPASSFILE: passwordFile,
                        PGAPPNAME: `synapse-migration ${step}`,
                        PGCONNECT_TIMEOUT: "10",
                        ...connectionEnvironment(address),
                    },
                    stallSeconds,
                    signal,
                    judge: (end) => judge(end, program),
                },
            ),
        ),
    );
}

function judge({ exitCode, endedBy, stderr }: ProgramEnd, program: string): void {
    if (exitCode === 0) return;
    // Only what pg_dump says itself: details quote rows, and rows hold access tokens.
    const lines = stderr.split("\n").filter((line) => /^pg_dump: (error|warning)/.test(line));
    throw new MigrationError("SM-E1101", {
        where: program,
        found: [`it ended with ${exitCode ?? endedBy ?? "nothing"}`, ...lines.slice(-shownLines)].join("\n"),
        expected: "the program to end with exit code 0",
    });
}

async function* nothing(): AsyncGenerator<Buffer, void> {
    // pg_dump reads no input.
}
