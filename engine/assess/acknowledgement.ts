/** Warnings that block until somebody has said that they have read them. */
import type { Finding } from "../../contract/index.ts";
import type { ErrorCode } from "../run/errorCatalogue.ts";

/** Nothing in the source or the target is wrong, but nobody should go on without having read it. */
const blocksUntilAcknowledged: ReadonlySet<string> = new Set([
    "SM-W0605",
    "SM-W0818",
    "SM-W0713",
    "SM-W0745",
    "SM-W0968",
] satisfies ErrorCode[]);

/** The finding as it is, or as one that blocks. */
export function unlessAcknowledged(found: Finding, acknowledged: readonly string[]): Finding {
    if (!blocksUntilAcknowledged.has(found.id) || acknowledged.includes(found.id)) return found;
    return {
        ...found,
        severity: "error",
        fix: `${found.fix}; to go on nevertheless, add ${found.id} to config \`acknowledge\``,
    };
}
