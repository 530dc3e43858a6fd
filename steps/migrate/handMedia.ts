/** Hands the homeserver's media to an installed matrix-media-repo by its own importer, and asks its database whether all of it arrived. */
import { constants } from "node:fs";
import { mkdir, open, readdir, readFile, rm } from "node:fs/promises";
import { join, relative } from "node:path";
import { registerUnlocking } from "../../engine/bundle/input/unlocking.ts";
import { handMediaContract, type Check } from "../../contract/index.ts";
import { writePrivateFile } from "../../engine/run/atomicFile.ts";
import type { ServiceUser } from "../../engine/machines/serviceUser.ts";
import { describeListed } from "../../engine/media/mediaRepoArchive/mediaArchive.ts";
import {
    presentMedia,
    proveArrival,
    type ArrivalProof,
    type ExpectedMedia,
} from "../../engine/media/mediaRepoArchive/proof.ts";
import { refuseLonger, requireFit } from "../../engine/media/mediaRepo/fitness.ts";
import { writeHandArchive, type HandMediaSpec } from "../../engine/media/mediaRepo/handArchive.ts";
import { itemsOf, keepHandedManifest } from "../../engine/media/mediaRepo/handedManifest.ts";
import { purgeMediaPath, quarantinePath } from "../../engine/media/mediaRepo/repositoryApi.ts";
import { quarantineCheck, requarantine } from "../../engine/media/mediaRepo/requarantine.ts";
import { runImporter } from "../../engine/media/mediaRepo/runImporter.ts";
import { unpackedMediaDirectory } from "../../engine/media/unpackMedia.ts";
import { MigrationError } from "../../engine/run/errors.ts";
import { holdBelow, holdDirectory, removeTree, unfitDirectory } from "../../engine/run/heldDirectory.ts";
import { defineStep, type StepRun } from "../../engine/run/step.ts";

const step = "hand-media";
const emptyManifest = JSON.stringify({ version: 2, media: {} });

/** Of one run, below the directory that is configured. */
const placeOf = ({ mediaRepo }: HandMediaSpec, run: StepRun): string =>
    join(mediaRepo.directory, `synapse-migration-${run.id}`);
const fileOf = (run: StepRun, name: string): string => join(run.directory, `handed-media${name}`);

export const handMedia = defineStep(
    handMediaContract,
    async (spec, run) => {
        const began = performance.now();
        registerUnlocking(spec);
        const { mediaRepo, source } = spec;
        const repository = await requireFit(mediaRepo, source.serverName);
        const place = placeOf(spec, run);
        const parts = join(place, "parts");
        await removeTree(place);
        try {
            // The importer's user goes through it, and may write its log there.
            for (const directory of [mediaRepo.directory, place, parts])
                await mkdir(directory, { recursive: true, mode: directory === mediaRepo.directory ? 0o711 : 0o700 });
            const written = await writeHandArchive(spec, parts, run);
            const manifest = written?.manifest ?? emptyManifest;
            const items = itemsOf(manifest, parts);
            refuseLonger(longestOf(items), repository.config, mediaRepo.config);
            const manifestDigest = await keepHandedManifest(fileOf(run, ".json"), manifest);
            const before = await look(spec, items, repository.config.database, run);
            if (before.missing > 0) {
                await giveTo(repository.user, place, parts);
                await runImporter({ target: mediaRepo, repository, parts, workingDirectory: place, items }, run);
            }
            const proof = await prove(items, repository.config.database, before, run);
            const options = { serverName: source.serverName, signal: run.signal };
            const again = await requarantine(items, mediaRepo, repository.config, options);
            const list = await listCalls(fileOf(run, "-quarantine.txt"), again.servedAgain, (mediaId) =>
                quarantinePath(source.serverName, mediaId),
            );
            const quarantined = items.filter(({ synapse }) => (synapse?.quarantinedBy ?? null) !== null).length;
            const checks: Check[] = [
                arrivalCheck(proof, before),
                quarantineCheck(again, { serverName: source.serverName, quarantined, list }),
            ];
            await run.evidence({ archive: written?.notes ?? "none came with the bundle", proof, again, checks });
            return {
                ...{ manifestFile: fileOf(run, ".json"), manifestDigest, config: mediaRepo.config },
                media: items.length,
                bytes: items.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
                imported: before.added,
                servedAgain: again.servedAgain.length,
                checks,
                seconds: (performance.now() - began) / 1000,
            };
        } finally {
            await removeTree(place);
            await rm(unpackedMediaDirectory(run.directory), { recursive: true, force: true });
        }
    },
    async (spec, run) => {
        await removeTree(placeOf(spec, run));
        await rm(unpackedMediaDirectory(run.directory), { recursive: true, force: true });
        const list = fileOf(run, "-added.txt");
        const calls = (await readFile(list, "utf8").catch(() => "")).split("\n").filter((line) => line !== "");
        const [first] = calls;
        if (first === undefined) return;
        // Its importer takes nothing back, and purging is for good: a person decides.
        run.progress.note(
            `${calls.length} media that this run added stay in matrix-media-repo, which cannot take an import back. To go there again they need not be removed. To remove them, with the token of one of its administrators and the header "Host: ${spec.source.serverName}": ${first}; all ${calls.length} calls are in ${list}`,
        );
    },
);

