/** The database of a real, filled Synapse as an archive, made once for a version of Synapse and kept in the cache. */
import { copyFile, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { runProgram } from "../../engine/machines/program.ts";
import { exists } from "../../engine/run/exists.ts";
import { ensureToolchain } from "../../toolchain/toolchain.ts";
import { synapseVersion } from "../../toolchain/versions.ts";
import { smallPopulation, startTestSynapse } from "./throwAway.ts";

const dumpSeconds = 60;

/** Path of an archive for pg_restore. */
export async function synapseDump(serverName: string): Promise<string> {
    const { postgres } = await ensureToolchain({ postgres: true }, () => undefined);
    if (postgres === undefined) throw new Error("the toolchain has no PostgreSQL");
    const cache = join(
        process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"),
        "synapse-migration",
        "test-databases",
    );
    const path = join(cache, `${serverName}-${synapseVersion}-postgresql-${Number.parseInt(postgres.version)}-v2.dump`);
    if (await exists(path)) return path;
    await mkdir(cache, { recursive: true, mode: 0o700 });
    const synapse = await startTestSynapse({ serverName, population: smallPopulation });
    try {
        const { host, port, name, user, password } = synapse.cluster.synapse;
        const passwordFile = join(synapse.directory, "pgpass-test");
        await writeFile(passwordFile, `*:*:*:*:${password}\n`, { mode: 0o600 });
        const partial = `${path}.${process.pid}.partial`;
        await runProgram(
            join(postgres.directory, "pg_dump"),
            ["--format", "custom", "--file", partial, "-h", host, "-p", String(port), "-U", user, "-d", name],
            { environment: { PGPASSFILE: passwordFile }, timeoutSeconds: dumpSeconds },
        );
        await copyFile(synapse.homeserver.files.signingKeyFile, keyFileOf(path));
        await rename(partial, path);
        return path;
    } finally {
        await synapse.stop();
        await rm(`${path}.${process.pid}.partial`, { force: true });
    }
}

/** Content of the signing key file that the homeserver of {@link synapseDump} signed its events with. */
export async function synapseDumpKey(serverName: string): Promise<string> {
    return readFile(keyFileOf(await synapseDump(serverName)), "utf8");
}

const keyFileOf = (dump: string): string => `${dump}.signing.key`;
