/** Keys that a mapping has more than once: PyYAML takes the last, without a word. */
import { isMap, isPair, isScalar, isSeq, visit, type Document, type Node, type Pair, type YAMLMap } from "yaml";

/** A key, and where it is. */
export interface RepeatedKey {
    /** With the keys above it: `database.args.password`. */
    readonly key: string;
    /** From 1; the last is that of the one that counts. */
    readonly lines: readonly number[];
}

type Items = YAMLMap["items"];

/** Finds them in all of the document's mappings, in the order in which these begin. */
export function repeatedKeys(document: Document, lineOf: (offset: number) => number): RepeatedKey[] {
    const repeated: RepeatedKey[] = [];
    visit(document, {
        Map(_position, map, ancestors) {
            const byKey = new Map<unknown, Items>();
            for (const item of map.items) {
                // Two keys that are mappings or lists are never the same here; PyYAML refuses them.
                const identity = isScalar(item.key) ? nameOf(item) : item;
                byKey.set(identity, [...(byKey.get(identity) ?? []), item]);
            }
            for (const items of byKey.values()) {
                const [first] = items;
                if (first === undefined || items.length === 1) continue;
                repeated.push({
                    key: [...pathTo([...ancestors, map]), nameOf(first)].join("."),
                    lines: items.map(({ key }) => lineOf(isScalar(key) ? (key.range?.[0] ?? 0) : 0)),
                });
            }
        },
    });
    return repeated;
}

/** A merge key is a symbol. */
function nameOf({ key }: Pair): string {
    const value = isScalar(key) ? key.value : undefined;
    return typeof value === "symbol" ? (value.description ?? "") : String(value);
}

function pathTo(ancestors: readonly (Document | Node | Pair)[]): string[] {
    return ancestors.flatMap((ancestor, index) => {
        if (isPair(ancestor)) return [nameOf(ancestor)];
        const below = ancestors[index + 1];
        return isSeq(ancestor) && isMap(below) ? [String(ancestor.items.indexOf(below))] : [];
    });
}
