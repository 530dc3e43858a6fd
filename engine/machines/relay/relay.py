"""Lets one user of this machine connect to a Unix socket as another one: a server that asks the system who connects sees that other one.

Reads a line of JSON: `target`, the socket; `user`, a name or a number; `place`, a directory that nobody else may write; `port`, for the name
of the socket that is made; `allowed`, the number of the only user who may connect to it. Answers with a line: `socket` and `user`, or
`refused` and why. Ends with its standard input, and leaves nothing behind; what was left by one that was killed the next one removes.

Python 3.6 and newer, its own library alone.
"""
import json
import os
import pwd
import re
import select
import selectors
import signal
import socket
import stat
import struct
import sys
import tempfile

PREFIX = "synapse-migration-relay-"
PIECE = 1 << 18
# Two descriptors each, below the 1024 that a process may have open.
MOST_CONNECTIONS = 400
ANSWER_SECONDS = 15


class Refused(Exception):
    pass


def answer(**what):
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def account_of(user):
    try:
        return pwd.getpwuid(user) if isinstance(user, int) else pwd.getpwnam(user)
    except KeyError:
        if isinstance(user, int):
            # Of a container: the machine itself need not know it.
            return pwd.struct_passwd((str(user), "", user, user, "", "/", ""))
        raise Refused("there is no user %s" % user)


def start_ticks(pid):
    try:
        with open("/proc/%d/stat" % pid, "rb") as file:
            text = file.read()
    except OSError:
        return None
    return text[text.rindex(b")") + 2:].split(b" ")[19].decode("ascii")


def remove(directory):
    try:
        for name in os.listdir(directory):
            os.unlink(os.path.join(directory, name))
        os.rmdir(directory)
    except OSError:
        pass


def remove_abandoned(place):
    for name in os.listdir(place):
        found = re.match(re.escape(PREFIX) + r"(\d+)-(\d+)-", name)
        if found is None or start_ticks(int(found.group(1))) == found.group(2):
            continue
        path = os.path.join(place, name)
        if stat.S_ISDIR(os.lstat(path).st_mode):
            remove(path)


def private_directory(place):
    """Of this process, which is told from a later one with its number by when it started."""
    if os.stat(place).st_mode & stat.S_IWOTH:
        raise Refused("%s may be written by everybody" % place)
    remove_abandoned(place)
    return tempfile.mkdtemp(prefix="%s%d-%s-" % (PREFIX, os.getpid(), start_ticks(os.getpid())), dir=place)


def listening(directory, port, allowed):
    path = os.path.join(directory, ".s.PGSQL.%d" % port)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(path)
    finally:
        os.umask(before)
    if allowed != os.geteuid():
        os.chown(path, allowed, -1)
        os.chown(directory, allowed, -1)
    listener.listen(128)
    listener.setblocking(False)
    return listener, path


def become(account):
    if account.pw_uid == os.geteuid():
        return
    # All of them for good: what relays is given no way back.
    os.initgroups(account.pw_name, account.pw_gid)
    os.setresgid(account.pw_gid, account.pw_gid, account.pw_gid)
    os.setresuid(account.pw_uid, account.pw_uid, account.pw_uid)


def connected(target):
    end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Waits where the server has not taken up those before it, and all others with it: what is not blocking would be refused then.
        end.connect(target)
        end.setblocking(False)
        return end
    except OSError:
        end.close()
        raise


