/** The SQL expression that makes 64 bits of a row: the same on every server where the row has the same values. */
import { escapeIdentifier } from "pg";

/** A column of a table whose rows are hashed. */
export interface HashedColumn {
    readonly name: string;
    /** As `format_type` names it to a session of `withClient`: with its schema where it is not one of PostgreSQL's own. */
    readonly type: string;
}

/** Sixty-four bits of the golden ratio: multiples of it look like hashes themselves. */
const oddConstant = 0x9e3779b97f4a7c15n;
const shortNumbers: ReadonlySet<string> = new Set(["integer", "smallint"]);

/**
 * Each column is hashed with a seed of its own, so that the same value in another column is another hash; NULL has a value of its own. What
 * the columns make together is hashed again: only then can a sum over all rows tell which values stand in one row.
 *
 * Whole numbers are hashed as they are, everything else as its text under the session settings of `withClient`. Text of the whole row at once,
 * `ROW(…)::text`, says the same and takes several times as long, as PostgreSQL has to quote it.
 *
 * @param columns  in the same order on every server; of a table that is called `t`
 */
export function rowHash(columns: readonly HashedColumn[]): string {
    const hashes = columns.map(({ name, type }, index) => {
        const seed = BigInt.asIntN(64, oddConstant * BigInt(index + 1));
        return `coalesce(${columnHash(`t.${escapeIdentifier(name)}`, type, seed)}, ${seed})`;
    });
    // As text: `hashint8extended` folds its argument to 32 bits.
    return `hashtextextended((${hashes.length === 0 ? "0" : hashes.join(" # ")})::text COLLATE "C", 0)`;
}

function columnHash(column: string, type: string, seed: bigint): string {
    if (type === "boolean") return `hashint8extended(${column}::int, ${seed})`;
    if (shortNumbers.has(type)) return `hashint8extended(${column}, ${seed})`;
    // Its upper half is the seed of its lower half: folded to 32 bits, 4 and 2³² + 5 would be the same.
    if (type === "bigint")
        return `hashint8extended(${column} & 4294967295, hashint8extended(${column} >> 32, ${seed}))`;
    // A cast to text of somebody's own type may be a function of theirs; `format` asks the type's output function, which is PostgreSQL's.
    const text = type.includes(".") ? `format('%s', ${column})` : `${column}::text`;
    return `hashtextextended(${text} COLLATE "C", ${seed})`;
}
