"""Finds the texts with NUL characters in a private copy of an SQLite database, which PostgreSQL cannot store, and takes NUL out of them.

stdin: {"database": path, "skip": names of tables that are not ported, "keep": whether what was taken out stays out}. Without `keep` all is
done and taken back, to see whether it can be done. stderr: {"progress": text} a line.
stdout: {"rows": [{"table", "key", "columns"}], "collisions": those that would get the key of another row}, "dangling": text or null}.
"""
import json
import sqlite3
import sys
import time

HEARTBEAT_SECONDS = 5
# Other keys may be secrets: tokens, pushkeys, one-time keys.
SHOWN = {"user_id", "full_user_id", "name", "room_id", "event_id", "device_id", "media_id", "sender", "room_alias"}
NEVER_SHOWN = {"dehydrated_devices"}


class Heartbeat:
    """Says that a long statement still runs."""

    def __init__(self):
        self.started = self.last = time.monotonic()
        self.table = ""

    def __call__(self):
        now = time.monotonic()
        if now - self.last >= HEARTBEAT_SECONDS:
            self.last = now
            text = f"looking for NUL in {self.table}: {now - self.started:.0f} s so far"
            print(json.dumps({"progress": text}), file=sys.stderr, flush=True)
        return 0


def quoted(name):
    return '"%s"' % name.replace('"', '""')


def tables_of(connection):
    """Name and columns of each table that is not SQLite's own or part of a virtual one."""
    masters = connection.execute("SELECT name, sql LIKE 'CREATE VIRTUAL TABLE%' FROM sqlite_master WHERE type = 'table' ORDER BY name")
    found = [(name.decode(), virtual) for name, virtual in masters]
    parts = tuple(f"{name}_" for name, virtual in found if virtual)
    names = [name for name, _ in found if not name.startswith("sqlite_") and not (parts and name.startswith(parts))]
    return {n: [row[1].decode() for row in connection.execute(f"PRAGMA table_info({quoted(n)})")] for n in names}


def shown(table, columns, values, row_id):
    """The key for people. Many of Synapse's tables have unique indexes in place of a primary key: all such columns are shown."""
    texts = [f"rowid {row_id}"]
    for name, value in zip(columns, values):
        if name.lower() in SHOWN and table not in NEVER_SHOWN and value is not None:
            text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
            texts.append(f"{name} {json.dumps(text, ensure_ascii=False)[:120]}")
    return ", ".join(texts)


def rows_with_nul(connection, table, columns):
    """`instr` of a text ends at its first NUL, of bytes it does not."""
    has_nul = [f"(typeof({quoted(n)}) = 'text' AND instr(CAST({quoted(n)} AS BLOB), x'00') > 0)" for n in columns]
    names = ", ".join([*(quoted(name) for name in columns), *has_nul])
    for row in connection.execute(f"SELECT rowid, {names} FROM {quoted(table)} WHERE {' OR '.join(has_nul)}").fetchall():
        values, flags = row[1 : len(columns) + 1], row[len(columns) + 1 :]
        texts = {name: value for name, value, flag in zip(columns, values, flags) if flag}
        yield row[0], shown(table, columns, values, row[0]), texts


def main():
    question = json.load(sys.stdin)
    connection = sqlite3.connect(question["database"], isolation_level=None)
    connection.text_factory = bytes
    heartbeat = Heartbeat()
    connection.set_progress_handler(heartbeat, 10_000_000)
    rows, collisions = [], []
    connection.execute("BEGIN IMMEDIATE")
    for table, columns in tables_of(connection).items():
        if table in question["skip"] or not columns:
            continue
        heartbeat.table = table
        for row_id, key, texts in rows_with_nul(connection, table, columns):
            found = {"table": table, "key": key, "columns": sorted(texts)}
            rows.append(found)
            changes = ", ".join(f"{quoted(name)} = CAST(? AS TEXT)" for name in texts)
            stripped = [value.replace(b"\0", b"") for value in texts.values()]
            try:
                connection.execute(f"UPDATE {quoted(table)} SET {changes} WHERE rowid = ?", [*stripped, row_id])
            except sqlite3.IntegrityError:
                collisions.append(found)
    dangling = connection.execute('SELECT count(*), min("table") FROM pragma_foreign_key_check').fetchone()
    text = f"{dangling[0]} rows, of {dangling[1].decode()} and others, would refer to rows that are not there" if dangling[0] else None
    connection.execute("COMMIT" if question["keep"] and not collisions and text is None else "ROLLBACK")
    connection.close()
    print(json.dumps({"rows": rows, "collisions": collisions, "dangling": text}))


main()
