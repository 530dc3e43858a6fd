/** Where in a stack's file a key stands, so that an error can name the line. */
import { isMap, isScalar, isSeq, LineCounter, parseDocument, type Node } from "yaml";
import type { Locate } from "./problems.ts";

/**
 * Names places as `stacks/Pulumi.prod.yaml:14 source.service.unit`; without the line where the key does not stand in the file.
 *
 * @param text  the file's content; empty when there is none
 */
export function stackFileLocator(file: string, text: string, project: string): Locate {
    const lines = new LineCounter();
    const document = parseDocument(text, { lineCounter: lines, logLevel: "silent" });
    return (path) => {
        const [first, ...rest] = path;
        const node = keyNode(document.contents, ["config", `${project}:${String(first)}`, ...rest]);
        const line = node?.range == null ? "" : `:${lines.linePos(node.range[0]).line}`;
        return `${file}${line} ${path.map(String).join(".")}`;
    };
}

function keyNode(node: Node | null, path: readonly PropertyKey[]): Node | undefined {
    const [first, ...rest] = path;
    if (isSeq(node) && typeof first === "number") {
        const item = node.items[first];
        return isMap(item) && rest.length > 0 ? keyNode(item, rest) : isScalar(item) || isMap(item) ? item : undefined;
    }
    if (!isMap(node)) return undefined;
    const pair = node.items.find(({ key }) => isScalar(key) && key.value === first);
    if (pair === undefined || !isScalar(pair.key)) return undefined;
    if (rest.length === 0) return pair.key;
    return isMap(pair.value) || isSeq(pair.value) ? keyNode(pair.value, rest) : undefined;
}
