/** The assessment of a source that comes as files: what they are, whether they can be opened, what is missing among them. */
import { createHash } from "node:crypto";
import { stat, lstat, readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import type { z } from "zod";
import { openDump } from "../bundle/openDump.ts";
import { joinedParts } from "../bundle/parts.ts";
import { recognise, type Content } from "../bundle/recognise.ts";
import type { assessContract, BundleSource, Finding } from "../contract.ts";
import { inspectPlainDump } from "../postgres/plainDump/inspect.ts";
import { MigrationError, MigrationErrors } from "../run/errors.ts";
import { errorCatalogue, type CatalogueEntry } from "../run/errorCatalogue.ts";
import type { Progress } from "../run/progress.ts";
import { registerSecret } from "../run/redaction.ts";
import { bannedKeys } from "../synapse/homeserverSecrets.ts";
import { parseSigningKeys } from "../synapse/signingKey.ts";
import { readSourceConfig } from "../synapse/sourceConfig.ts";
import { installedSynapse } from "../synapse/targetVersion.ts";
import { isSqlite } from "../sqlite/openSqlite.ts";
import { finding } from "./check.ts";
import { conclude } from "./conclusion.ts";
import { predictedDowntime } from "./downtime.ts";
import { checkSqlite } from "./sqliteCheck.ts";
import { fileSystemOf, lackingSpace } from "./machineChecks.ts";

type AssessSpec = z.infer<typeof assessContract.spec> & { readonly source: BundleSource };
type Assessment = z.infer<typeof assessContract.result>;

/** Loaded, a compressed dump takes about this many times its own size, indexes included. */
const loadedPerCompressedByte = 12;
const loadedPerPlainByte = 2;

/** What can be loaded, besides archives of it. */
const dumps: readonly Content[] = ["plain-dump", "custom-dump", "directory-dump", "tar-dump", "sqlite", "zip", "tar"];

/** In a preview nobody waits for lines of progress. */
const quiet: Progress = { say: () => undefined, during: (_title, work) => work() };

interface Input {
    readonly path: string;
    readonly bytes: number;
    readonly files: number;
}

interface BundleContext {
    readonly spec: AssessSpec;
    readonly database: readonly Input[];
    readonly media: readonly Input[];
    /** What the database takes once it is loaded; an estimate. */
    readonly databaseBytes: number;
    readonly progress: Progress;
}

interface BundleCheck {
    readonly id: string;
    readonly cost: "cheap" | "thorough";
    readonly run: (context: BundleContext) => Promise<Finding[]>;
}

export async function assessBundle(
    spec: AssessSpec,
    keep: (evidence: object) => Promise<void>,
    evidenceFile: string,
    pinnedId: string | undefined,
    progress: Progress = quiet,
): Promise<Assessment> {
    registerSecret(spec.passphrase ?? "");
    const { source } = spec;
    const config = await readSourceConfig(source);
    const targetSynapse = await installedSynapse(spec.targetPython);
    const database = await Promise.all(source.database.map(measured));
    const media = await Promise.all((source.media ?? []).map(measured));
    const total = (inputs: readonly Input[]): number => inputs.reduce((sum, { bytes }) => sum + bytes, 0);
    const compressed = source.database.some((path) => /\.(gz|gpg|zip|tgz|dump)\b/.test(basename(path)));
    const databaseBytes = total(database) * (compressed ? loadedPerCompressedByte : loadedPerPlainByte);
    const context = { spec, database, media, databaseBytes, progress };
    const findings: Finding[] = [...config.findings];
    const [notRun, passed]: [string[], string[]] = [[], []];
    for (const { id, cost, run } of bundleChecks) {
        if (spec.quick && cost === "thorough") {
            notRun.push(id);
            continue;
        }
        const found = await run(context).catch(documented);
        findings.push(...found);
        if (found.length === 0) passed.push(id);
    }
    const sizes = {
        databaseBytes,
        mediaBytes: total(media),
        mediaFiles: media.reduce((sum, { files }) => sum + files, 0),
        tables: 0,
    };
    return conclude(spec, evidenceFile, keep, {
        runId: spec.run.id ?? pinnedId ?? fingerprint(source.serverName, [...database, ...media]).slice(0, 8),
        serverName: source.serverName,
        findings,
        notRun,
        passed,
        versions: { source: `files of ${source.kind}`, target: `Synapse ${targetSynapse.version}` },
        sizes,
        predictedDowntimeSeconds: predictedDowntime(sizes),
    });
}

const bundleChecks: readonly BundleCheck[] = [
    {
        id: "source-stopped",
        cost: "cheap",
        run: ({ spec }) =>
            Promise.resolve(
                spec.rehearsal === true
                    ? []
                    : [finding("SM-W0713", `${spec.source.serverName} comes as files, and may still run somewhere`)],
            ),
    },
    {
        id: "given-secrets",
        cost: "cheap",
        run({ spec }) {
            if (spec.signingKey === undefined) return Promise.resolve([]);
            const keys = parseSigningKeys(spec.signingKey, "config signingKey");
            const macaroon =
                spec.macaroonSecretKey === undefined || spec.macaroonSecretKey === ""
                    ? [finding("SM-W0831", "the stack has no macaroonSecretKey")]
                    : [];
            return Promise.resolve([...bannedKeys(keys), ...macaroon]);
        },
    },
    {
        id: "dump-format",
        cost: "cheap",
        async run({ spec }) {
            const found: Finding[] = [];
            for (const { name, paths } of await joinedParts(spec.source.database)) {
                const { content, layers, warnings } = await recognise(paths, openingOptions(spec));
                // What is packed, or cannot be decrypted yet, shows only when it is opened.
                const hidden = layers.some((layer) => layer === "gpg" || layer === "zip" || layer === "tar");
                const fit = dumps.includes(content) || (content === "unknown" && hidden);
                found.push(
                    ...(fit ? [] : [finding("SM-E0917", `${name} has content of kind ${content}`)]),
                    ...warnings,
                );
            }
            return found;
        },
    },
    {
        id: "media-format",
        cost: "cheap",
        async run({ spec }) {
            const { media } = spec.source;
            if (media === undefined) return [finding("SM-W0968", "the stack has no source.media")];
            const findings: Finding[] = [];
            const isDirectory = media.length === 1 && (await stat(media[0] ?? "")).isDirectory();
            for (const { paths } of isDirectory ? [{ paths: media }] : await joinedParts(media))
                findings.push(...(await recognise(paths, openingOptions(spec))).warnings);
            return findings;
        },
    },
    {
        id: "free-space",
        cost: "cheap",
        async run({ spec, databaseBytes, media }) {
            const bytes = media.reduce((sum, input) => sum + input.bytes, 0);
            // Archives of media are unpacked beside the store, which they then are copied to.
            return lackingSpace([
                await fileSystemOf(spec.run.directory, bytes),
                await fileSystemOf(spec.targetDirectory, databaseBytes + bytes),
            ]);
        },
    },
    {
        id: "dump-content",
        cost: "thorough",
        async run({ spec, progress }) {
            const opening = openingOptions(spec);
            if (await isSqlite(spec.source.database, opening)) {
                const { serverName, database: paths } = spec.source;
                return checkSqlite({ ...opening, paths, serverName, python: spec.targetPython });
            }
            const opened = await openDump(spec.source.database, { ...openingOptions(spec), progress });
            try {
                let read = 0;
                await progress.during(
                    "reading the dump to its end",
                    () => inspectPlainDump(opened.stream, { onProgress: ({ bytes }) => (read = bytes) }),
                    () => `${read} bytes`,
                );
                await opened.finished;
                return [];
            } finally {
                await opened.close();
            }
        },
    },
];

function openingOptions(spec: AssessSpec) {
    return {
        ...(spec.passphrase === undefined ? {} : { passphrase: spec.passphrase }),
        workDirectory: spec.run.directory,
        clientDirectory: spec.targetServer?.programs ?? "",
    };
}

/** What a file has to say for itself, beside everything else there is to say. Rethrows what is not a documented error. */
function documented(error: unknown): Finding[] {
    const errors = error instanceof MigrationErrors ? error.errors : error instanceof MigrationError ? [error] : [];
    if (errors.length === 0) throw error;
    return errors.map(({ code, detail }) => {
        const entry: CatalogueEntry = errorCatalogue[code];
        return {
            id: code,
            severity: "error",
            evidence: `${entry.title}: ${detail.where}: ${detail.found}`,
            fix: detail.fix ?? entry.fix,
        };
    });
}

/** @throws MigrationError SM-E0931 when it is not there */
async function measured(path: string): Promise<Input> {
    const found = await stat(path).catch((cause: unknown) => {
        throw new MigrationError("SM-E0931", {
            where: path,
            found: String(cause),
            expected: "a file or a directory",
            cause,
        });
    });
    if (!found.isDirectory()) return { path, bytes: found.size, files: 1 };
    let [bytes, files] = [0, 0];
    for (const entry of await readdir(path, { recursive: true, withFileTypes: true })) {
        if (!entry.isFile()) continue;
        bytes += (await lstat(join(entry.parentPath, entry.name))).size;
        files++;
    }
    return { path, bytes, files };
}

/** Other files are another source, and another run. */
function fingerprint(serverName: string, inputs: readonly Input[]): string {
    return createHash("sha256")
        .update(JSON.stringify([serverName, inputs.map(({ path, bytes, files }) => [basename(path), bytes, files])]))
        .digest("hex");
}
