"""Builds the schema of a version with the installed Synapse's own code, in an SQLite database in memory, and tells its keys.

Not among them: what Synapse's background updates make later, as a database that has not finished those is none the worse, and the few that
only PostgreSQL's schema has.

stdin: {"schema": version}. stdout: {"keys": [{"table", "columns", "primary", "name", "sql"}]}, or {"keys": null} for a version that cannot be
built. A column is null where the index is one of an expression.
"""
import glob
import json
import logging
import os
import re
import sys


def build(version):
    from synapse.config.database import DatabaseConnectionConfig
    from synapse.storage import prepare_database
    from synapse.storage.database import make_conn
    from synapse.storage.engines import create_engine

    if version > prepare_database.SCHEMA_VERSION:
        raise ValueError("a newer Synapse has made it")
    prepare_database.SCHEMA_VERSION = version
    prepare_database.SCHEMA_COMPAT_VERSION = min(version, prepare_database.SCHEMA_COMPAT_VERSION)
    section = {"name": "sqlite3", "args": {"database": ":memory:"}}
    settings = {"db_config": DatabaseConnectionConfig("master", section), "engine": create_engine(section)}
    # Of a database in memory, Synapse itself makes the schema when it connects.
    return make_conn(**settings, default_txn_name="schema", server_name="schema.invalid")


def unique_in_postgres():
    """Names of unique indexes in PostgreSQL's schema, where SQLite's may have a primary key: `events.stream_ordering` is one."""
    import synapse.storage.schema as schema

    found = {}
    for path in glob.glob(os.path.join(os.path.dirname(schema.__file__), "*/full_schemas/*/full.sql.postgres")):
        with open(path) as file:
            for name, table, columns in re.findall(r"CREATE UNIQUE INDEX (\w+) ON (?:public\.)?(\w+) USING btree \(([\w, ]+)\);", file.read()):
                found[table, columns] = name
    return found


def quoted(name):
    return '"%s"' % name.replace('"', '""')


def keys_of(rows, table, postgres):
    primary = [name for _, name in sorted((row[5], row[1]) for row in rows(f"PRAGMA table_info({quoted(table)})") if row[5])]
    if primary:
        name = postgres.get((table, ", ".join(primary)))
        yield {"table": table, "columns": primary, "primary": name is None, "name": name, "sql": None}
    for row in rows(f"PRAGMA index_list({quoted(table)})"):
        name, unique, origin = row[1], row[2], row[3]
        if not unique or origin == "pk":
            continue
        columns = [column[2] for column in rows(f"PRAGMA index_info({quoted(name)})")]
        sql = rows("SELECT sql FROM sqlite_master WHERE type = 'index' AND name = '%s'" % name.replace("'", "''"))[0][0]
        yield {"table": table, "columns": columns, "primary": False, "name": name if origin == "c" else None, "sql": sql}


def keys(version):
    try:
        connection = build(version)
        postgres = unique_in_postgres()
    except Exception:
        # Versions from before the oldest schema that this Synapse can begin with.
        return None
    cursor = connection.cursor(txn_name="schema")

    def rows(sql):
        cursor.execute(sql)
        return cursor.fetchall()

    masters = rows("SELECT name, sql LIKE 'CREATE VIRTUAL TABLE%' FROM sqlite_master WHERE type = 'table' ORDER BY name")
    parts = tuple(f"{name}_" for name, virtual in masters if virtual)
    tables = [name for name, virtual in masters if not virtual and not name.startswith(("sqlite_", *parts))]
    return [key for table in tables for key in keys_of(rows, table, postgres)]


def main():
    version = json.load(sys.stdin)["schema"]
    logging.disable()
    print(json.dumps({"keys": keys(version)}), flush=True)
    # Threads of Synapse may be left over.
    os._exit(0)


main()
