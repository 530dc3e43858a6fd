/** What a moved database must be besides its rows: whose run's, encoding, sequences, definitions, owners. Takes as long at any size. */
import type { Check } from "../../../contract/shared.ts";
import {
    compareDefinitions,
    describeDifference,
    readDefinitions,
    readOwners,
    type Definition,
    type OwnedObject,
} from "../catalogue/catalogue.ts";
import type { Client } from "../connection.ts";
import { describeMarker, readMarker } from "../databases/marker.ts";
import { compareSequences, readSequences, type Sequence } from "../sequences/sequences.ts";
import { readDatabaseFacts } from "../server/serverFacts.ts";
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

type StateCheck = "marker" | "encoding" | "sequences" | "positions" | "definitions" | "owners";

/** Runs every check, also after one has failed. Changes nothing. @returns in the order in which they are shown */
export async function stateChecks(
    client: Client,
    expected: ExpectedState,
    wording = equal,
): Promise<Record<StateCheck, Check>> {
    const { encoding, collate, ctype, otherProvider } = await readDatabaseFacts(client);
    const marker = await readMarker(client);
    const owners = await readOwners(client);
    const { sequences, definitions } = await contentChecks(client, expected, wording);
    const isRight = encoding === "UTF8" && collate === "C" && ctype === "C" && otherProvider === null;
    const sorting = [encoding, collate, ctype, ...(otherProvider === null ? [] : [otherProvider])].join(", ");
    return {
        marker: outcome(
            "database-marker",
            marker?.run === expected.run ? [] : [describeMarker(marker)],
            describeMarker(marker),
        ),
        encoding: outcome("database-encoding", isRight ? [] : [sorting], "UTF8, C, C"),
        sequences,
        positions: await positionsCheck(client),
        definitions,
        owners: outcome(
            "database-owners",
            foreignOwners(owners, expected.owner),
            `${owners.length} objects are owned by ${expected.owner}`,
        ),
    };
}

/** Of any database, Synapse's or not. */
export async function contentChecks(
    client: Client,
    expected: ExpectedContent,
    wording = equal,
): Promise<Record<"sequences" | "definitions", Check>> {
    const sequences = await readSequences(client);
    const definitions = await readDefinitions(client);
    return {
        sequences: outcome(
            "database-sequences",
            compareSequences(expected.sequences, sequences),
            `${sequences.length} sequences ${wording.sequences}, is_called too`,
        ),
        definitions: outcome(
            "database-definitions",
            compareDefinitions(expected.definitions, definitions).map(describeDifference),
            `${definitions.length} definitions ${wording.definitions}: ${counted(definitions)}`,
        ),
    };
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