class Flow:
    """One direction of a connection. Holds a piece at most: what is not taken from it is not read."""

    def __init__(self, source, sink):
        self.source, self.sink = source, sink
        self.held = memoryview(b"")
        self.ended = self.closed = False

    def wants_more(self):
        return not self.ended and not self.held

    def read(self):
        try:
            data = self.source.recv(PIECE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self.ended = not data
        self.held = memoryview(data)
        self.write()

    def write(self):
        try:
            while self.held:
                self.held = self.held[self.sink.send(self.held):]
        except BlockingIOError:
            return
        except OSError:
            # Nobody is there to take it; what comes the other way may still be underway.
            self.held, self.ended = memoryview(b""), True
        if self.ended and not self.closed:
            self.closed = True
            try:
                self.sink.shutdown(socket.SHUT_WR)
            except OSError:
                pass


class Relay:
    def __init__(self, listener, target, allowed, alive):
        self.listener, self.target, self.allowed, self.alive = listener, target, allowed, alive
        self.selector = selectors.DefaultSelector()
        self.connections = 0
        self.selector.register(alive, selectors.EVENT_READ)
        self.selector.register(listener, selectors.EVENT_READ)

    def serve(self):
        while True:
            for key, events in self.selector.select():
                if key.fileobj is self.alive:
                    return
                if key.fileobj is self.listener:
                    self.accept()
                elif key.data is not None:
                    self.pump(key.data, events, key.fileobj)

    def accept(self):
        try:
            near, _ = self.listener.accept()
        except OSError:
            return
        _, uid, _ = struct.unpack("3i", near.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
        if uid != self.allowed:
            near.close()
            return
        try:
            far = connected(self.target)
        except OSError:
            near.close()
            return
        near.setblocking(False)
        self.connections += 1
        if self.connections == MOST_CONNECTIONS:
            self.selector.unregister(self.listener)
        self.watch((Flow(near, far), Flow(far, near)))

    def pump(self, flows, events, end):
        there, back = flows
        if there.closed and back.closed:
            # The other end of a connection that was closed in this very round.
            return
        reading, writing = (there, back) if there.source is end else (back, there)
        if events & selectors.EVENT_WRITE and writing.held:
            writing.write()
        if events & selectors.EVENT_READ and reading.wants_more():
            reading.read()
        self.watch(flows)

    def watch(self, flows):
        there, back = flows
        over = there.closed and back.closed
        for reading, writing in ((there, back), (back, there)):
            end = reading.source
            wanted = 0 if over else (selectors.EVENT_READ if reading.wants_more() else 0) | (
                selectors.EVENT_WRITE if writing.held else 0)
            known = self.selector.get_map().get(end)
            if known is None and wanted:
                self.selector.register(end, wanted, flows)
            elif known is not None and not wanted:
                self.selector.unregister(end)
            elif known is not None and known.events != wanted:
                self.selector.modify(end, wanted, flows)
        if over:
            there.source.close()
            back.source.close()
            self.connections -= 1
            if self.connections == MOST_CONNECTIONS - 1:
                self.selector.register(self.listener, selectors.EVENT_READ)


def relaying(account, spec, listener, alive, told):
    """In a process of its own, as that user; ends with whoever started it."""
    nothing = os.open("/dev/null", os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    target = spec["target"]
    try:
        if target.startswith("/proc/"):
            # Into a container by one of its processes, which the other user may not look at.
            os.chdir(os.path.dirname(target))
            target = os.path.basename(target)
        become(account)
        connected(target).close()
    except OSError as error:
        os.write(told, ("%s: %s" % (spec["target"], error.strerror)).encode("utf-8"))
        return
    os.write(told, b"ready")
    Relay(listener, target, spec["allowed"], alive).serve()


def started(account, spec, listener):
    """The process, and what ends with it."""
    alive, ours = os.pipe()
    ready, told = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.close(ours)
            os.close(ready)
            relaying(account, spec, listener, alive, told)
        finally:
            os._exit(0)
    os.close(alive)
    os.close(told)
    listener.close()
    return child, ready


def main():
    spec = json.loads(sys.stdin.buffer.readline().decode("utf-8"))
    directory = child = None
    try:
        account = account_of(spec["user"])
        if os.geteuid() not in (0, account.pw_uid):
            raise Refused("only root may do that as another user")
        directory = private_directory(spec["place"])
        listener, path = listening(directory, spec["port"], spec["allowed"])
        child, ready = started(account, spec, listener)
        waited, _, _ = select.select([ready], [], [], ANSWER_SECONDS)
        said = os.read(ready, 4096).decode("utf-8") if waited else "no answer within %d s" % ANSWER_SECONDS
        if said != "ready":
            raise Refused(said or "the relay has ended")
        answer(socket=path, user=account.pw_name)
        select.select([sys.stdin.buffer, ready], [], [])
    except Refused as error:
        answer(refused=str(error))
    except OSError as error:
        answer(refused="%s: %s" % (error.filename or spec["place"], error.strerror))
    finally:
        if child is not None:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        if directory is not None:
            remove(directory)


# By sys.exit, so that nothing is left behind.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
main()
