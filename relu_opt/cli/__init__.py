"""The `relu-opt` command."""

from __future__ import annotations

import sys
from collections.abc import Sequence

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
        0 done (and certified, where that is the question), 1 not certified, 2 an error, 130
        interrupted.
    """
    import typer

    from relu_opt.cli.app import UsageError, app
    from relu_opt.cli.output import report_error

    argv = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in argv
    code = ERROR
    try:
        code = int(app(argv, prog_name="relu-opt", standalone_mode=False) or 0)
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
    if code == INTERRUPTED:
        sys.stderr.write("Interrupted.\n")
    return code
