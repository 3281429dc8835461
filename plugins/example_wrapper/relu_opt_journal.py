"""A plugin that wraps every solve of every backend: it keeps a journal, one JSON line a solve.

The file is named by the environment variable RELU_OPT_JOURNAL; without it nothing is written.
"""

import json
import os
import time
from datetime import UTC, datetime

from relu_opt.plugins import hookimpl


@hookimpl(wrapper=True)
def relu_opt_solve(backend, program, options):
    """Let the backend solve, and note what came of it, also when it raised."""
    started = time.perf_counter()
    line = {"backend": backend.name, "program": type(program).__name__}
    try:
        raw = yield
    except Exception as error:
        line |= {"error": type(error).__name__}
        raise
    else:
        line |= {"stop": raw.stop.value, "objective": raw.objective}
        return raw
    finally:
        write(line | {"tol": options.tol, "seconds": time.perf_counter() - started})


def write(line):
    """Append a line to the journal."""
    name = os.environ.get("RELU_OPT_JOURNAL")
    if name:
        line["time"] = datetime.now(UTC).isoformat(timespec="seconds")
        with open(name, "a", encoding="utf-8") as journal:
            journal.write(json.dumps(line) + "\n")
