/** SQLite databases as a Synapse of another age makes them: by the installed Synapse's own code, with fewer of its deltas. */
import { runProgram } from "../../../engine/machines/program.ts";
import { serverName, synapsePython } from "./sqliteSource.ts";

const program = `
import json, sys
question = json.load(sys.stdin)
from synapse.config.database import DatabaseConnectionConfig
from synapse.config.homeserver import HomeServerConfig
from synapse.storage import prepare_database
from synapse.storage.database import make_conn
from synapse.storage.engines import create_engine
if question["schema"]: prepare_database.SCHEMA_VERSION = question["schema"]
section = {"name": "sqlite3", "args": {"database": question["file"]}}
config = HomeServerConfig()
config.parse_config_dict({
    "server_name": question["serverName"], "signing_key": "ed25519 a_x " + "a" * 43, "macaroon_secret_key": "x", "report_stats": False,
    "enable_media_repo": False, "trusted_key_servers": [], "suppress_key_server_warning": True, "database": section,
}, "", "")
engine = create_engine(section)
database = DatabaseConnectionConfig("master", section)
with make_conn(db_config=database, engine=engine, default_txn_name="test", server_name=question["serverName"]) as connection:
    prepare_database.prepare_database(connection, engine, config=config)
    cursor = connection.cursor(txn_name="test")
    for statement in question["statements"]: cursor.execute(statement)
    cursor.close()
    connection.commit()
`;

/** Makes a database without rows but those of the statements. The newest schema when none is given. */
export async function makeDatabase(file: string, statements: readonly string[] = [], schema?: number): Promise<void> {
    const question = { file, serverName, statements, schema: schema ?? null };
    await runProgram(await synapsePython(), ["-I", "-c", program], {
        ...{ workingDirectory: "/", input: JSON.stringify(question), timeoutSeconds: 60 },
    });
}

/** A user, as a row. */
export const userRow = `INSERT INTO users (name, password_hash, creation_ts, admin, is_guest) VALUES ('@a:${serverName}', 'x', 1, 0, 0)`;
