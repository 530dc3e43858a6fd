"""What a machine that is reached over ssh is asked: one process there, for as long as a step runs. Nothing is written to it.

Read from standard input, so that nothing of it is on a command line or a disk there. Answers requests until its input ends, and then ends
all that it has started. Frames in both directions: the length of a header in JSON and of bytes that follow it, four bytes each, then both.
Names are text with surrogates for bytes that are no UTF-8 (PEP 383). Python 3.6 and newer, its own library alone.
"""
import errno
import hashlib
import json
import os
import signal
import stat
import struct
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

PIECE = 1 << 20
BATCH = 2000

out = os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)
out_lock = threading.Lock()
walks = {}
walks_lock = threading.Lock()
children = {}
children_lock = threading.Lock()


def send(header, data=b""):
    text = json.dumps(header).encode("ascii")
    with out_lock:
        out.write(struct.pack(">II", len(text), len(data)) + text)
        out.write(data)
        out.flush()


def kind_of(mode):
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "directory"
    return "link" if stat.S_ISLNK(mode) else "other"


def facts(st):
    return {
        "kind": kind_of(st.st_mode),
        "size": st.st_size,
        "mtime": str(st.st_mtime_ns),
        "mode": stat.S_IMODE(st.st_mode),
        "uid": st.st_uid,
        "gid": st.st_gid,
        "blocks": st.st_blocks,
        "links": st.st_nlink,
        "identity": "%d:%d" % (st.st_dev, st.st_ino),
    }


NO_FACTS = {"kind": "other", "size": 0, "mtime": "0", "mode": 0, "uid": 0, "gid": 0, "blocks": 0, "links": 0, "identity": ""}


def if_there(look):
    try:
        return look()
    except (FileNotFoundError, NotADirectoryError):
        return None


def names_in(directory):
    return sorted(os.listdir(os.fsencode(directory)))


def op_stat(path):
    return if_there(lambda: facts(os.stat(path)))


def op_lstat(path):
    return if_there(lambda: facts(os.lstat(path)))


def op_realpath(path):
    return if_there(lambda: real(path))


def real(path):
    found = os.path.realpath(path)
    os.lstat(found)
    return found


def op_list(path):
    return [os.fsdecode(name) for name in names_in(path)]


def op_readlink(path):
    try:
        return if_there(lambda: os.readlink(path))
    except OSError as error:
        if error.errno == errno.EINVAL:
            return None
        raise


def op_links(path):
    found = {}
    for name in os.listdir(path):
        try:
            found[name] = os.readlink(os.path.join(path, name))
        except OSError:
            pass
    return found


def open_regular(path, follow):
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW))
    try:
        st = os.fstat(fd)
        if stat.S_ISDIR(st.st_mode):
            raise OSError(errno.EISDIR, "is a directory", path)
        if not stat.S_ISREG(st.st_mode):
            raise OSError(errno.ENXIO, "not a regular file", path)
        return fd, st
    except BaseException:
        os.close(fd)
        raise


def read_up_to(fd, length):
    parts = []
    while length > 0:
        part = os.read(fd, min(length, PIECE))
        if not part:
            break
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def op_read(path, atMost, follow=True):
    fd, st = open_regular(path, follow)
    try:
        return {"facts": facts(st)}, read_up_to(fd, atMost + 1)
    finally:
        os.close(fd)


def op_pour(path, offset, length):
    """A part of a file, with what is known of the file before it was read and after."""
    fd, before = open_regular(real(path), False)
    try:
        os.lseek(fd, offset, os.SEEK_SET)
        data = read_up_to(fd, length)
        return {"before": facts(before), "after": facts(os.fstat(fd)), "ended": len(data) < length}, data
    finally:
        os.close(fd)


def op_hash(path):
    fd, _ = open_regular(real(path), False)
    try:
        digest, size = hashlib.sha256(), 0
        while True:
            part = os.read(fd, PIECE)
            if not part:
                return {"size": size, "sha256": digest.hexdigest()}
            digest.update(part)
            size += len(part)
    finally:
        os.close(fd)


def entry_at(root, path):
    place = os.path.join(root, path)
    own = None
    try:
        own = os.lstat(place)
        if not stat.S_ISLNK(own.st_mode):
            return {"path": path, "facts": facts(own)}
        to = real(place)
        return {"path": path, "facts": facts(os.stat(to)), "linksTo": to}
    except OSError as error:
        if error.errno == errno.ENOENT and (own is None or not os.path.lexists(place)):
            return None
        known = NO_FACTS if own is None else facts(own)
        return {"path": path, "facts": known, "error": errno.errorcode.get(error.errno, "EIO")}


def walk(root, path, above):
    entry = entry_at(root, path)
    if entry is None:
        return
    found = entry["facts"]
    if "error" in entry or found["kind"] != "directory":
        yield entry
        return
    if found["identity"] in above:
        entry["error"] = "ELOOP"
        yield entry
        return
    try:
        names = op_list(os.path.join(root, path))
    except FileNotFoundError:
        return
    except OSError as error:
        entry["error"] = errno.errorcode.get(error.errno, "EIO")
        yield entry
        return
    yield entry
    for name in names:
        for below in walk(root, name if path == "" else path + "/" + name, above + (found["identity"],)):
            yield below