function longestOf(items: readonly ExpectedMedia[]): number {
    return items.reduce((longest, { sizeBytes }) => Math.max(longest, sizeBytes), 0);
}

interface Before {
    /** How many are not there. */
    readonly missing: number;
    /** How many this run adds, in all of its attempts. */
    readonly added: number;
    /** What of media that was there already is not as it is here, though its content is: as {@link ArrivalProof} lists it. */
    readonly different: ReadonlySet<string>;
}

/** @throws MigrationError SM-E0965 when there is other content under a media id */
async function look(
    { source, mediaRepo }: HandMediaSpec,
    items: readonly ExpectedMedia[],
    database: Parameters<typeof proveArrival>[0],
    run: StepRun,
): Promise<Before> {
    const options = { step, signal: run.signal };
    const present = await presentMedia(database, items, options);
    const there = items.filter(({ mediaId }) => present.has(mediaId));
    const different =
        there.length === 0 ? [] : (await proveArrival(database, { items: there }, options)).different.first;
    const others = different.filter((line) => /: .*\b(length|content)\b/.test(line));
    if (others.length > 0)
        throw new MigrationError("SM-E0965", {
            where: `the database of matrix-media-repo, ${mediaRepo.config}`,
            found: describeListed({ count: others.length, first: others }, "media with other content"),
            expected: "no media of these ids, or the same",
        });
    const list = fileOf(run, "-added.txt");
    const earlier = await readFile(list, "utf8").catch(() => undefined);
    const missing = items.map(({ mediaId }) => mediaId).filter((mediaId) => !present.has(mediaId));
    const known = new Set(earlier?.split("\n") ?? []);
    const call = (mediaId: string): string => `POST ${purgeMediaPath(source.serverName, mediaId)}`;
    const fresh = missing.map(call).filter((line) => !known.has(line));
    const added = [...[...known].filter((line) => line !== ""), ...fresh];
    // Before the importer runs: whatever comes then, it is known what it added.
    if (fresh.length > 0 || earlier === undefined) await writePrivateFile(list, [...added, ""].join("\n"));
    return { missing: missing.length, added: added.length, different: new Set(different) };
}

async function giveTo(user: ServiceUser | undefined, place: string, parts: string): Promise<void> {
    if (user === undefined) return;
    // By descriptors: the directory above may be one that this user can exchange things in.
    const heldPlace = await holdDirectory(place);
    const heldParts = await holdBelow(place, relative(place, parts));
    try {
        if ((await heldParts.handle.stat()).uid !== process.geteuid?.()) throw unfitDirectory(parts, "it is not ours");
        for (const name of await readdir(heldParts.path)) {
            const part = await open(heldParts.at(name), constants.O_RDONLY | constants.O_NOFOLLOW);
            await part.chown(user.uid, user.gid).finally(() => part.close());
        }
        for (const { handle } of [heldParts, heldPlace]) await handle.chown(user.uid, user.gid);
    } finally {
        await heldParts.close();
        await heldPlace.close();
    }
}

/** @throws MigrationError SM-E0608 when anything is missing, or is not what it was */
async function prove(
    items: readonly ExpectedMedia[],
    database: Parameters<typeof proveArrival>[0],
    before: Before,
    run: StepRun,
): Promise<ArrivalProof> {
    if (items.length === 0) {
        const none = { count: 0, first: [] };
        return { expected: 0, arrived: 0, missing: none, different: none, servedAgain: none, redated: 0 };
    }
    const proof = await run.progress.during("asking matrix-media-repo's database for every item", () =>
        proveArrival(database, { items }, { step, signal: run.signal }),
    );
    const { missing, different } = proof;
    const isNew =
        different.first.some((line) => !before.different.has(line)) || different.count > different.first.length;
    if (missing.count === 0 && !isNew) return proof;
    throw new MigrationError("SM-E0608", {
        where: `the database of matrix-media-repo, ${database.name}@${database.host}:${database.port}`,
        found: [
            `${proof.arrived} of ${proof.expected} media`,
            ...(missing.count > 0 ? [describeListed(missing, "are missing")] : []),
            ...(different.count > 0 ? [describeListed(different, "are different")] : []),
        ].join("\n"),
        expected: "all of them, as the archive has them",
        changed: "media were added to matrix-media-repo and stay there; the importer passes over those that are there",
    });
}

function arrivalCheck({ expected, arrived, different, redated }: ArrivalProof, { added }: Before): Check {
    const id = "media.arrived";
    const dates = redated === 0 ? "" : `; ${redated} have the time of their import as that of their upload`;
    const evidence = `${arrived} of ${expected} media are in matrix-media-repo as they were, ${added} of them by this run${dates}`;
    return different.count === 0
        ? { id, state: "passed", evidence }
        : {
              id,
              state: "warning",
              evidence: `${evidence}; ${describeListed(different, "had other names or types there")}`,
          };
}

/** @returns the path */
async function listCalls(
    path: string,
    mediaIds: readonly string[],
    pathOf: (mediaId: string) => string,
): Promise<string> {
    if (mediaIds.length > 0)
        await writePrivateFile(path, `${mediaIds.map((mediaId) => `POST ${pathOf(mediaId)}`).join("\n")}\n`);
    return path;
}
