/** Reads all sequences of a database, and compares them. */
import { z } from "zod";
import { query, quotedName, type Client } from "../connection.ts";
import { markerSchema } from "../databases/marker.ts";

/** Numbers are decimal strings: they may be larger than what JSON's readers keep. */
export const sequenceShape = z.strictObject({
    schema: z.string(),
    name: z.string(),
    lastValue: z.string().regex(/^-?\d+$/),
    isCalled: z.boolean(),
    start: z.string(),
    increment: z.string(),
    min: z.string(),
    max: z.string(),
});
export type Sequence = z.infer<typeof sequenceShape>;

/** Without those of extensions, unless the extension asks to have their values dumped. */
const ofHomeserver = `n.nspname NOT LIKE 'pg\\_%' AND n.nspname NOT IN ('information_schema', '${markerSchema}')
    AND NOT EXISTS (SELECT FROM pg_depend e JOIN pg_extension x ON x.oid = e.refobjid WHERE e.classid = 'pg_class'::regclass
        AND e.objid = c.oid AND e.deptype = 'e' AND NOT coalesce(c.oid = ANY (x.extconfig), false))`;

/** All sequences from the catalogue, sorted. Sequences are not part of a snapshot: they are read as they are now. */
export async function readSequences(client: Client): Promise<Sequence[]> {
    const listed = await query(
        client,
        sequenceShape.omit({ lastValue: true, isCalled: true }),
        `SELECT n.nspname AS schema, c.relname AS name, q.seqstart::text AS start, q.seqincrement::text AS increment,
            q.seqmin::text AS min, q.seqmax::text AS max
        FROM pg_sequence q JOIN pg_class c ON c.oid = q.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE ${ofHomeserver} ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"`,
    );
    if (listed.length === 0) return [];
    const values = await query(
        client,
        z.object({ index: z.number(), lastValue: z.string(), isCalled: z.boolean() }),
        listed
            .map(
                ({ schema, name }, index) =>
                    `SELECT ${index} AS index, last_value::text AS "lastValue", is_called AS "isCalled" FROM ${quotedName(schema, name)}`,
            )
            .join(" UNION ALL "),
    );
    const valueOf = new Map(values.map(({ index, lastValue, isCalled }) => [index, { lastValue, isCalled }]));
    return listed.flatMap((sequence, index) => {
        const value = valueOf.get(index);
        return value === undefined ? [] : [{ ...sequence, ...value }];
    });
}

/** One line for each sequence that is not the same in both: `public.events_stream_seq: 12, called -> 11, called`. */
export function compareSequences(expected: readonly Sequence[], found: readonly Sequence[]): string[] {
    const nameOf = ({ schema, name }: Sequence): string => `${schema}.${name}`;
    const describe = (sequence: Sequence | undefined): string =>
        sequence === undefined ? "absent" : `${sequence.lastValue}, ${sequence.isCalled ? "called" : "not called"}`;
    const before = new Map(expected.map((sequence) => [nameOf(sequence), sequence]));
    const after = new Map(found.map((sequence) => [nameOf(sequence), sequence]));
    return [...new Set([...before.keys(), ...after.keys()])].sort().flatMap((name) => {
        const [was, is] = [describe(before.get(name)), describe(after.get(name))];
        return was === is ? [] : [`${name}: ${was} -> ${is}`];
    });
}
