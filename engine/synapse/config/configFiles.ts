/** Finds and merges the files of `--config-path` as Synapse does (synapse/config/_base.py, find_config_files and read_config_files). */
import { readFile, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Finding } from "../../../contract/index.ts";
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
export async function mergeConfigFiles(paths: readonly string[]): Promise<MergedConfig> {
    const files = (await Promise.all(paths.map(filesAt))).flat();
    const sections: Record<string, unknown> = {};
    const texts: Record<string, unknown> = {};
    const origins: Record<string, ConfigOrigin> = {};
    const findings: Finding[] = [];
    for (const file of files) {
        const parsed = parseSynapseYaml(file, await read(file));
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
            where: paths.join(", "),
            found: files.length === 0 ? "no *.yaml file" : "no setting in any of the files",
            expected: "the files given to Synapse as --config-path",
        });
    }
    return { files, sections, texts, origins, findings };
}

async function filesAt(path: string): Promise<string[]> {
    const kind = await stat(path).catch((cause: unknown) => {
        throw unreadable(path, cause);
    });
    if (!kind.isDirectory()) return [path];
    const entries = await readdir(path);
    const files = await Promise.all(
        entries
            .filter((entry) => entry.endsWith(".yaml"))
            .map(async (entry) => ((await stat(join(path, entry))).isFile() ? [join(path, entry)] : [])),
    );
    return files.flat().sort();
}

async function read(file: string): Promise<string> {
    try {
        const { size } = await stat(file);
        if (size > largestFileBytes) throw new Error(`it has ${size} bytes`);
        const content = await readFile(file);
        const encrypted = encryptedFile(file, content);
        if (encrypted !== undefined) throw encrypted;
        return new TextDecoder("utf-8", { fatal: true }).decode(content);
    } catch (cause) {
        if (cause instanceof MigrationError) throw cause;
        throw unreadable(file, cause);
    }
}

function unreadable(file: string, cause: unknown): MigrationError {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : undefined;
    return new MigrationError("SM-E0203", {
        where: file,
        found: `it cannot be read: ${code ?? (cause instanceof Error ? cause.message : "unknown reason")}`,
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
