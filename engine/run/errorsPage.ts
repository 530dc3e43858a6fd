/** Makes docs/errors.md out of the catalogue. Run as a program, it writes the page. */
import { writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { errorCatalogue, exitCodes, type CatalogueEntry, type ErrorFamily } from "./errorCatalogue.ts";

/** Where the page is kept. */
export const errorsPagePath = fileURLToPath(new URL("../../docs/errors.md", import.meta.url));

const families: Readonly<Record<ErrorFamily, string>> = {
    usage: "the command, the configuration or a specification is not valid",
    check: "a check found what must be settled before a migration",
    verify: "the target is not the same as the source",
    locked: "another process works on the same run",
    state: "steps, fence or markers do not fit together",
    identity: "it is not the server, or not the empty place, that it should be",
    artefact: "a file is damaged, cut off, or not what it claims to be",
    secret: "a secret, a key or a permission is missing or wrong",
    service: "a program, a server or the network failed; trying again may help",
    resources: "disk, memory or file handles do not suffice",
    operator: "somebody has to look: the journal or a rollback has a problem",
};

/** The page as Markdown: an anchor a code, `docs/errors.md#sm-e0701`, ordered by code. */
export function errorsPage(catalogue: Readonly<Record<string, CatalogueEntry>> = errorCatalogue): string {
    const entries = Object.entries(catalogue).sort(([a], [b]) => (a < b ? -1 : 1));
    const exits = Object.entries(families).map(
        ([family, meaning]) => `- ${exitOf(family)}: ${meaning} (\`${family}\`)`,
    );
    return [
        "# Errors",
        "",
        "Every error has a code, says where it was met, what was found and what was expected, and whether anything was changed. `E` stops a step, `W` warns. Codes are never given a second meaning.",
        "",
        "## Exit codes of `synapse-migrate`",
        "",
        "- 0: done",
        "- 1: a defect of this program",
        ...exits,
        "- 130, 143: interrupted; running it again resumes",
        "",
        "Any other exit code is a failure too.",
        "",
        "## All codes",
        "",
        ...entries.map(([code, { title }]) => `- [${code}](#${code.toLowerCase()}): ${escape(title)}`),
        "",
        ...entries.flatMap(([code, entry]) => section(code, entry)),
    ]
        .join("\n")
        .trimEnd()
        .concat("\n");
}

function section(code: string, { title, why, fix, family }: CatalogueEntry): string[] {
    return [
        `## ${code}`,
        "",
        `**${sentence(title)}**`,
        "",
        `- Why it matters: ${escape(why)}`,
        `- What to do: ${escape(fix)}`,
        `- Exit code: ${exitCodes[family]} (\`${family}\`)`,
        "",
    ];
}

const exitOf = (family: string): string => String(new Map(Object.entries(exitCodes)).get(family) ?? "");

const sentence = (text: string): string => escape(`${text.charAt(0).toUpperCase()}${text.slice(1)}`);

/** Catalogue texts are ours: backticks mean code. What else Markdown would take for markup is shown as it is. */
function escape(text: string): string {
    return text
        .split(/(`[^`]*`)/)
        .map((part, index) => (index % 2 === 1 ? part : part.replace(/[*_<[\]\\]/g, (character) => `\\${character}`)))
        .join("");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await writeFile(errorsPagePath, errorsPage());
