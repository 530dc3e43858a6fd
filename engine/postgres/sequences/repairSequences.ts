/** Sets sequences to where Synapse can go on from them. */
import type { Client } from "../connection.ts";
import { quotedName } from "../connection.ts";
import { readSequences, type Sequence } from "./sequences.ts";
import { synapseSequences } from "./sequenceStreams.ts";
import { sequenceFaults, type SequenceFault } from "./synapseSequences.ts";

export interface SequenceRepair {
    /** With its schema. */
    readonly sequence: string;
    /** The sequence as it was left: decimal, with `(not called)` where the number itself was to be handed out next. */
    readonly from: string;
    /** What it was set to, called. */
    readonly to: string;
    readonly why: string;
}

/**
 * A sequence that is left as not called makes Synapse take the next number for seen (it reads `last_value` alone): whatever gets it, such as a
 * to-device message with the keys of a conversation, never reaches a client. This is so for streams that were never used, too.
 *
 * Safe to repeat.
 *
 * @param states  what is repaired besides: `behind` only where it is known who has left it so
 */
export async function repairSequences(
    client: Client,
    states: readonly SequenceFault["state"][],
): Promise<SequenceRepair[]> {
    const before = await readSequences(client);
    const whys = new Map<string, string>();
    const left = new Set<string>();
    for (const { sequence, state, evidence, statement } of await sequenceFaults(client)) {
        if (state === "behind" && !states.includes(state)) left.add(sequence);
        if (statement === undefined || !states.includes(state)) continue;
        await client.query(statement);
        whys.set(sequence, `${state === "behind" ? "behind what it numbers" : "left as not called"}: ${evidence}`);
    }
    for (const { schema, name, lastValue } of (await readSequences(client)).filter(skipsFirst)) {
        if (left.has(`${schema}.${name}`)) continue;
        await client.query("SELECT setval($1, $2, true)", [quotedName(schema, name), String(BigInt(lastValue) - 1n)]);
        whys.set(`${schema}.${name}`, "left as not called: Synapse would take its next number for seen");
    }
    return changes(before, await readSequences(client), whys);
}

/** Whether a stream's sequence hands out next what Synapse takes for seen; at 1 it has never been touched, as on any fresh server. */
function skipsFirst({ schema, name, lastValue, isCalled }: Sequence): boolean {
    const stream =
        schema === "public" && synapseSequences.some((known) => known.sequence === name && known.stream !== undefined);
    return stream && !isCalled && BigInt(lastValue) > 1n;
}

function changes(
    before: readonly Sequence[],
    after: readonly Sequence[],
    whys: ReadonlyMap<string, string>,
): SequenceRepair[] {
    const nameOf = ({ schema, name }: Sequence): string => `${schema}.${name}`;
    const was = new Map(before.map((sequence) => [nameOf(sequence), sequence]));
    return after.flatMap((sequence) => {
        const why = whys.get(nameOf(sequence));
        const old = was.get(nameOf(sequence));
        if (why === undefined || old === undefined) return [];
        const from = `${old.lastValue}${old.isCalled ? "" : " (not called)"}`;
        return [{ sequence: nameOf(sequence), from, to: sequence.lastValue, why }];
    });
}
