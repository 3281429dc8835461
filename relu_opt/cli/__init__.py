"""The `relu-opt` command."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from relu_opt.errors import ReluOptError

ERROR = 2
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Parameters
    ----------
    arguments : sequence of str, optional
        What follows `relu-opt`; the process's own arguments by default.

    Returns
    -------
    int
        0 done (and certified, where that is the question), 1 not certified and nothing else, 2 an
        error of any kind, 130 interrupted.
    """
    import typer

    from relu_opt.cli.app import UsageError, app
    from relu_opt.cli.output import report_error

    argv = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in argv
    code = ERROR
    try:
        _never_fail_to_encode()
        code = int(app(argv, prog_name="relu-opt", standalone_mode=False) or 0)
        sys.stdout.flush()
    except UsageError as error:
        context = getattr(error, "ctx", None)
        where = context.command_path if context else "relu-opt"
        message = f"{error.format_message().rstrip('.')}. See `{where} --help`."
        report_error("UsageError", message, {}, as_json)
    except ReluOptError as error:
        report_error(type(error).__name__, error.message, error.fields, as_json)
    except MemoryError as error:
        message = f"Out of memory ({error or 'no details'}). Use fewer --gates or fewer rows."
        report_error("MemoryError", message, {}, as_json)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except (BrokenPipeError, SystemExit):  # nobody reads on; the libraries below exit with 1
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = ERROR
    except Exception as error:  # noqa: BLE001 - exit code 1 has a meaning of its own
        report_error(type(error).__name__, _fault(error), {}, as_json)
        code = ERROR
    if code == INTERRUPTED:
        sys.stderr.write("Interrupted.\n")
    return code


def _never_fail_to_encode() -> None:
    """Let characters that a terminal cannot show become question marks."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def _fault(error: Exception) -> str:
    """What is said of an exception that nobody foresaw."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"{type(error).__name__}: {error!s:.500}. This is a fault of relu-opt or of a library "
        f"that it uses, at {Path(last.filename).name}, line {last.lineno}. Please report it."
    )
