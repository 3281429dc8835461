"""What the commands print: rich text for people, one JSON object for programs."""

from __future__ import annotations

import enum
import json
import math
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from relu_opt.config import Settings
from relu_opt.errors import DataError

if TYPE_CHECKING:
    from relu_opt.tabular.standing import Standing

# Where a setting came from that nobody chose.
DEFAULT = "default"
VERDICT_STYLES = {"certified": "bold green", "inconclusive": "bold yellow"}


# Where the commands' own words go while everything else that is printed goes to standard error.
_own: ContextVar[TextIO | None] = ContextVar("own", default=None)


@contextmanager
def own_output() -> Iterator[None]:
    """Keep standard output for what the commands say; plugins and their libraries get the other.

    A library written in C prints past `sys.stdout`, so the file behind it is another too.
    """
    before = sys.stdout
    before.flush()
    stdout = before
    if before is sys.__stdout__ and before is not None:
        stdout = os.fdopen(os.dup(1), "w", encoding=before.encoding, errors="replace")
        os.dup2(2, 1)
    token, sys.stdout = _own.set(stdout), sys.stderr
    try:
        yield
    finally:
        sys.stdout = before
        _own.reset(token)
        if stdout is not before:
            os.dup2(stdout.fileno(), 1)
            stdout.close()


def _standard() -> TextIO:
    return _own.get() or sys.stdout


def out() -> Console:
    """Standard output, made anew so that redirections are honoured."""
    return Console(file=_standard(), highlight=False)


def err() -> Console:
    """Standard error."""
    return Console(stderr=True, highlight=False)


def print_json(content: Mapping[str, Any]) -> None:
    """Write one strict JSON object: NaN and infinities become null."""
    _standard().write(json.dumps(plain(content), allow_nan=False, indent=2) + "\n")


def plain(value: Any) -> Any:
    """The value in JSON's own types."""
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(each) for each in value]
    if isinstance(value, enum.Enum):
        return plain(value.value)
    if hasattr(value, "tolist"):  # numpy arrays and scalars
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    return str(value)


def report_error(kind: str, message: str, fields: Mapping[str, Any], as_json: bool) -> None:
    """Say what went wrong, on standard error, or as a JSON object."""
    if as_json:
        print_json({"error": {**fields, "type": kind, "message": message}})
    else:
        err().print(Text.assemble(("Error: ", "bold red"), message), soft_wrap=True)


def facts(rows: Mapping[str, object]) -> Grid:
    """Names on the left, values on the right."""
    grid = Grid.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in rows.items():
        grid.add_row(name, value if isinstance(value, Text) else Text(str(value)))
    return grid


def verdict_text(verdict: str, tol: float, origin: str = DEFAULT, reason: str = "") -> Text:
    """The verdict in its colour, against what tol (nan: none), who chose it, and the reason."""
    styled = (verdict.replace("_", " "), VERDICT_STYLES.get(verdict, "bold red"))
    chosen = "" if origin == DEFAULT else f" of {'--tol' if origin == 'argument' else origin}"
    against = "" if math.isnan(tol) else f" at tol {tol:g}{chosen}"
    return Text.assemble(styled, against, f". {reason}" if reason else "")


def tol_facts(tol: float, settings: Settings) -> dict[str, Any]:
    """What `--json` says of the tol of a verdict, and where it came from."""
    return {"tol": tol, "tol_from": settings.origins.get("tol", DEFAULT)}


def standing_facts(own: Standing) -> dict[str, Any]:
    """What `--json` says of a model's own network on the data at hand."""
    return {**vars(own), "note": own.note}


def show_note(on_data: Mapping[str, Any]) -> None:
    """Print that the data are not the model's own, if they are not."""
    if on_data["note"]:
        out().print(Text(on_data["note"], style="bold yellow"))


def check_writable(option: str, path: Path | None, *others: Path | None) -> None:
    """Find out before a long computation whether its result can be written.

    Parameters
    ----------
    option : str
        The option that names the file, for the error.
    path : Path or None
        The file; None is always well.
    *others : Path or None
        Files that must not be overwritten by it.

    Raises
    ------
    DataError
        If it is a directory, its folder is missing or not writable, or it is one of `others`.
    """
    if path is None:
        return
    folder = path.parent
    if path.is_dir():
        problem = "it is a directory; name a file"
    elif not folder.is_dir():
        problem = f"there is no folder {folder}; make it first"
    elif not os.access(folder, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        problem = "permission denied"
    elif any(other is not None and path.resolve() == other.resolve() for other in others):
        problem = "another argument names the same file"
    else:
        return
    raise DataError(f"{option} {path} cannot be written: {problem}.", option=option, path=str(path))
