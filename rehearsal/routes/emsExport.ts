/** An export of a hosting provider: an encrypted plain dump that names the provider's roles, and encrypted parts of a media archive. */
import { renameSync } from "node:fs";
import { join } from "node:path";
import {
    dump,
    encrypt,
    gzip,
    identitySecrets,
    makePassphrase,
    moveMediaToRepository,
    writeBaseConfig,
} from "./makeExport.ts";
import type { ClusterRoute } from "./route.ts";

/** As a managed database's administrator is called. */
const foreignRole = "rdsadmin";

export const emsExport: ClusterRoute = {
    place: "here",
    database: "postgresql",
    description: "an export of Element's hosting: postgres-export.sql.gz.gpg and export-part-N.tgz.gpg",
    async prepare(args) {
        const { source, cluster, directory } = args;
        const passphrase = makePassphrase();
        await source.stop();
        const parts = await moveMediaToRepository(args, join(directory, "export"));
        await cluster.administer(`CREATE ROLE ${foreignRole}`);
        await cluster.administer(`REASSIGN OWNED BY ${cluster.synapse.user} TO ${foreignRole}`);
        await dump(args, ["--file", join(directory, "postgres-export.sql")]);
        const database = await encrypt(await gzip(join(directory, "postgres-export.sql")), passphrase);
        const media: string[] = [];
        for (const part of parts) {
            const file = join(directory, part);
            renameSync(join(directory, "export", part), file);
            media.push(await encrypt(file, passphrase));
        }
        const { oldVerifyKeys } = source.files;
        return {
            config: {
                source: {
                    kind: "emsExport",
                    database,
                    media,
                    homeserverConfig: writeBaseConfig(args),
                    oldSigningKeys: oldVerifyKeys,
                    stoppedBeforeExport: true,
                },
                acknowledge: "SM-W0713",
            },
            secrets: { ...identitySecrets(args), passphrase },
        };
    },
};
