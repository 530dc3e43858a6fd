/** A homeserver that was set up without a database server: homeserver.db, packed and encrypted as the guides have it sent. */
import { dirname, join } from "node:path";
import { runProgram } from "../../engine/machines/program.ts";
import { encrypt, identitySecrets, makePassphrase } from "./makeExport.ts";
import type { SqliteRoute } from "./route.ts";

export const sqlite: SqliteRoute = {
    place: "here",
    database: "sqlite",
    description: "homeserver.db as homeserver.db.tar.gz.gpg, the media store and homeserver.yaml beside it",
    async prepare(args) {
        const { source, directory, databaseFile } = args;
        const passphrase = makePassphrase();
        await source.stop();
        const archive = join(directory, "homeserver.db.tar.gz");
        await runProgram("tar", ["--create", "--gzip", "--file", archive, "homeserver.db"], {
            workingDirectory: dirname(databaseFile),
            timeoutSeconds: 600,
        });
        return {
            config: {
                source: {
                    kind: "sqlite",
                    database: await encrypt(archive, passphrase),
                    media: source.files.mediaStore,
                    homeserverConfig: source.files.configFile,
                    stoppedBeforeExport: true,
                },
                acknowledge: "SM-W0713",
            },
            secrets: { ...identitySecrets(args), passphrase },
        };
    },
};
