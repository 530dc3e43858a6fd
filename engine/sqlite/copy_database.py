"""Copies the files of an SQLite database that nobody has open: the database, its write-ahead log or its rollback journal.

They are only ever read as plain files: opening them with SQLite, even read-only, would make or change `-shm` and `-wal` beside the source.
What a crashed writer left is brought to an end in the copy: check_database.py.

stdin: {"database": path, "destination": path}. stderr: {"progress": text} a line. stdout: {"refused": {...}} or {"copied": {...}}.
"""
import collections
import fcntl
import hashlib
import json
import math
import os
import stat
import struct
import sys
import time

MAGIC = b"SQLite format 3\0"
# Where SQLite puts its locks (src/os.h): pending, reserved, and 510 bytes for readers. A connection in WAL mode holds one of the latter
# for as long as it is open.
PENDING_BYTE = 0x40000000
LOCKED_BYTES = 512
SIDE_FILES = ("-wal", "-journal")
CHUNK = 4 * 1024 * 1024
HEARTBEAT_SECONDS = 5
KNOWN_MAGIC = {
    b"\x1f\x8b": "gzip data",
    b"PK\x03\x04": "a zip archive",
    b"PGDMP": "an archive of pg_dump",
    b"-----BEGIN PGP": "an armoured OpenPGP message",
    b"\x28\xb5\x2f\xfd": "zstandard data",
    b"\x8c": "an OpenPGP message",
    b"\x85": "an OpenPGP message",
    b"--": "a plain SQL dump",
}


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


def recognise(path, header, size):
    if size == 0:
        raise Refused("notADatabase", "the file is empty")
    if header.startswith(MAGIC):
        return
    for magic, name in KNOWN_MAGIC.items():
        if header.startswith(magic):
            raise Refused("notADatabase", f"it begins like {name}")
    counts = collections.Counter(header)
    entropy = -sum(n / len(header) * math.log2(n / len(header)) for n in counts.values())
    # Random bytes of this length have more than 7.9 bits a byte.
    if len(header) == 4096 and entropy > 7.8:
        raise Refused("encrypted", "it has no SQLite header and looks random, as files of SQLCipher do")
    raise Refused("notADatabase", "it does not begin with an SQLite header")


def refuse_locked(descriptor, path):
    """Whether another process has it open for writing, or at all in WAL mode. Asks without locking."""
    question = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, PENDING_BYTE, LOCKED_BYTES, 0)
    kind, _, _, _, pid = struct.unpack("hhqqi", fcntl.fcntl(descriptor, fcntl.F_GETLK, question))
    if kind != fcntl.F_UNLCK:
        raise Refused("inUse", f"process {pid} ({command_of(pid)}) has {path} open")


def command_of(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read(200).split(b"\0")[0].decode("utf-8", "replace") or "unknown"
    except OSError:
        return "unknown"


def footprint(path, descriptor):
    """What changes when somebody writes: of the database also its change counter."""
    state = [(os.fstat(descriptor).st_size, os.fstat(descriptor).st_mtime_ns, os.pread(descriptor, 100, 0))]
    for suffix in SIDE_FILES:
        try:
            found = os.stat(path + suffix)
            with open(path + suffix, "rb") as file:
                state.append((found.st_ino, found.st_size, found.st_mtime_ns, file.read(32)))
        except FileNotFoundError:
            state.append(None)
    return state


def copy_bytes(source, destination):
    digest, done, heartbeat = hashlib.sha256(), 0, Heartbeat("copying")
    target = os.open(destination, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        while chunk := os.pread(source, CHUNK, done):
            digest.update(chunk)
            view = memoryview(chunk)
            while view:
                view = view[os.write(target, view):]
            done += len(chunk)
            heartbeat()
        os.fsync(target)
    finally:
        os.close(target)
    return {"bytes": done, "sha256": digest.hexdigest()}


def copy_side_file(path, destination):
    try:
        source = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return 0
    try:
        return copy_bytes(source, destination)["bytes"]
    finally:
        os.close(source)


def wal_checksum(data, big_endian):
    first = second = 0
    words = struct.unpack(f"{'>' if big_endian else '<'}{len(data) // 4}I", data)
    for a, b in zip(words[::2], words[1::2]):
        first = (first + a + second) & 0xFFFFFFFF
        second = (second + b + first) & 0xFFFFFFFF
    return first, second


def frames_of_wal(wal, shm):
    """How many frames SQLite must take from the log. Frames of an earlier use of the file have other salts, both of them."""
    with open(wal, "rb") as file:
        header = file.read(32)
        if not header:
            return 0
        damaged = Refused("damaged", "the header of its write-ahead log (-wal) is cut off or altered")
        if len(header) < 32:
            raise damaged
        magic, _, page_size, _, salts = struct.unpack(">IIII8s8x", header)
        if magic & 0xFFFFFFFE != 0x377F0682 or wal_checksum(header[:24], magic & 1) != struct.unpack(">II", header[24:]):
            raise damaged
        last, number = 0, 0
        while len(frame := file.read(24)) == 24:
            number += 1
            if frame[8:12] == salts[:4] or frame[12:16] == salts[4:]:
                last = number
            file.seek(page_size, os.SEEK_CUR)
    try:
        with open(shm, "rb") as file:
            index = file.read(48)
    except FileNotFoundError:
        index = b""
    # The index of a crashed writer still knows how far the log went (wal.c: WalIndexHdr has mxFrame at 16, salts at 32).
    if len(index) == 48 and index[12] == 1 and index[32:40] == salts:
        last = max(last, struct.unpack("=I", index[16:20])[0])
    return last


def copy(database, destination):
    path = os.path.realpath(database)
    # One descriptor for all of it: closing another one of the same file would give up our lock. Not blocking: it may be a pipe.
    try:
        source = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        raise Refused("notADatabase", f"it cannot be opened: {error.strerror}") from None
    try:
        if not stat.S_ISREG(os.fstat(source).st_mode):
            raise Refused("notADatabase", "it is not a regular file")
        size = os.fstat(source).st_size
        recognise(path, os.pread(source, 4096, 0), size)
        refuse_locked(source, path)
        # As any reader: a writer that comes now has to wait, or is noticed by what it changes.
        try:
            fcntl.lockf(source, fcntl.LOCK_SH | fcntl.LOCK_NB, LOCKED_BYTES - 2, PENDING_BYTE + 2, os.SEEK_SET)
        except OSError:
            raise Refused("inUse", f"another process is writing {path}") from None
        before = footprint(path, source)
        needed = size + sum(state[1] for state in before[1:] if state)
        disk = os.statvfs(os.path.dirname(destination))
        if disk.f_bavail * disk.f_frsize < needed:
            raise Refused("noSpace", f"{needed} bytes are needed, {disk.f_bavail * disk.f_frsize} are free")
        copied = copy_bytes(source, destination)
        side = {suffix: copy_side_file(path + suffix, destination + suffix) for suffix in SIDE_FILES}
        frames = frames_of_wal(destination + "-wal", path + "-shm") if side["-wal"] else 0
        if footprint(path, source) != before:
            raise Refused("inUse", f"{path} changed while it was copied")
        refuse_locked(source, path)
    finally:
        os.close(source)
    return {**copied, "walBytes": side["-wal"], "journalBytes": side["-journal"], "walFrames": frames}


def main():
    question = json.load(sys.stdin)
    try:
        answer = {"copied": copy(question["database"], question["destination"])}
    except Refused as refusal:
        answer = {"refused": refusal.answer}
    print(json.dumps(answer))


main()
