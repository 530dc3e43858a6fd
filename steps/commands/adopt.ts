/** `synapse-migrate adopt`: makes a work directory the owner of what another one, which is gone, has left at source and target. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Command } from "commander";
import { z } from "zod";
import { fenceContract } from "../../contract/index.ts";
import { fenceableDatabase } from "../../engine/fence/database/databaseOfSource.ts";
import { describeSourceRecord, writeSourceRecord } from "../../engine/fence/sourceRecord.ts";
import { MigrationError } from "../../engine/run/errors.ts";
import { readJournal } from "../../engine/run/journal.ts";
import { keptCopy, restoreCopy } from "../../engine/run/ownership/keptCopy.ts";
import { becomeOwner, newOwner, readOwner } from "../../engine/run/ownership/owner.ts";
import { describeRecord, readTargetRecord, writeTargetRecord } from "../../engine/run/ownership/targetRecord.ts";
import { takingOver } from "../../engine/run/ownership/targetHold.ts";
import { prepareRunDirectory, runDirectoryPaths } from "../../engine/run/runDirectory.ts";
import { statusLines } from "./status.ts";

const cliOptions = z.object({ workDirectory: z.string(), confirm: z.string().optional() });

/** Adds `adopt` to `synapse-migrate`. */
export function registerAdopt(program: Command): void {
    program
        .command("adopt")
        .description("show what a lost work directory has left at a target and its source, and take it over")
        .argument("<directory>", "the target's directory: `target.directory` of its stack")
        .requiredOption("--work-directory <path>", "`workDirectory` of the stack that takes it over")
        .option("--confirm <run>", "do it, and not only show what there is; the id of the run")
        .action(async (directory: string, options: unknown) => {
            const { workDirectory, confirm } = cliOptions.parse(options);
            const lines = await adoptTarget(resolve(directory), join(resolve(workDirectory), "runs"), confirm);
            for (const line of lines) process.stderr.write(`${line}\n`);
        });
}

/**
 * The run goes on where its target knows it stood: its journal, evidence and how the source was fenced are kept beside the target. The record at
 * the source is taken over with it, where the source is fenced for this target.
 *
 * @param confirmed  the id of the run; without it nothing is changed
 * @returns what there is, and what was done
 * @throws MigrationError SM-E1505 when there is nothing to adopt, or the id is another one; SM-E1506 when the directory has that run already;
 *     SM-E0706 while a process of the work directory that is given up is alive; those of reading a source that is fenced and not left for good
 */
export async function adoptTarget(
    directory: string,
    runsDirectory: string,
    confirmed: string | undefined,
): Promise<string[]> {
    const record = await readTargetRecord(directory);
    const refuse = (found: string, expected: string): MigrationError =>
        new MigrationError("SM-E1505", { where: directory, found, expected, changed: "nothing" });
    if (record === undefined) throw refuse("no record of a target", "a target that this program has made");
    const copy = keptCopy(directory);
    // A source that was left for good may be gone; one that is only fenced must be taken over with its target.
    const source = await fencedSource(copy).catch((error: unknown) => {
        if (!(error instanceof MigrationError) || record.state === "held") throw error;
        return error;
    });
    const shown = [
        `the target ${directory}: ${describeRecord(record)}`,
        describeSource(source),
        ...statusLines(await readJournal(runDirectoryPaths(copy).journal)),
    ];
    if (confirmed === undefined)
        return [
            ...shown,
            `is ${record.owner.directory} on ${record.owner.host} gone for good? Then take it over with --confirm ${record.run}`,
        ];
    if (confirmed !== record.run) throw refuse(`--confirm ${confirmed}`, `--confirm ${record.run}`);
    const runDirectory = join(runsDirectory, record.run);
    if (existsSync(runDirectoryPaths(runDirectory).journal))
        throw new MigrationError("SM-E1506", {
            where: runDirectory,
            found: "a journal of that run",
            expected: "a work directory that knows nothing of it",
            changed: "nothing",
        });
    const isHeldSo = async (): Promise<boolean> => (await readTargetRecord(directory))?.owner.id === record.owner.id;
    const adopted = await takingOver(directory, isHeldSo, async () => {
        await prepareRunDirectory(runDirectory);
        // Killed anywhere from here on, the same command goes on: the new owner is the directory's from the first line, and the journal comes last.
        const own = (await readOwner(runsDirectory)) ?? newOwner(runsDirectory);
        await becomeOwner(runsDirectory, own);
        if (source !== undefined && !(source instanceof MigrationError)) {
            const fenced = source.record;
            if (fenced?.owner.id === record.owner.id && fenced.run === record.run)
                await source.write({ ...fenced, owner: own });
        }
        await writeTargetRecord(directory, { ...record, owner: own });
        await restoreCopy(directory, runDirectory);
        return true;
    });
    if (adopted !== true) throw refuse("a record that was changed meanwhile", describeRecord(record));
    return [...shown, `${runsDirectory} owns it now: go on with \`pulumi up\` of its stack`];
}

type FencedSource = Awaited<ReturnType<typeof fencedSource>>;

function describeSource(source: FencedSource | MigrationError): string {
    if (source === undefined) return "the source was not fenced by this run";
    if (source instanceof MigrationError) return `its source cannot be asked: ${source.message}`;
    return `its source: ${source.record === undefined ? "no record of a fence" : describeSourceRecord(source.record)}`;
}

/** What the fence was told of the source, if it was begun. */
async function fencedSource(copy: string) {
    const file = join(runDirectoryPaths(copy).specs, `${fenceContract.name}.json`);
    const text = await readFile(file, "utf8").catch(() => undefined);
    if (text === undefined) return undefined;
    const { source } = fenceContract.spec.parse(JSON.parse(text));
    const database = await fenceableDatabase(source);
    return {
        record: await database.record("adopt", (place) => place.read()),
        write: (record: Parameters<typeof writeSourceRecord>[1]) =>
            database.record("adopt", (place) => writeSourceRecord(place, record)),
    };
}
