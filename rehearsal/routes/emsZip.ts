/** An export of a hosting provider in two zip files: a dump in directory format, and an archive of matrix-media-repo. */
import { createWriteStream } from "node:fs";
import { readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { pipeline } from "node:stream/promises";
import yazl from "yazl";
import { dump, identitySecrets, moveMediaToRepository, writeBaseConfig } from "./makeExport.ts";
import type { ClusterRoute } from "./route.ts";

export const emsZip: ClusterRoute = {
    place: "here",
    database: "postgresql",
    description: "an export of Element's hosting as two zip files: a directory dump and a media archive",
    async prepare(args) {
        const { source, directory } = args;
        await source.stop();
        const id = "a1b2c3d4e5";
        const mediaName = `${id}-live-${source.serverName}-media-${source.serverName}`;
        await moveMediaToRepository(args, join(directory, mediaName));
        const databaseName = `${id}-live-${source.serverName}-synapse-database.dir`;
        await dump(args, ["--format", "directory", "--file", join(directory, databaseName)]);
        return {
            config: {
                source: {
                    kind: "emsExport",
                    database: await zip(join(directory, databaseName)),
                    media: await zip(join(directory, mediaName)),
                    homeserverConfig: writeBaseConfig(args),
                    oldSigningKeys: source.files.oldVerifyKeys,
                    stoppedBeforeExport: true,
                },
                acknowledge: "SM-W0713",
            },
            secrets: identitySecrets(args),
        };
    },
};

async function zip(directory: string): Promise<string> {
    const archive = new yazl.ZipFile();
    for (const name of await readdir(directory))
        archive.addFile(join(directory, name), `${basename(directory)}/${name}`);
    archive.end();
    const file = `${directory}.zip`;
    await pipeline(archive.outputStream, createWriteStream(file, { mode: 0o600 }));
    return file;
}
