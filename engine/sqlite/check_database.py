"""Settles, checks and describes a private copy of an SQLite database of Synapse.

stdin: {"database": path, "walFrames": frames that its write-ahead log must yield}. stderr: {"progress": text} a line.
stdout: {"refused": {...}} or {"checked": {...}}.
"""
import hashlib
import json
import os
import sqlite3
import sys
import time

JOURNAL_MAGIC = bytes.fromhex("d9d505f920a163d7")
HEARTBEAT_SECONDS = 5


class Refused(Exception):
    def __init__(self, reason, found):
        super().__init__(found)
        self.answer = {"reason": reason, "found": found}


def progress(text):
    print(json.dumps({"progress": text}), file=sys.stderr, flush=True)


class Heartbeat:
    """Says that a long statement still runs."""

    def __init__(self, title):
        self.title, self.started = title, time.monotonic()
        self.last = self.started

    def __call__(self):
        now = time.monotonic()
        if now - self.last >= HEARTBEAT_SECONDS:
            self.last = now
            progress(f"{self.title}: {now - self.started:.0f} s so far")
        return 0


def refuse_foreign_journal(journal):
    if not os.path.exists(journal):
        return
    with open(journal, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size >= 8:
            file.seek(size - 8)
            if file.read() == JOURNAL_MAGIC:
                raise Refused("damaged", "its journal belongs to a transaction over several databases")


def settle(database, wal_frames):
    """Has SQLite bring to an end what a crashed writer began, and make one file of it."""
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if wal_frames:
        _, log, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if log < wal_frames:
            raise Refused(
                "damaged",
                f"its write-ahead log (-wal) has {wal_frames} frames, and whole transactions to frame {max(log, 0)} only",
            )
    if connection.execute("PRAGMA journal_mode = DELETE").fetchone() != ("delete",):
        raise Refused("damaged", "SQLite could not make one file of the database and its log")
    moving = connection.execute("PRAGMA auto_vacuum").fetchone() != (0,)
    if moving:
        # synapse_port_db refuses a database whose rows may move while it is run a second time.
        connection.execute("PRAGMA auto_vacuum = NONE")
        connection.execute("VACUUM")
    return connection, moving


def check(connection):
    connection.set_progress_handler(Heartbeat("checking"), 10_000_000)
    problems = [row[0] for row in connection.execute("PRAGMA integrity_check(20)")]
    if problems != ["ok"]:
        raise Refused("damaged", "PRAGMA integrity_check: " + "; ".join(problems[:5]))
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    missing = {"schema_version", "events", "users"} - names
    if missing:
        raise Refused("notSynapse", f"it has no table {', '.join(sorted(missing))}")
    dangling = connection.execute(
        'SELECT "table", parent, count(*) FROM pragma_foreign_key_check GROUP BY 1, 2 ORDER BY 1, 2'
    ).fetchall()
    if dangling:
        raise Refused(
            "dangling",
            "; ".join(f"{count} rows of {table} refer to rows of {parent} that are not there" for table, parent, count in dangling),
        )


def describe(connection):
    one = lambda sql: connection.execute(sql).fetchone()[0]
    virtual = [n for (n,) in connection.execute("SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE VIRTUAL TABLE%'")]
    names = [n for (n,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    own = [n for n in names if not n.startswith("sqlite_") and not any(n.startswith(v + "_") for v in virtual)]
    compat = one("SELECT max(compat_version) FROM schema_compat_version") if "schema_compat_version" in names else None
    return {
        "pages": one("PRAGMA page_count"),
        "pageBytes": one("PRAGMA page_size"),
        "schemaVersion": one("SELECT version FROM schema_version"),
        "compatVersion": compat,
        "pendingBackgroundUpdates": [n for (n,) in connection.execute("SELECT update_name FROM background_updates ORDER BY 1")],
        "domains": [
            {"domain": domain, "users": users}
            for domain, users in connection.execute(
                "SELECT substr(name, instr(name, ':') + 1), count(*) FROM users GROUP BY 1 ORDER BY 2 DESC LIMIT 10"
            )
        ],
        "tables": [{"name": n, "rows": one('SELECT count(*) FROM "%s"' % n.replace('"', '""'))} for n in own],
    }


def digest_of(database, expected_bytes):
    with open(database, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = os.fstat(file.fileno()).st_size
        os.fsync(file.fileno())
    if size != expected_bytes:
        raise Refused("damaged", f"it has {size} bytes and should have {expected_bytes}")
    return {"bytes": size, "sha256": digest}


def main():
    question = json.load(sys.stdin)
    database = question["database"]
    try:
        refuse_foreign_journal(database + "-journal")
        # What SQLite sorts or vacuums is as private as the database.
        os.environ["SQLITE_TMPDIR"] = os.path.dirname(database)
        connection, moving = settle(database, question["walFrames"])
        check(connection)
        facts = describe(connection)
        connection.close()
        answer = {"checked": {**facts, "autoVacuum": moving, **digest_of(database, facts["pages"] * facts["pageBytes"])}}
    except Refused as refusal:
        answer = {"refused": refusal.answer}
    except sqlite3.DatabaseError as error:
        answer = {"refused": {"reason": "damaged", "found": f"SQLite says: {error}"}}
    print(json.dumps(answer))


main()
