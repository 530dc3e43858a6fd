/** Checks of a source that comes as files: what they are, whether they can be opened, what is missing among them. */
import { stat } from "node:fs/promises";
import type { z } from "zod";
import type { InputEvidence } from "../bundle/input/inputEvidence.ts";
import { joinedParts } from "../bundle/input/parts.ts";
import { recognise, type Content } from "../bundle/input/recognise.ts";
import type { assessContract, BundleSource, Finding } from "../../contract/index.ts";
import type { Progress } from "../run/progress.ts";
import { isSqlite } from "../sqlite/openSqlite.ts";
import { bannedKeys, isOtherMacaroon, pepperOfBundle, secretsOfBundle } from "../synapse/secrets/homeserverSecrets.ts";
import { parseSigningKeys, throwAwayKey } from "../synapse/secrets/signingKey.ts";
import type { HomeserverConfig } from "../synapse/config/homeserverConfig.ts";
import type { InstalledSynapse } from "../synapse/targetVersion.ts";
import { finding } from "../run/finding.ts";
import { configurationCheckId, configurationFindings } from "./configurationCheck.ts";
import { targetClock, targetClockId } from "./clockChecks.ts";
import { documentedFindings } from "./conclusion.ts";
import { definitionsBeforeRows, dumpCodeFindings, type Definitions } from "./dumpCode.ts";
import { checkDump } from "./dumpCheck.ts";
import { fileSystemOf, lackingSpace } from "../machines/freeSpace.ts";
import { mediaRepoFindings } from "./mediaRepoChecks.ts";
import { oldSigningKeyFindings } from "./oldSigningKeys.ts";
import { serviceUserCheckId, serviceUserFindings } from "./serviceUserCheck.ts";
import { checkSqlite } from "./sqliteCheck.ts";
import { supervisionCheckId, unsupervised } from "./supervisionCheck.ts";

export type AssessSpec = z.infer<typeof assessContract.spec> & { readonly source: BundleSource };

/** Loaded, a compressed dump takes about this many times its own size, indexes included. */
const loadedPerCompressedByte = 12;
const loadedPerPlainByte = 2;

/** Of a preview, for what an encrypted or compressed dump has in front of its rows, and for a server to try it on. */
const quickSeconds = 8;

/** What can be loaded, besides archives of it. */
const dumps: readonly Content[] = ["plain-dump", "custom-dump", "directory-dump", "tar-dump", "sqlite", "zip", "tar"];
/** Formats that pg_dump compresses on its own. */
const compressing: readonly Content[] = ["custom-dump", "directory-dump"];

export interface BundleContext {
    readonly spec: AssessSpec;
    readonly media: readonly InputEvidence[];
    /** That came with the bundle, or Synapse's defaults. */
    readonly config: HomeserverConfig;
    readonly targetSynapse: InstalledSynapse;
    readonly progress: Progress;
    /** Mode 0700, and there. */
    readonly workDirectory: string;
    /** What the checks find out for each other, and for who reads of it. */
    readonly known: {
        /** What the database takes once it is loaded; an estimate. */
        databaseBytes: number;
        tables: number;
        version: string | undefined;
        /** Of a dump that was read to its end. */
        definitions?: Definitions;
    };
}

export interface BundleCheck {
    readonly id: string;
    readonly cost: "cheap" | "thorough";
    /** Looks at the files, or at the place for what is in them: both are different once a run has loaded them. */
    readonly beforeImport: boolean;
    /** `not-run` where what it looks at cannot be asked. */
    readonly run: (context: BundleContext) => Promise<Finding[] | "not-run">;
}

