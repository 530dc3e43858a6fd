/** Writes the archive that matrix-media-repo's importer reads: from a Synapse store, or from an archive that was checked. */
import { join } from "node:path";
import type { handMediaContract } from "../../../contract/index.ts";
import type { z } from "zod";
import { readToken } from "../../fence/fenceToken.ts";
import { thisMachine } from "../../machines/local/localMachine.ts";
import { withClient, type DatabaseAddress } from "../../postgres/connection.ts";
import { sourceAddress } from "../../postgres/databases/sourceDatabase.ts";
import { ownerAddress } from "../../postgres/databases/targetAddress.ts";
import type { StepRun } from "../../run/step.ts";
import type { HomeserverConfig } from "../../synapse/config/homeserverConfig.ts";
import { readSourceConfig } from "../../synapse/config/sourceConfig.ts";
import { writeMediaArchive } from "../mediaRepoArchive/fromSynapseStore.ts";
import type { FilesDone } from "../mediaRepoArchive/mediaArchive.ts";
import { checkMediaArchive } from "../mediaRepoArchive/readArchive.ts";
import { manifestOfPart } from "../mediaRepoArchive/readParts.ts";
import { repackArchive } from "../mediaRepoArchive/repackArchive.ts";
import { unpackMedia } from "../unpackMedia.ts";

export type HandMediaSpec = z.infer<typeof handMediaContract.spec>;

export interface WrittenArchive {
    /** Text of its manifest. */
    readonly manifest: string;
    /** For the evidence: what was written, and what had to be left out. */
    readonly notes: object;
}

const step = "hand-media";

/**
 * @param parts  where its parts go; nothing else may be in that directory, as the importer opens every file
 * @returns undefined when the source comes without media
 * @throws MigrationError SM-E0703, SM-E0960 to SM-E0963, SM-E0966, SM-E0967, SM-E0969
 */
export async function writeHandArchive(
    spec: HandMediaSpec,
    parts: string,
    run: StepRun,
): Promise<WrittenArchive | undefined> {
    const { source } = spec;
    let state = "";
    const onProgress: FilesDone = ({ files, bytes }) => (state = `${files} media, ${bytes} bytes`);
    const during = <T>(title: string, work: () => Promise<T>): Promise<T> =>
        run.progress.during(title, work, () => state);
    const { signal } = run;
    const fromStore = async (
        address: DatabaseAddress,
        { machine, mediaStorePath: mediaStore }: Pick<HomeserverConfig, "machine" | "mediaStorePath">,
    ): Promise<WrittenArchive> => {
        const { acceptMissingMedia: acceptMissing } = spec;
        const place = { serverName: source.serverName, machine, mediaStore, destination: parts };
        const options = { ...place, acceptMissing, signal, onProgress };
        const { parts: names, ...notes } = await during("writing the media as an archive", () =>
            withClient(address, { step, statementSeconds: 0, signal }, (client) => writeMediaArchive(client, options)),
        );
        return { manifest: await manifestIn(parts, names, signal), notes };
    };
    if (source.kind === "selfHosted") {
        if (spec.fenceToken !== undefined) await readToken(run.directory, spec.fenceToken);
        const { loaded } = spec;
        const rows = loaded === undefined ? sourceAddress(source) : ownerAddress(loaded.database, loaded.incoming);
        return fromStore(await rows, await readSourceConfig(source));
    }
    if (source.media === undefined) return undefined;
    const { kind, directory } = await unpackMedia(source.media, {
        workDirectory: run.directory,
        ...{ passphrase: spec.passphrase, secretKey: spec.secretKey },
        ...{ signal, progress: run.progress },
    });
    if (kind === "store") {
        if (spec.loaded === undefined) throw new Error("the database that the files were loaded into is missing");
        const { database, incoming } = spec.loaded;
        return fromStore(await ownerAddress(database, incoming), { machine: thisMachine, mediaStorePath: directory });
    }
    const archive = await during("comparing the archive with its manifest", () =>
        checkMediaArchive(directory, { serverName: source.serverName, signal, onProgress }),
    );
    const names = await during("writing the archive for the importer", () =>
        repackArchive(archive, parts, { signal, onProgress }),
    );
    const { version, entityId, unlisted, bytes } = archive;
    const notes = { version, entityId, unlisted, media: archive.items.length, bytes };
    return { manifest: await manifestIn(parts, names, signal), notes };
}

/** The importer takes what is in the parts, so that is what is proven to have arrived. */
function manifestIn(parts: string, names: readonly string[], signal: AbortSignal): Promise<string> {
    return manifestOfPart(join(parts, names.at(-1) ?? ""), signal);
}
