/** A real homeserver that keeps its rows in SQLite, filled and stopped: what a migration from `homeserver.db` begins with. */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { runProgram } from "../../../engine/machines/program.ts";
import { lineProgress } from "../../../engine/run/progress.ts";
import { redact } from "../../../engine/run/redaction.ts";
import { makeRehearsalDirectory, removeRehearsalDirectory } from "../../../rehearsal/directory.ts";
import type { Expectations } from "../../../rehearsal/source/expectations.ts";
import { jsonObject, MatrixClient } from "../../../rehearsal/source/matrixClient.ts";
import { SourceHomeserver } from "../../../rehearsal/source/homeserver.ts";
import { populate } from "../../../rehearsal/source/population.ts";
import { SourceSqlite } from "../../../rehearsal/source/sqliteDatabase.ts";
import { ensureToolchain } from "../../../toolchain/toolchain.ts";

export interface SqliteSource {
    /** Holds all that belongs to it; free for the test's own files. Removed by {@link stop}. */
    readonly directory: string;
    /** `homeserver.db`. */
    readonly database: string;
    readonly python: string;
    readonly homeserver: SourceHomeserver;
    readonly expectations: Expectations;
    readonly stop: () => Promise<void>;
}

export const serverName = "rehearsal.test";
const backgroundUpdateSeconds = 60;

/** Path of a Python that has Synapse. */
export async function synapsePython(): Promise<string> {
    const given = process.env["SYNAPSE_MIGRATION_PYTHON"];
    if (given !== undefined) return given;
    const { synapse } = await ensureToolchain({ synapse: true }, () => undefined);
    if (synapse === undefined) throw new Error("the toolchain has no Synapse");
    return synapse.python;
}

let shared: Promise<SqliteSource> | undefined;

/** The source of this process, removed after the last test. */
export function sqliteSource(): Promise<SqliteSource> {
    return (shared ??= makeSqliteSource());
}

after(async function () {
    this.timeout(60_000);
    await (await shared)?.stop();
    shared = undefined;
});

/** Starts a Synapse on SQLite, fills it and stops it. Cleans up after itself when that fails. */
async function makeSqliteSource(): Promise<SqliteSource> {
    const python = await synapsePython();
    const directory = makeRehearsalDirectory();
    const stop = async (): Promise<void> => {
        await removeRehearsalDirectory(directory);
    };
    try {
        const database = join(directory, "synapse", "homeserver.db");
        const homeserver = await SourceHomeserver.start({
            directory: join(directory, "synapse"),
            ...{ python, serverName, cluster: new SourceSqlite(database, python) },
        });
        await homeserver.backgroundUpdatesDone(backgroundUpdateSeconds);
        const progress = lineProgress("population", () => undefined, redact);
        const population = { users: 3, rooms: 4, messages: 24 };
        const expectations = await populate({ homeserver, seed: "sqlite", progress, ...population });
        await addStalePusher(homeserver.baseUrl, expectations);
        await homeserver.stop();
        await inSqlite(python, database, "DELETE FROM pushers WHERE pushkey = 'stale'", ...oddRows(expectations));
        return { directory, database, python, homeserver, expectations, stop };
    } catch (error) {
        await stop();
        throw error;
    }
}

/**
 * A pusher that comes and goes without a trace, as those did that Synapse removed as stale in an update (databases/main/pusher.py):
 * `stream_positions` is ahead of the table then.
 */
async function addStalePusher(baseUrl: string, { users }: Expectations): Promise<void> {
    const token = users[0]?.devices[0]?.accessToken;
    if (token === undefined) throw new Error("the population has a user");
    const pusher = {
        ...{ app_id: "test.rehearsal.stale", app_display_name: "Stale", device_display_name: "Gone", kind: "http" },
        ...{ lang: "en", pushkey: "stale", data: { url: "http://127.0.0.1:9/_matrix/push/v1/notify" } },
    };
    await new MatrixClient(baseUrl).as(token).post("/_matrix/client/v3/pushers/set", pusher, jsonObject);
}

/** Rows as a homeserver of some years has them. */
function oddRows({ users }: Expectations): string[] {
    const [user] = users;
    if (user === undefined) throw new Error("the population has a user");
    return [
        // Made before the columns were: they count as true.
        `UPDATE pushers SET enabled = NULL WHERE user_name = '${user.userId}'`,
        `UPDATE users SET approved = NULL WHERE name = '${user.userId}'`,
        `UPDATE profiles SET fields = '{"m.longer":[1.50,true,null],"m.tz":"Europe/Vienna \\u00fc\\u0007 \\u2028"}' WHERE full_user_id = '${user.userId}'`,
        // What PostgreSQL cannot store.
        `INSERT INTO blocked_rooms (room_id, user_id) VALUES ('!nul' || char(0) || ':rehearsal.test', '${user.userId}')`,
        `INSERT INTO event_search (event_id, room_id, sender, key, value) VALUES ('$gone', '!gone', '${user.userId}', 'content.body', 'text')`,
    ];
}

/** Runs statements in an SQLite database that nobody has open, as the user that it belongs to. */
export async function inSqlite(python: string, file: string, ...statements: string[]): Promise<void> {
    const program =
        "import json, sqlite3, sys\nq = json.load(sys.stdin)\nc = sqlite3.connect(q['file'], isolation_level=None)\n" +
        "for s in q['statements']: c.execute(s)\nc.close()";
    const { uid, gid } = await stat(file);
    await runProgram(python, ["-c", program], {
        ...{ workingDirectory: "/", input: JSON.stringify({ file, statements }), timeoutSeconds: 30 },
        user: { uid, gid },
    });
}