def op_walk(walk_id, root=None, top=None):
    with walks_lock:
        walking = walks.setdefault(walk_id, walk(root, top, ()) if root is not None else iter(()))
    entries = []
    for entry in walking:
        entries.append(entry)
        if len(entries) == BATCH:
            return {"entries": entries, "ended": False}
    op_endwalk(walk_id)
    return {"entries": entries, "ended": True}


def op_endwalk(walk_id):
    with walks_lock:
        walks.pop(walk_id, None)


def op_write(data, path, mode=None, uid=None, gid=None):
    """Keeps owner and mode of what was there, where none are given."""
    before = if_there(lambda: os.stat(path))
    directory, name = os.path.split(path)
    partial = os.path.join(directory, ".%s.%d.partial" % (name, threading.get_ident()))
    fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view):]
            if uid is not None:
                os.fchown(fd, uid, gid)
            elif before is not None:
                os.fchown(fd, before.st_uid, before.st_gid)
            os.fchmod(fd, mode if mode is not None else 0o600 if before is None else stat.S_IMODE(before.st_mode))
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(partial, path)
    except BaseException:
        os.unlink(partial)
        raise
    held = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(held)
    os.close(held)


def op_remove(path):
    found = if_there(lambda: os.lstat(path))
    if found is not None:
        (os.rmdir if stat.S_ISDIR(found.st_mode) else os.unlink)(path)


def start_ticks(pid):
    with open("/proc/%d/stat" % pid, "rb") as file:
        text = file.read()
    return text[text.rindex(b")") + 2:].split(b" ")[19].decode("ascii")


def op_signal(pid, startTicks, name):
    try:
        # The descriptor stays with this process, whoever gets its number next.
        held = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else None
    except ProcessLookupError:
        return False
    except OSError:
        held = None
    try:
        if start_ticks(pid) != startTicks:
            return False
        number = getattr(signal, name)
        if held is None:
            os.kill(pid, number)
        else:
            signal.pidfd_send_signal(held, number)
        return True
    except (FileNotFoundError, ProcessLookupError):
        return False
    finally:
        if held is not None:
            os.close(held)


def op_run(data, runId, program, args, environment, timeoutSeconds, cwd=None, uid=None, gid=None):
    env = {"PATH": os.environ.get("PATH", os.defpath) + ":/usr/local/sbin:/usr/sbin:/sbin", "HOME": os.environ.get("HOME", "/"),
           "LANG": "C.UTF-8", "TZ": "UTC"}
    env.update(environment)

    def as_user():
        if uid is not None:
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)

    try:
        child = subprocess.Popen(
            [program] + args, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=env, cwd=cwd or "/", preexec_fn=as_user, start_new_session=True)
    except OSError as error:
        return {"ending": "it could not be started: %s" % os.strerror(error.errno or errno.EIO), "lengths": [0, 0]}, b""
    with children_lock:
        children[runId] = child
    ending = None
    try:
        try:
            stdout, stderr = child.communicate(data, timeoutSeconds)
        except subprocess.TimeoutExpired:
            end(child)
            stdout, stderr = child.communicate()
            ending = "it was still running after %d s and was killed" % timeoutSeconds
    finally:
        with children_lock:
            children.pop(runId, None)
    if ending is None and child.returncode < 0:
        ending = "it was killed by signal %d" % -child.returncode
    if ending is None and child.returncode > 0:
        ending = "it ended with exit code %d" % child.returncode
    return {"ending": ending, "lengths": [len(stdout), len(stderr)]}, stdout + stderr


def end(child):
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def op_endrun(runId):
    with children_lock:
        child = children.get(runId)
    if child is not None:
        end(child)


def op_hello():
    return {"python": "%d.%d.%d" % sys.version_info[:3], "uid": os.geteuid()}


WITH_DATA = {"write", "run"}
OPS = {name[3:]: work for name, work in list(globals().items()) if name.startswith("op_")}


def answer(request, data):
    number = request["id"]
    try:
        op = request["op"]
        given = (data,) if op in WITH_DATA else ()
        result = OPS[op](*given, **request["args"])
        value, content = result if isinstance(result, tuple) else (result, b"")
        send({"id": number, "value": value}, content)
    except OSError as error:
        code = errno.errorcode.get(error.errno, "EIO") if error.errno else "EIO"
        send({"id": number, "code": code, "message": error.strerror or str(error)})
    except BaseException as error:
        send({"id": number, "code": "EPROTO", "message": "%s: %s" % (type(error).__name__, error)})


def exactly(length):
    parts = []
    while length > 0:
        part = sys.stdin.buffer.read(length)
        if not part:
            return None
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def serve():
    # Hashing and reading do not hold the interpreter's lock; programs wait in threads of their own.
    quick, slow = ThreadPoolExecutor(max_workers=8), ThreadPoolExecutor(max_workers=64)
    while True:
        lengths = exactly(8)
        if lengths is None:
            break
        header, data = struct.unpack(">II", lengths)
        text, content = exactly(header), exactly(data)
        if text is None or content is None:
            break
        request = json.loads(text.decode("utf-8"))
        (slow if request["op"] == "run" else quick).submit(answer, request, content)
    with children_lock:
        for child in children.values():
            end(child)
    os._exit(0)


serve()
