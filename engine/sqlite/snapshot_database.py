"""Takes a snapshot of an SQLite database that its homeserver goes on writing to, with SQLite's own backup, which reads as any reader does.

Read by the Python of the machine that the database is on, from its standard input: Python 3.7 or newer, and nothing but its library.

argv: the database, and the copy to make, which must not be there. stdout: {"snapshot": {...}}; {"closed": true} where nobody has the database
open: it is then a plain file, which SQLite must not be asked to open, as that would make files beside it; or {"noSpace": text}.
"""
import json
import os
import sqlite3
import stat
import sys
import urllib.parse

WAL_VERSION = 2
# A homeserver serves from this disk, perhaps: it must not find it full.
LEFT_FREE = 512 * 1024 * 1024


def is_closed(database):
    """A database in WAL mode has its index beside it for as long as anybody has it open."""
    with open(database, "rb") as file:
        header = file.read(20)
    return len(header) == 20 and header[18] == WAL_VERSION and not os.path.exists(database + "-shm")


def lacking_space(database, destination):
    directory = os.path.dirname(os.path.dirname(destination))
    disk = os.statvfs(directory)
    needed, free = os.path.getsize(database) + LEFT_FREE, disk.f_bavail * disk.f_frsize
    return None if free >= needed else "%d bytes are needed in %s, %d are free" % (needed, directory, free)


def private_directory(path):
    """Others may have been there before us, where everybody may make directories: they could put something else in the copy's place."""
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        pass
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        sys.exit(path + " is not a directory of ours alone")


def snapshot(database, destination):
    private_directory(os.path.dirname(destination))
    os.close(os.open(destination, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
    source = sqlite3.connect("file:" + urllib.parse.quote(database) + "?mode=ro", uri=True, timeout=60)
    target = sqlite3.connect(destination)
    try:
        in_wal_mode = source.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        # One read transaction holds up no writer in WAL mode. Without it a writer would wait for the end: pages are then taken few at a time,
        # and all of them anew when somebody has written in between.
        source.backup(target, pages=-1 if in_wal_mode else 1000, sleep=0.05)
        # One plain file, as the copy of one that is closed.
        target.execute("PRAGMA journal_mode = DELETE")
    finally:
        target.close()
        source.close()
    return {"bytes": os.path.getsize(destination)}


def main():
    database, destination = sys.argv[1:3]
    if is_closed(database):
        answer = {"closed": True}
    else:
        lacking = lacking_space(database, destination)
        answer = {"snapshot": snapshot(database, destination)} if lacking is None else {"noSpace": lacking}
    print(json.dumps(answer))


main()
