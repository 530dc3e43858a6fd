"""Runs Synapse's own `synapse_port_db` and says in JSON what it does and how it ends, without the rows that it would print.

Two things differ from running it by hand. NULL in a boolean column stays NULL: the script would make it false, which switches off every
pusher made before Synapse 1.68 and withdraws the approval of old accounts (both columns mean true where they are NULL). And what it logs
does not leave this process: it prints rows that it drops, and PostgreSQL's errors quote rows.

Arguments are those of `synapse_port_db`. stderr: {"progress": text} a line. stdout: {"error": text or null, "dropped": [...]}.
"""
import collections
import io
import json
import logging
import os
import sys
import time

PROGRESS_SECONDS = 2
out, err = sys.stdout, sys.stderr


class Progress(io.TextIOBase):
    """Takes what the script prints; passes on stages, and the state of a table every few seconds."""

    def __init__(self):
        self.last, self.rest = 0.0, ""

    def write(self, text):
        *lines, self.rest = (self.rest + text).split("\n")
        for line in lines:
            if line.endswith("...") or time.monotonic() - self.last >= PROGRESS_SECONDS:
                self.last = time.monotonic()
                print(json.dumps({"progress": line}), file=err, flush=True)
        return len(text)


class Dropped(logging.Handler):
    """Counts rows that the script leaves out, and remembers the table that it failed at."""

    def __init__(self):
        super().__init__()
        self.rows = collections.Counter()
        self.failed = None

    def emit(self, record):
        if record.msg == "Failed to insert: %s":
            self.failed = self.failed or record.args[0]
        if record.msg.startswith("DROPPING ROW: NUL value"):
            self.rows[(record.args[0], record.args[1])] += 1
        elif record.msg.startswith("dropping search row"):
            self.rows[("event_search", "value")] += 1


def first_line(error):
    """Of PostgreSQL's errors the lines after the first quote rows."""
    return str(error).strip().split("\n")[0][:500]


def cause(info):
    """The error at the bottom of those of Twisted."""
    if info is None:
        return None
    error = info[1]
    while hasattr(error, "subFailure"):
        error = error.subFailure.value
    return f"{type(error).__name__}: {first_line(error)}"


def main():
    # Takes the place of the handler that the script's logging.basicConfig would make.
    dropped = Dropped()
    logging.getLogger().addHandler(dropped)
    sys.stdout, sys.stderr = Progress(), open(os.devnull, "w")
    error = None
    try:
        from synapse._scripts import synapse_port_db

        synapse_port_db.bool = lambda value: None if value is None else bool(value)
        synapse_port_db.main()
        error = synapse_port_db.end_error
    except SystemExit as end:
        error = cause(synapse_port_db.end_error_exec_info) or synapse_port_db.end_error or f"it ended with exit code {end.code}"
    except Exception as failure:
        error = f"{type(failure).__name__}: {first_line(failure)}"
    if error is not None and dropped.failed is not None:
        error = f"inserting into {dropped.failed}: {error}"
    rows = [{"table": table, "column": column, "rows": n} for (table, column), n in sorted(dropped.rows.items())]
    print(json.dumps({"error": None if error is None else first_line(error), "dropped": rows}), file=out, flush=True)
    # Threads of Synapse may be left over.
    os._exit(0)


main()
