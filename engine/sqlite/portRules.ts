/** What `synapse_port_db` leaves out or makes anew, read out of the script (synapse/_scripts/synapse_port_db.py, 1.157 to 1.163). */

const directory = "made anew by the background updates that the repair queues";
const session = "a login in the middle of being confirmed: asked for again";
const lock = "a lock of a process that no longer runs";

/** Tables that the script does not port (`IGNORED_TABLES`), with what becomes of their content. */
export const ignoredTables: ReadonlyMap<string, string> = new Map([
    ["user_directory", directory],
    ["user_directory_search", directory],
    ["user_directory_stream_pos", directory],
    ["users_who_share_private_rooms", directory],
    ["users_in_public_rooms", directory],
    ["ui_auth_sessions", session],
    ["ui_auth_sessions_credentials", session],
    ["ui_auth_sessions_ips", session],
    ["worker_read_write_locks", lock],
    ["worker_read_write_locks_mode", lock],
]);

/** Tables that each database has its own content of: how its schema came to be, and what is still to be done. */
export const ownTables: ReadonlySet<string> = new Set([
    "schema_version",
    "schema_compat_version",
    "applied_schema_deltas",
    "background_updates",
]);

/** Columns that hold something else in PostgreSQL, and what. Their tables are compared without them. */
export const transformedColumns: ReadonlyMap<string, string> = new Map([
    ["event_search.vector", "to_tsvector('english', value)"],
]);

/** Reasons for rows that are not there, beside those of {@link ignoredTables}. */
export const rowReasons = {
    nul: "a text holds NUL, which PostgreSQL cannot store",
    orphan: "a search entry without its event",
    unknownTable: "no table of this name in Synapse's PostgreSQL schema",
} as const;
