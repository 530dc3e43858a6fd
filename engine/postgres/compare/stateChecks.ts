/** What a moved database must be besides its rows: whose run's, encoding, sequences, definitions, owners. Takes as long at any size. */
import { DatabaseError } from "pg";
import type { Check } from "../../../contract/shared.ts";
import type { ErrorCode } from "../../run/errorCatalogue.ts";
import { MigrationError } from "../../run/errors.ts";
import { unmade } from "../../run/independentChecks.ts";
import {
    compareDefinitions,
    describeDifference,
    readDefinitions,
    readOwners,
    type Definition,
    type OwnedObject,
} from "../catalogue/catalogue.ts";
import { changedPrivileges, describePrivileges } from "../catalogue/privileges.ts";
import { isConnectionLost, type Client } from "../connection.ts";
import { describeMarker, readMarker } from "../databases/marker.ts";
import { compareSequences, readSequences, type Sequence } from "../sequences/sequences.ts";
import { readDatabaseFacts } from "../server/serverFacts.ts";
import { harmfulSettings } from "../server/sessionDefaults.ts";
import { sequenceFaults } from "../sequences/synapseSequences.ts";

interface ExpectedContent {
    readonly sequences: readonly Sequence[];
    readonly definitions: readonly Definition[];
}

interface ExpectedState extends ExpectedContent {
    readonly run: string;
    /** Synapse's role, which must own everything. */
    readonly owner: string;
}

/** How evidence ends: equal to what. */
interface Wording {
    readonly sequences: string;
    readonly definitions: string;
}

const named = 5;
const equal: Wording = { sequences: "equal", definitions: "equal" };

/** What keeps every check from being made, and says nothing of the database. */
const ofTheServer: ReadonlySet<ErrorCode> = new Set(["SM-E1004", "SM-E1102", "SM-E1103", "SM-E1201"]);

type StateCheck =
    "marker" | "encoding" | "sequences" | "positions" | "definitions" | "owners" | "privileges" | "settings";

/** Runs every check, also after one has failed. Changes nothing. @returns in the order in which they are shown */
export async function stateChecks(
    client: Client,
    expected: ExpectedState,
    wording = equal,
): Promise<Record<StateCheck, Check>> {
    const marker = await orUnmade("database-marker", async (id) => {
        const found = await readMarker(client);
        return outcome(id, found?.run === expected.run ? [] : [describeMarker(found)], describeMarker(found));
    });
    const encoding = await orUnmade("database-encoding", async (id) => {
        const { encoding: characters, collate, ctype, otherProvider } = await readDatabaseFacts(client);
        const isRight = characters === "UTF8" && collate === "C" && ctype === "C" && otherProvider === null;
        const sorting = [characters, collate, ctype, ...(otherProvider === null ? [] : [otherProvider])].join(", ");
        return outcome(id, isRight ? [] : [sorting], "UTF8, C, C");
    });
    const { sequences, definitions } = await contentChecks(client, expected, wording);
    const positions = await orUnmade("database-sequence-positions", () => positionsCheck(client));
    const owners = await orUnmade("database-owners", async (id) => {
        const found = await readOwners(client);
        return outcome(
            id,
            foreignOwners(found, expected.owner),
            `${found.length} objects are owned by ${expected.owner}`,
        );
    });
    const privileges = await orUnmade("database-privileges", async (id) =>
        outcome(
            id,
            describePrivileges(await changedPrivileges(client)),
            "owners have all rights, and nobody else has more than PostgreSQL gives by itself",
        ),
    );
    const settings = await orUnmade("database-settings", async (id) =>
        outcome(
            id,
            await harmfulSettings(client, expected.owner),
            `neither role ${expected.owner} nor the database has a setting that changes what Synapse does`,
        ),
    );
    return { marker, encoding, sequences, positions, definitions, owners, privileges, settings };
}

/**
 * A check whose question the server refuses, as for a table that is not there, has failed: what it would have found is not known, and the
 * others are made nevertheless.
 */
export async function orUnmade(id: string, work: (id: string) => Promise<Check>): Promise<Check> {
    try {
        return await work(id);
    } catch (error) {
        const isAnswer =
            error instanceof MigrationError
                ? !ofTheServer.has(error.code)
                : error instanceof DatabaseError && !isConnectionLost(error);
        if (!isAnswer) throw error;
        return unmade(id, error);
    }
}

/** Of any database, Synapse's or not. */
export async function contentChecks(
    client: Client,
    expected: ExpectedContent,
    wording = equal,
): Promise<Record<"sequences" | "definitions", Check>> {
    const sequences = await orUnmade("database-sequences", async (id) => {
        const found = await readSequences(client);
        return outcome(
            id,
            compareSequences(expected.sequences, found),
            `${found.length} sequences ${wording.sequences}, is_called too`,
        );
    });
    const definitions = await orUnmade("database-definitions", async (id) => {
        const found = await readDefinitions(client);
        return outcome(
            id,
            compareDefinitions(expected.definitions, found).map(describeDifference),
            `${found.length} definitions ${wording.definitions}: ${counted(found)}`,
        );
    });
    return { sequences, definitions };
}

/** A sequence that hands out what is there already breaks the homeserver; one that is merely odd is a warning. */
async function positionsCheck(client: Client): Promise<Check> {
    const faults = (await sequenceFaults(client)).filter(({ state }) => state !== "unknown");
    const broken = faults.filter(({ breaks }) => breaks);
    const check = outcome(
        "database-sequence-positions",
        (broken.length > 0 ? broken : faults).map(({ sequence, evidence }) => `${sequence} ${evidence}`),
        "no sequence is behind its columns or stream_positions",
    );
    return broken.length === 0 && faults.length > 0 ? { ...check, state: "warning" } : check;
}

function counted(definitions: readonly { readonly kind: string }[]): string {
    const counts = new Map<string, number>();
    for (const { kind } of definitions) counts.set(kind, (counts.get(kind) ?? 0) + 1);
    const shown = ["table", "column", "index", "constraint", "trigger", "function", "sequence"];
    return shown.map((kind) => `${kind} ${counts.get(kind) ?? 0}`).join(", ");
}

function foreignOwners(owners: readonly OwnedObject[], owner: string): string[] {
    return owners
        .filter((object) => object.owner !== owner)
        .map((object) => `${object.kind} ${object.name} is owned by ${object.owner}`);
}

/** The first few problems, and how many more there are. */
export function outcome(id: string, problems: readonly string[], evidence: string): Check {
    if (problems.length === 0) return { id, state: "passed", evidence };
    const more = problems.length > named ? `; and ${problems.length - named} more` : "";
    return { id, state: "failed", evidence: problems.slice(0, named).join("; ") + more };
}
