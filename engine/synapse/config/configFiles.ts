/** Finds and merges the files of `--config-path` as Synapse does (synapse/config/_base.py, find_config_files and read_config_files). */
import { join } from "node:path";
import type { Finding } from "../../../contract/index.ts";
import type { Machine } from "../../machines/machine.ts";
import { placeOn } from "../../machines/placeOn.ts";
import { MigrationError } from "../../run/errors.ts";
import { finding } from "../../run/finding.ts";
import { encryptedFile, encryptedSections } from "./encryptedConfig.ts";
import { parseSynapseYaml } from "./pythonYaml.ts";
import type { RepeatedKey } from "./repeatedKeys.ts";

/** Where a top-level key of the effective configuration was written. */
export interface ConfigOrigin {
    readonly file: string;
    /** From 1. */
    readonly line: number;
}

export interface MergedConfig {
    /** All files that were read, in the order they were applied. */
    readonly files: readonly string[];
    /** What is in force: top-level keys of later files replace those of earlier ones whole. */
    readonly sections: Readonly<Record<string, unknown>>;
    /** The database's sections, each plain word as the text that Python makes of it; see `pythonYaml.ts`. */
    readonly texts: Readonly<Record<string, unknown>>;
    readonly origins: Readonly<Record<string, ConfigOrigin>>;
    /** SM-W0204 for each key that a later file overrides, SM-W0229 for each that comes twice in a file. */
    readonly findings: readonly Finding[];
}

/** Synapse's configurations have a few hundred lines. */
const largestFileBytes = 4 * 1024 * 1024;

/**
 * Reads the files, or the `*.yaml` files of the directories in sorted order, and merges them.
 *
 * @throws MigrationError SM-E0203 for a file that cannot be read or parsed, with file:line; SM-E0228 for one that is encrypted
 */
export async function mergeConfigFiles(machine: Machine, paths: readonly string[]): Promise<MergedConfig> {
    const files = (await Promise.all(paths.map((path) => filesAt(machine, path)))).flat();
    const sections: Record<string, unknown> = {};
    const texts: Record<string, unknown> = {};
    const origins: Record<string, ConfigOrigin> = {};
    const findings: Finding[] = [];
    for (const file of files) {
        const parsed = parseSynapseYaml(file, await read(machine, file));
        if (parsed === undefined) continue;
        const encrypted = encryptedSections(file, parsed.sections);
        if (encrypted !== undefined) throw encrypted;
        findings.push(...parsed.repeated.map((repeated) => twice(file, repeated)));
        Object.assign(texts, parsed.texts);
        for (const [key, value] of Object.entries(parsed.sections)) {
            const before = origins[key];
            const origin = { file, line: parsed.lines[key] ?? 1 };
            if (before !== undefined) findings.push(overridden(key, before, origin));
            sections[key] = value;
            origins[key] = origin;
        }
    }
    if (Object.keys(sections).length === 0) {
        throw new MigrationError("SM-E0203", {
            where: placeOn(machine, paths.join(", ")),
            found: files.length === 0 ? "no *.yaml file" : "no setting in any of the files",
            expected: "the files given to Synapse as --config-path",
        });
    }
    return { files, sections, texts, origins, findings };
}

async function filesAt(machine: Machine, path: string): Promise<string[]> {
    const { files } = machine;
    const found = await files.stat(path).catch((cause: unknown) => {
        throw unreadable(machine, path, cause);
    });
    if (found === undefined) throw unreadable(machine, path, "ENOENT");
    if (found.kind !== "directory") return [path];
    const entries = (await files.list(path)).filter((entry) => entry.endsWith(".yaml"));
    const read = await Promise.all(
        entries.map(async (entry) =>
            (await files.stat(join(path, entry)))?.kind === "file" ? [join(path, entry)] : [],
        ),
    );
    return read.flat().sort();
}

async function read(machine: Machine, file: string): Promise<string> {
    try {
        const { content } = await machine.files.read(file, { atMost: largestFileBytes });
        if (content.length > largestFileBytes) throw new Error("it is larger");
        const encrypted = encryptedFile(file, content);
        if (encrypted !== undefined) throw encrypted;
        return new TextDecoder("utf-8", { fatal: true }).decode(content);
    } catch (cause) {
        if (cause instanceof MigrationError) throw cause;
        throw unreadable(machine, file, cause);
    }
}

/** @param cause  what kept it from being read, or the system's code for that */
function unreadable(machine: Machine, file: string, cause: unknown): MigrationError {
    if (cause instanceof MigrationError) return cause;
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : undefined;
    const reason = code ?? (cause instanceof Error ? cause.message : String(cause));
    return new MigrationError("SM-E0203", {
        where: placeOn(machine, file),
        found: `it cannot be read: ${reason}`,
        expected: `a UTF-8 file of up to ${largestFileBytes} bytes that this user may read`,
        cause,
    });
}

function overridden(key: string, before: ConfigOrigin, now: ConfigOrigin): Finding {
    return {
        id: "SM-W0204",
        severity: "warning",
        evidence: `${key} of ${before.file}:${before.line} is overridden as a whole by ${now.file}:${now.line}`,
        fix: `nothing, if the setting in ${now.file} is the one meant; else remove it there`,
    };
}

function twice(file: string, { key, lines }: RepeatedKey): Finding {
    const [last, ...before] = lines.toReversed();
    const others = before.toReversed().join(" and ");
    return finding(
        "SM-W0229",
        `${key} is in lines ${others} and ${last ?? ""} of ${file}; Synapse takes line ${last ?? ""}, and so does the target`,
        `remove what is below line ${others}, if line ${last ?? ""} is the one meant: that changes nothing for Synapse`,
    );
}
