/** What rules a database out as the place that a source is moved to, while the source serves: it holds data, it is the source's own, its server lacks something. */
import type { Source } from "../../../contract/source.ts";
import type { TargetDatabase } from "../../../contract/targetDatabase.ts";
import { MigrationError } from "../../run/errors.ts";
import type { StepRun } from "../../run/step.ts";
import { readSourceConfig } from "../../synapse/config/sourceConfig.ts";
import { withClient, type DatabaseAddress } from "../connection.ts";
import { describeObjects, replaceFix, type DatabaseState } from "../databases/databaseState.ts";
import { sourceAddress } from "../databases/sourceDatabase.ts";
import {
    readDatabaseFacts,
    refusePossiblySame,
    refuseSameDatabase,
    type DatabaseFacts,
} from "../server/serverFacts.ts";
import { tryDefinitions } from "./tryDefinitions.ts";

/** Undefined for a source that is no server: files, or a homeserver whose rows are in one. */
async function addressOf(source: Source): Promise<DatabaseAddress | undefined> {
    if (source.kind !== "selfHosted" || (await readSourceConfig(source)).database.kind === "sqlite") return undefined;
    return sourceAddress(source);
}

/** So that nothing of the source is met by the target for the first time when the source is down. */
export async function tryOn(target: TargetDatabase, source: Source, run: StepRun): Promise<void> {
    const address = await addressOf(source);
    if (address === undefined) return;
    const trial = {
        ...{ source: address, database: target },
        ...{ serverName: source.serverName, step: "database" },
    };
    await run.progress.during("trying the source's definitions on the target", () => tryDefinitions(trial, run));
}

/** What a run of ours has filled, and what may be replaced, the safeguard decides about; the source's own database is never a target. */
export async function refuseOccupied(
    { source, replace = false }: { readonly source: Source; readonly replace?: boolean | undefined },
    found: DatabaseState,
    facts: DatabaseFacts,
    where: string,
): Promise<void> {
    const address = found.oid === undefined ? undefined : await addressOf(source);
    if (found.oid !== undefined && address !== undefined) {
        const from = await withClient(address, { step: "database", readOnly: true }, readDatabaseFacts);
        const identity = { systemIdentifier: facts.systemIdentifier, oid: found.oid };
        refuseSameDatabase(from, identity, where);
        if (replace && found.state === "occupied") refusePossiblySame(from, identity, where);
    }
    const isOccupied = found.state === "occupied" && found.marker === undefined && !replace;
    if (!isOccupied && found.isInvalid !== true) return;
    throw new MigrationError("SM-E0804", {
        where,
        found: isOccupied ? describeObjects(found) : "what a DROP DATABASE has left that was interrupted",
        expected: "no database with this name, or an empty one",
        fix: isOccupied
            ? replaceFix
            : "`DROP DATABASE` once more: nothing else is possible with it, and nobody can read it",
    });
}
