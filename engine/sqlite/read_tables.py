"""Counts and digests the rows of an SQLite database as they must be found in PostgreSQL after `synapse_port_db`.

A row's text is, for each column in the order given, `<bytes>:<text>` or `-` for NULL, joined by commas; its hash is MD5; a table's digest
are the sums of both halves as signed 64-bit numbers. compare.ts has PostgreSQL make the same.

stdin: {"database": path, "tables": [{"name": text, "columns": [{"name": text, "type": PostgreSQL's name}]}]}, those to be digested.
stderr: {"progress": text} a line. stdout: a line for each table of the database; of one that was not asked for the number of rows alone.
"""
import decimal
import hashlib
import json
import sqlite3
import struct
import sys
import time

HEARTBEAT_SECONDS = 5
INTEGERS = {"smallint", "integer", "bigint"}
# PostgreSQL keeps the search table's text as tsvector, with two columns of the event; an entry without its event has no place there.
SEARCH = (
    "SELECT s.event_id, s.room_id, s.sender, s.key, e.origin_server_ts, e.stream_ordering, s.value"
    " FROM event_search AS s INNER JOIN events AS e ON e.event_id = s.event_id AND e.room_id = s.room_id"
)
SEARCH_VALUE = 6
SEARCH_COLUMNS = ["event_id", "room_id", "sender", "key", "origin_server_ts", "stream_ordering"]


class Text(bytes):
    """A value of type TEXT, as it is stored: BLOBs come as plain bytes."""


def numeric(value):
    return int(decimal.Decimal(repr(value)).quantize(decimal.Decimal(1), rounding=decimal.ROUND_HALF_UP))


def canonical(value, kind):
    """The bytes of PostgreSQL's text of what psycopg2 makes of the value in a column of this type."""
    if kind == "boolean":
        return b"true" if value else b"false"
    if kind == "bytea":
        return bytes(value).hex().encode() if isinstance(value, bytes) else str(value).encode()
    if kind == "double precision" and isinstance(value, (int, float)):
        return struct.pack(">d", value).hex().encode()
    if kind == "real" and isinstance(value, (int, float)):
        return struct.pack(">f", value).hex().encode()
    if kind == "jsonb" and isinstance(value, bytes):
        return jsonb(json.loads(value, parse_float=decimal.Decimal)).encode()
    if isinstance(value, bytes):
        return bytes(value)
    if kind in INTEGERS and isinstance(value, float):
        return str(numeric(value)).encode()
    return repr(value).encode() if isinstance(value, float) else str(value).encode()


def jsonb(value):
    """As PostgreSQL prints jsonb: shorter keys first, numbers in full, a space after each comma and colon."""
    if isinstance(value, dict):
        items = sorted(value.items(), key=lambda item: (len(item[0].encode()), item[0].encode()))
        return "{" + ", ".join(f"{jsonb(key)}: {jsonb(item)}" for key, item in items) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(jsonb(item) for item in value) + "]"
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    return json.dumps(value, ensure_ascii=False)


def row_hash(values):
    texts = [b"-" if text is None else b"%d:%s" % (len(text), text) for text in values]
    digest = hashlib.md5(b",".join(texts), usedforsecurity=False).digest()
    return struct.unpack(">qq", digest)


def tables_of(connection):
    """Name and columns of each table that is not SQLite's own or part of a virtual one."""
    masters = connection.execute("SELECT name, sql LIKE 'CREATE VIRTUAL TABLE%' FROM sqlite_master WHERE type = 'table' ORDER BY name")
    found = [(name.decode(), virtual) for name, virtual in masters]
    parts = tuple(f"{name}_" for name, virtual in found if virtual)
    names = [name for name, _ in found if not name.startswith("sqlite_") and not (parts and name.startswith(parts))]
    return {n: [row[1].decode().lower() for row in connection.execute(f"PRAGMA table_info({quoted(n)})")] for n in names}


def quoted(name):
    return '"%s"' % name.replace('"', '""')


def read(connection, name, own, wanted):
    """Yields None for each row, so that the caller may say how far it is, and the table at last."""
    total = connection.execute(f"SELECT count(*) FROM {quoted(name)}").fetchone()[0]
    if wanted is None:
        yield {"name": name, "total": total}
        return
    search = name == "event_search"
    present = SEARCH_COLUMNS if search else own
    columns = [column for column in wanted if column["name"] in present]
    places = [present.index(column["name"]) for column in columns]
    kinds = [column["type"] for column in columns]
    booleans = {place for place, kind in zip(places, kinds) if kind == "boolean"}
    # As the script looks for NUL: in the text of a search entry, else in every column but those that it takes for booleans.
    texts = [SEARCH_VALUE] if search else [place for place in range(len(present)) if place not in booleans]
    rows = nul = first = second = 0
    for row in connection.execute(SEARCH if search else f"SELECT * FROM {quoted(name)}"):
        yield None
        if any(isinstance(row[place], Text) and b"\0" in row[place] for place in texts):
            nul += 1
            continue
        one, two = row_hash([None if row[p] is None else canonical(row[p], kind) for p, kind in zip(places, kinds)])
        rows, first, second = rows + 1, first + one, second + two
    known = {column["name"] for column in wanted}
    yield {
        **{"name": name, "total": total, "rows": rows, "nul": nul, "orphans": total - rows - nul},
        **{"digest": f"{first}:{second}", "columns": [column["name"] for column in columns]},
        "lost": [] if search else [column for column in own if column not in known],
    }


def main():
    question = json.load(sys.stdin)
    wanted = {table["name"]: table["columns"] for table in question["tables"]}
    connection = sqlite3.connect(f"file:{question['database']}?mode=ro", uri=True)
    connection.text_factory = Text
    last = time.monotonic()
    tables = tables_of(connection)
    for number, (name, own) in enumerate(tables.items()):
        for answer in read(connection, name, own, wanted.get(name)):
            if answer is not None:
                print(json.dumps(answer))
            elif time.monotonic() - last >= HEARTBEAT_SECONDS:
                last = time.monotonic()
                progress = f"reading table {number + 1} of {len(tables)}: {name}"
                print(json.dumps({"progress": progress}), file=sys.stderr, flush=True)


main()
