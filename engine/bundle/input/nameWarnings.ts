/** Compares a file's name with what the file is. */
import { finding } from "../../run/finding.ts";
import type { Finding } from "../../../contract/index.ts";
import type { Layer } from "./magic.ts";

/** What an ending promises: layers and contents, outermost first. */
const endings: readonly (readonly [RegExp, readonly string[]])[] = [
    [/\.(gpg|pgp|asc)$/i, ["gpg"]],
    [/\.(tgz|taz)$/i, ["gzip", "tar"]],
    [/\.(gz|gzip)$/i, ["gzip"]],
    [/\.zip$/i, ["zip"]],
    [/\.tar$/i, ["tar"]],
    [/\.sql$/i, ["plain-dump"]],
    [/\.(db|sqlite3?)$/i, ["sqlite"]],
];
const partEnding = /\.(part-?\w+|\d{3,})$/i;

/** @returns a warning when the name promises something else than is there; a name that promises nothing is no lie */
export function nameWarnings(name: string, path: string, layers: readonly Layer[], content: string): Finding[] {
    const promised = promises(name);
    const found = [...layers, ...(content === "tar-dump" ? ["tar", "tar-dump"] : [content])];
    const isKept = promised.every((promise, at) => found[at] === promise) && hasAllLayers(promised, layers);
    if (promised.length === 0 || isKept) return [];
    const is = [...new Set(found)].filter((word) => word !== "unknown").join(", then ");
    return [
        finding(
            "SM-W0910",
            `${path} is named as ${promised.join(", then ")}, and is ${is === "" ? "nothing known" : is}`,
        ),
    ];
}

/** gpg and gzip must be named when anything is; `.db` in `.db.tar.gz` and the like says what is in the archive. */
function hasAllLayers(promised: readonly string[], layers: readonly Layer[]): boolean {
    return layers.every((layer) => promised.includes(layer) || layer === "tar" || layer === "zip");
}

function promises(name: string): string[] {
    let rest = name.replace(partEnding, "");
    const promised: string[] = [];
    for (;;) {
        const ending = endings.find(([pattern]) => pattern.test(rest));
        if (ending === undefined) return promised;
        promised.push(...ending[1]);
        rest = rest.replace(ending[0], "");
    }
}
