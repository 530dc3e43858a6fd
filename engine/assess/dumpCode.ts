/**
 * Code in a dump that Synapse does not have, found before anything is staged: the dump's definitions are made in a database for a moment, by
 * their owner and without a row, and that database is asked what `import` asks its own.
 */
import type { Finding } from "../../contract/index.ts";
import { openDump, type OpenDumpOptions } from "../bundle/dump/openDump.ts";
import { foreignCode } from "../postgres/catalogue/foreignCode.ts";
import { withClient } from "../postgres/connection.ts";
import { prepareSession, runPlaced } from "../postgres/plainDump/loadingSession.ts";
import { readPlainDump } from "../postgres/plainDump/read.ts";
import type { PlainDumpSink } from "../postgres/plainDump/sink.ts";
import type { PlacedStatement } from "../postgres/plainDump/statement.ts";
import { canMakeCluster, withScratchDatabase, type ScratchCluster } from "../postgres/server/scratchCluster.ts";
import { MigrationError } from "../run/errors.ts";
import { finding } from "../run/finding.ts";

/** Synapse's definitions take a hundredth of this; more is not asked about here, but by `import`. */
const mostText = 64 * 1024 * 1024;

/** What of a dump makes something. Collects it while somebody reads the dump. */
export class Definitions implements PlainDumpSink {
    public readonly statements: PlacedStatement[] = [];
    /** Whether some were too many to keep. */
    public isCut = false;
    private text = 0;
    private readonly endAtRows: boolean;

    /** @param endAtRows  throws {@link rowsReached} where the first rows begin */
    constructor(endAtRows = false) {
        this.endAtRows = endAtRows;
    }

    public statement(placed: PlacedStatement): Promise<void> {
        const { kind } = placed.statement;
        // Sequences have no code, and a view is filled by running it.
        if (kind === "setval" || kind === "refresh" || this.isCut) return Promise.resolve();
        this.text += placed.text.length;
        if (this.text > mostText) this.isCut = true;
        else this.statements.push(placed);
        return Promise.resolve();
    }

    public beginRows(): Promise<void> {
        return this.endAtRows ? Promise.reject(rowsReached) : Promise.resolve();
    }

    public rows(): Promise<void> {
        return Promise.resolve();
    }

    public endRows(): Promise<void> {
        return Promise.resolve();
    }
}

const rowsReached = new Error("the rows of the dump begin");

/**
 * What stands in front of the first rows: functions, defaults, checks and views, without which triggers and rules have nothing to call.
 *
 * @param options  its signal ends it, as decryption and a scan of an archive may take long
 * @returns undefined when it is over before the rows are reached, or when the dump cannot be read: who reads it whole says why
 */
export async function definitionsBeforeRows(
    paths: readonly string[],
    options: OpenDumpOptions,
): Promise<Definitions | undefined> {
    const before = new Definitions(true);
    const opened = await openDump(paths, options);
    try {
        opened.finished.catch(() => undefined);
        await readPlainDump(opened.stream, before, { signal: options.signal, someTables: true });
        return before;
    } catch (error) {
        if (error === rowsReached) return before;
        if (error instanceof MigrationError || options.signal?.aborted === true) return undefined;
        throw error;
    } finally {
        await opened.close().catch(() => undefined);
    }
}

/**
 * @param accepted  names as {@link foreignCode} has them
 * @returns `not-run` where no server can be made for it, or where it does not take the definitions, as of an extension that it lacks:
 *     `import` looks once more, and before any row is loaded
 */
export async function dumpCodeFindings(
    { statements, isCut }: Definitions,
    accepted: readonly string[],
    scratch: ScratchCluster,
): Promise<Finding[] | "not-run"> {
    if (isCut || !(await canMakeCluster(scratch.programs))) return "not-run";
    try {
        return await withScratchDatabase(scratch, async (address) => {
            const options = { step: "assess", ...(scratch.signal === undefined ? {} : { signal: scratch.signal }) };
            await withClient(address, { ...options, statementSeconds: 600 }, async (client) => {
                await prepareSession(client, address, 1);
                await client.query("BEGIN");
                for (const placed of statements) await runPlaced(client, placed);
                await client.query("COMMIT");
            });
            // A new session, which nothing that was made has prepared.
            const names = await withClient(address, { ...options, readOnly: true }, (client) =>
                foreignCode(client, accepted),
            );
            return names.map((name) => finding("SM-E0545", name));
        });
    } catch (error) {
        if (error instanceof MigrationError || scratch.signal?.aborted === true) return "not-run";
        throw error;
    }
}
