/** The homeserver.yaml that Synapse's own database scripts are given: as little as they accept, and nothing of the homeserver's secrets. */
import { randomBytes } from "node:crypto";
import { removePrivateFile, writePrivateFile } from "../run/atomicFile.ts";
import { throwAwayKey } from "../synapse/secrets/signingKey.ts";
import type { DatabaseAddress } from "../postgres/connection.ts";

/** What a script works on. */
export type ScriptDatabase = { readonly sqlite: string } | { readonly postgres: DatabaseAddress };

/**
 * Writes the configuration with mode 0600, runs the work, removes the file.
 *
 * Synapse demands a signing key and a macaroon secret; a throw-away key and secret do, as nothing is signed. The server name is the real
 * one: deltas of the schema compare users with it.
 *
 * @param path  of the file
 */
export async function withScriptConfig<T>(
    path: string,
    serverName: string,
    place: ScriptDatabase,
    work: (path: string) => Promise<T>,
): Promise<T> {
    const config = {
        server_name: serverName,
        signing_key: throwAwayKey(),
        macaroon_secret_key: randomBytes(24).toString("base64url"),
        form_secret: randomBytes(24).toString("base64url"),
        report_stats: false,
        trusted_key_servers: [],
        suppress_key_server_warning: true,
        enable_media_repo: false,
        // A second of rest after each of some thirty updates of an empty database would be most of what a small port takes.
        background_updates: { sleep_enabled: false, sleep_duration_ms: 0 },
        // A database that nobody uses has no need of the tasks that Synapse starts beside its work.
        run_background_tasks_on: "nobody",
        database: section(place),
    };
    try {
        // YAML 1.1 reads JSON.
        await writePrivateFile(path, JSON.stringify(config));
        return await work(path);
    } finally {
        await removePrivateFile(path);
    }
}

function section(place: ScriptDatabase): object {
    if ("sqlite" in place) return { name: "sqlite3", args: { database: place.sqlite } };
    const { host, port, name, user, password } = place.postgres;
    return {
        name: "psycopg2",
        args: { host, port, dbname: name, user, ...(password === undefined ? {} : { password }), cp_min: 1, cp_max: 4 },
    };
}
