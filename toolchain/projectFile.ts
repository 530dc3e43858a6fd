/** How a Pulumi.yaml has the program loaded: by tsx alone, or with Pulumi's own TypeScript compiler in between. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { z } from "zod";
import { MigrationError } from "../engine/run/errors.ts";

const projectFile = z.object({
    runtime: z.union([
        z.string(),
        z.object({ options: z.object({ typescript: z.unknown(), nodeargs: z.unknown() }).partial().optional() }),
    ]),
});

/**
 * SM-E0225 when the program would not be loaded by tsx alone.
 *
 * Without tsx Node does not load the program at all, so that only this check can say it in our words.
 *
 * @param directory  that of Pulumi.yaml
 */
export function projectFileProblem(directory: string): MigrationError | undefined {
    const file = join(directory, "Pulumi.yaml");
    const found = loadingOf(file);
    if (found === undefined) return undefined;
    return new MigrationError("SM-E0225", {
        where: `${file} runtime.options`,
        found,
        expected: 'typescript: false, and nodeargs: "--import tsx"',
    });
}

/** @returns what is wrong; undefined when nothing is */
function loadingOf(file: string): string | undefined {
    const { data } = projectFile.safeParse(contentOf(file));
    if (data === undefined) return "a file that is missing, or that does not say how the program is run";
    const options = typeof data.runtime === "string" ? {} : (data.runtime.options ?? {});
    if (options.typescript === undefined) return "no typescript, which Pulumi takes for true";
    if (options.typescript !== false) return `typescript: ${JSON.stringify(options.typescript)}`;
    if (options.nodeargs === undefined) return "no nodeargs: Node is not told of tsx";
    const args = z.string().catch("").parse(options.nodeargs);
    return /(^|\s)--import[\s=]tsx(\s|$)/.test(args) ? undefined : `nodeargs: ${JSON.stringify(args)}`;
}

function contentOf(file: string): unknown {
    try {
        return parse(readFileSync(file, "utf8"));
    } catch {
        return undefined;
    }
}
