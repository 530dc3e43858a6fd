/** What a deployment's own backup wrote: an encrypted dump, an archive of the media store, and its configuration. */
import { join } from "node:path";
import { dump, encrypt, gzip, identitySecrets, makePassphrase, tar } from "./makeExport.ts";
import type { ClusterRoute } from "./route.ts";

export const backup: ClusterRoute = {
    place: "here",
    database: "postgresql",
    description: "a backup: synapse_db_<date>.sql.gz.gpg, a tar of the media store, and homeserver.yaml",
    async prepare(args) {
        const { source, directory } = args;
        const passphrase = makePassphrase();
        await source.stop();
        const file = join(directory, "synapse_db_20260216_030001.sql");
        await dump(args, ["--file", file]);
        return {
            config: {
                source: {
                    kind: "backup",
                    database: await encrypt(await gzip(file), passphrase),
                    media: await tar(source.files.mediaStore, join(directory, "media_store.tar.gz")),
                    homeserverConfig: source.files.configFile,
                    stoppedBeforeExport: true,
                },
                acknowledge: "SM-W0713",
            },
            secrets: { ...identitySecrets(args), passphrase },
        };
    },
};
