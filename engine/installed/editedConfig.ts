/** Sets top-level keys of a configuration file that people have written: every other line stays as it is, comments included. */
import { LineCounter, isMap, isScalar, parseDocument } from "yaml";
import { pythonDialect } from "../synapse/config/pythonScalars.ts";
import { parseSynapseYaml, stringifySynapseYaml } from "../synapse/config/pythonYaml.ts";

const began =
    "# synapse-migration: what makes this homeserver the one that was moved. What was said of it before is in comments above.";

/**
 * What the file says of these keys becomes a comment, and the new values are put at its end: Synapse takes what is said last.
 *
 * @param text  of a file that Synapse reads; what is no mapping is nothing to it, and stays
 */
export function editedConfig(text: string, settings: Readonly<Record<string, unknown>>): string {
    if (Object.keys(settings).length === 0) return text;
    const found = keysOf(text);
    const lines = text.split("\n");
    const isAdded = found?.isBlock ?? true;
    // Nothing can be added to a mapping in braces: all of it is said again.
    const ranges: readonly Range[] = isAdded
        ? (found?.keys ?? []).filter(({ key }) => key in settings)
        : [{ from: 0, to: lines.length - 1 }];
    for (const { from, to } of ranges)
        for (let line = from; line <= to; line++) lines[line] = commented(lines[line] ?? "");
    const kept = lines.join("\n");
    const end = kept === "" || kept.endsWith("\n") ? "" : "\n";
    const before = isAdded ? {} : parseSynapseYaml("", text)?.sections;
    return `${kept}${end}${began}\n${stringifySynapseYaml({ ...before, ...settings })}`;
}

const commented = (line: string): string =>
    line.trim() === "" || line.trimStart().startsWith("#") ? line : `# ${line}`;

/** First and last line, from 0. */
interface Range {
    readonly from: number;
    readonly to: number;
}

/** Each top-level key with its value; undefined for what is no mapping. */
function keysOf(
    text: string,
): { readonly isBlock: boolean; readonly keys: (Range & { readonly key: string })[] } | undefined {
    const counter = new LineCounter();
    const { contents } = parseDocument(text, { ...pythonDialect, lineCounter: counter, prettyErrors: false });
    if (!isMap(contents)) return undefined;
    const lineAt = (offset: number): number => counter.linePos(offset).line - 1;
    const keys = contents.items.flatMap(({ key, value }) => {
        if (!isScalar(key)) return [];
        const [start] = key.range;
        // Where the value ends, without the comments and empty lines that follow it.
        const end = Math.max((isRanged(value) ? value : key).range[1] - 1, start);
        return [{ key: String(key.value), from: lineAt(start), to: lineAt(end) }];
    });
    return { isBlock: contents.flow !== true, keys };
}

const isRanged = (node: unknown): node is { readonly range: [number, number, number] } =>
    typeof node === "object" && node !== null && "range" in node && Array.isArray(node.range);
