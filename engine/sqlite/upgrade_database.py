"""Runs Synapse's own `update_synapse_database` and ends when it ends: by itself it waits for ever after a background update that fails.

Arguments are those of `update_synapse_database`. stdout: {"error": text or null}.
"""
import json
import logging
import os
import sys

out = sys.stdout
failures = []


def first_line(error):
    return (str(error).strip().splitlines() or [""])[0]


class Failures(logging.Handler):
    """Remembers the errors of background updates; the last one ends the process of them, and so this one."""

    def emit(self, record):
        if record.levelno < logging.ERROR or not record.exc_info or record.exc_info[1] is None:
            return
        error = record.exc_info[1]
        failures.append(f"{type(error).__name__}: {first_line(error)}")
        if "threw an exception" in str(record.msg):
            finish()


def finish():
    print(json.dumps({"error": "; ".join(dict.fromkeys(failures[-3:]))[:500] if failures else None}), file=out, flush=True)
    # Threads of Synapse may be left over.
    os._exit(0)


def main():
    logging.getLogger().addHandler(Failures())
    sys.stdout = sys.stderr = open(os.devnull, "w")
    try:
        from synapse._scripts import update_synapse_database

        update_synapse_database.main()
        failures.clear()
    except SystemExit as end:
        failures.append(f"it ended with exit code {end.code}")
    except Exception as error:
        failures.append(f"{type(error).__name__}: {first_line(error)}")
    finish()


main()
