/**
 * Refuses a Node that is older than package.json's `engines` says, with the words of SM-E0224.
 *
 * Plain JavaScript of long ago on what Node brings: it has to run on the Node that it refuses, before anything else is loaded.
 */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const manifest = join(dirname(dirname(fileURLToPath(import.meta.url))), "package.json");

function numbersOf(version) {
    return version.split(".").map((part) => Number.parseInt(part, 10));
}

/** Ends the process when its Node is too old; only `>=x.y.z` is understood in `engines`. */
export function refuseOldNode() {
    const oldest = JSON.parse(readFileSync(manifest, "utf8")).engines.node.replace(/^>=\s*/, "");
    const found = numbersOf(process.versions.node);
    const differences = numbersOf(oldest).map((number, index) => found[index] - number);
    const first = differences.find((each) => each !== 0);
    if (first === undefined || first > 0) return;
    const lines = [
        "SM-E0224 this Node is too old",
        `  where    ${process.execPath}`,
        `  found    Node ${process.versions.node}`,
        `  expected Node ${oldest} or newer`,
        "  why      what an older Node lacks may fail in the middle of a step, in words that do not name the cause",
        "  fix      is a newer Node installed, and first on PATH?",
        "  changed  nothing was changed",
        "  docs     docs/errors.md#sm-e0224     exit 2",
    ];
    console.error(lines.join("\n"));
    process.exit(2);
}