/** In the order in which they find out what the next ones need. */
export const bundleChecks: readonly BundleCheck[] = [
    {
        id: serviceUserCheckId,
        cost: "cheap",
        beforeImport: false,
        run: ({ spec }) => serviceUserFindings(spec),
    },
    {
        id: "media-repository",
        cost: "cheap",
        beforeImport: true,
        run({ spec, media }) {
            const bytes = media.reduce((sum, input) => sum + input.bytes, 0);
            return mediaRepoFindings(spec.mediaRepo, spec.source.serverName, { bytes });
        },
    },
    {
        id: "source-stopped",
        cost: "cheap",
        beforeImport: false,
        run: ({ spec }) =>
            Promise.resolve(
                spec.rehearsal === true
                    ? []
                    : [finding("SM-W0713", `${spec.source.serverName} comes as files, and may still run somewhere`)],
            ),
    },
    {
        id: supervisionCheckId,
        cost: "cheap",
        beforeImport: false,
        run: ({ spec }) => Promise.resolve(unsupervised(spec)),
    },
    {
        id: "given-secrets",
        cost: "cheap",
        beforeImport: false,
        async run({ spec, config }) {
            if (spec.signingKey === undefined) return [];
            const keys = parseSigningKeys(spec.signingKey, "config signingKey");
            const macaroon =
                spec.macaroonSecretKey === undefined || spec.macaroonSecretKey === ""
                    ? [finding("SM-W0831", "the stack has no macaroonSecretKey")]
                    : [];
            const other = (await isOtherMacaroon(spec.macaroonSecretKey, config))
                ? [finding("SM-E0830", "macaroon_secret_key is another one in the bundle's homeserver.yaml")]
                : [];
            const problem = pepperOfBundle(spec.pepper, config.pepper);
            const pepper = problem === undefined ? [] : [finding("SM-E0820", problem.found)];
            const old = oldSigningKeyFindings(config.oldSigningKeys, keys);
            return [...bannedKeys(keys), ...old, ...macaroon, ...other, ...pepper];
        },
    },
    {
        id: targetClockId,
        cost: "cheap",
        beforeImport: true,
        run: ({ spec }) => targetClock(spec.targetServer),
    },
    {
        id: "dump-format",
        cost: "cheap",
        beforeImport: true,
        async run({ spec, known, workDirectory }) {
            const found: Finding[] = [];
            known.databaseBytes = 0;
            for (const { name, paths } of await joinedParts(spec.source.database)) {
                const { content, layers, bytes, warnings } = await recognise(
                    paths,
                    openingOptions(spec, workDirectory),
                );
                const compressed = layers.some((layer) => layer !== "tar") || compressing.includes(content);
                known.databaseBytes += bytes * (compressed ? loadedPerCompressedByte : loadedPerPlainByte);
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
        beforeImport: true,
        async run({ spec, workDirectory }) {
            const { media } = spec.source;
            if (media === undefined) return [finding("SM-W0968", "the stack has no source.media")];
            const findings: Finding[] = [];
            const isDirectory = media.length === 1 && (await stat(media[0] ?? "")).isDirectory();
            for (const { paths } of isDirectory ? [{ paths: media }] : await joinedParts(media))
                findings.push(...(await recognise(paths, openingOptions(spec, workDirectory))).warnings);
            return findings;
        },
    },
    {
        id: "dump-content",
        cost: "thorough",
        beforeImport: true,
        async run({ spec, known, progress, workDirectory, targetSynapse }) {
            const opening = openingOptions(spec, workDirectory);
            const { serverName, database: paths, databaseName } = spec.source;
            const { sqliteNul, targetPython: python } = spec;
            if (await isSqlite(paths, opening))
                return checkSqlite({ ...opening, paths, serverName, sqliteNul, python });
            const { targetServer } = spec;
            const answer = await checkDump({ ...opening, paths, databaseName, targetSynapse, targetServer, progress });
            known.databaseBytes = answer.bytes * loadedPerPlainByte;
            known.tables = answer.tables;
            known.version = answer.version;
            known.definitions = answer.definitions;
            return [...answer.findings];
        },
    },
    {
        id: "dump-code",
        cost: "cheap",
        beforeImport: true,
        async run(context) {
            const { spec, known } = context;
            const signal = spec.quick ? AbortSignal.timeout(quickSeconds * 1000) : undefined;
            const definitions = spec.quick ? await beforeRows(context, signal) : known.definitions;
            const programs = spec.targetServer?.programs;
            if (definitions === undefined || programs === undefined) return "not-run";
            const scratch = { programs, user: spec.user, signal };
            const found = await dumpCodeFindings(definitions, spec.foreignCode ?? [], scratch);
            // In a preview what stands behind the rows has not been seen, and nothing found is not nothing there.
            return spec.quick && found.length === 0 ? "not-run" : found;
        },
    },
    {
        id: configurationCheckId,
        cost: "thorough",
        beforeImport: false,
        run({ spec, config }) {
            const signingKeys = parseSigningKeys(spec.signingKey ?? throwAwayKey(), "config signingKey");
            // Whether they are the right ones is said by the check of the given secrets.
            const given = {
                signingKeys,
                pepper: config.pepper ?? spec.pepper,
                macaroonSecretKey: spec.macaroonSecretKey,
            };
            return configurationFindings({ spec, config, secrets: secretsOfBundle(given, config) });
        },
    },
    {
        id: "free-space",
        cost: "cheap",
        beforeImport: true,
        async run({ spec, known, media }) {
            const bytes = media.reduce((sum, input) => sum + input.bytes, 0);
            // Archives of media are unpacked beside the store, which they then are copied to.
            return lackingSpace([
                await fileSystemOf(spec.run.directory, bytes),
                await fileSystemOf(spec.targetDirectory, known.databaseBytes + bytes),
            ]);
        },
    },
];

/** Of a dump that can be read from its beginning: what is packed in an archive would have to be unpacked first. */
async function beforeRows(
    { spec, workDirectory, progress }: BundleContext,
    signal: AbortSignal | undefined,
): Promise<Definitions | undefined> {
    const { database: paths, databaseName } = spec.source;
    const opening = openingOptions(spec, workDirectory);
    if ((await joinedParts(paths)).length !== 1 || (await isSqlite(paths, opening))) return undefined;
    const { content, layers } = await recognise(paths, opening);
    if (layers.includes("tar") || layers.includes("zip") || content === "tar-dump") return undefined;
    return definitionsBeforeRows(paths, {
        ...opening,
        databaseName,
        progress,
        ...(signal === undefined ? {} : { signal }),
    }).catch(
        // Told by the checks of its format, and by whoever reads it whole.
        (error: unknown) => (documentedFindings(error), undefined),
    );
}

function openingOptions(spec: AssessSpec, workDirectory: string) {
    return {
        ...{ passphrase: spec.passphrase, secretKey: spec.secretKey },
        workDirectory,
        clientDirectory: spec.targetServer?.programs ?? "",
    };
}
