"""What a solve prints, and which arrays it changes."""

from __future__ import annotations

import ctypes
import io
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, fields

import numpy as np
from scipy.sparse import csc_array

from relu_opt.plugins.types import Program
from relu_opt.program.patterns import Patterns


@dataclass
class Output:
    """What was printed; complete when the context of `captured` is left."""

    text: str = ""


@contextmanager
def captured() -> Iterator[Output]:
    """Catch what is written to file descriptors 1 and 2, to `sys.stdout` and as warnings."""
    output, python = Output(), io.StringIO()
    with tempfile.TemporaryFile() as file, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        _flush()
        kept = [os.dup(1), os.dup(2)]
        try:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
            with redirect_stdout(python), redirect_stderr(python):
                yield output
        finally:
            _flush()
            for descriptor, copy in enumerate(kept, start=1):
                os.dup2(copy, descriptor)
                os.close(copy)
        file.seek(0)
        said = [str(warning.message) for warning in warned]
        output.text = "\n".join([file.read().decode(errors="replace"), python.getvalue(), *said])
        output.text = output.text.strip()


def _flush() -> None:
    """Write out Python's buffers and those of C, which solvers print to."""
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name == "posix":
        ctypes.CDLL(None).fflush(None)


def arrays_of(program: Program) -> dict[str, np.ndarray]:
    """The arrays that a program consists of, by name."""
    found: dict[str, np.ndarray] = {}
    for field in fields(program):
        value = getattr(program, field.name)
        if isinstance(value, np.ndarray):
            found[field.name] = value
        elif isinstance(value, csc_array):
            for part in ("data", "indices", "indptr"):
                found[f"{field.name}.{part}"] = getattr(value, part)
        elif isinstance(value, Patterns):
            found["patterns.packed"] = value.packed
            if value.gates is not None:
                found["patterns.gates"] = value.gates
    return found


def copies(program: Program) -> dict[str, np.ndarray]:
    """Copies of the arrays of a program."""
    return {name: array.copy() for name, array in arrays_of(program).items()}


def changes(program: Program, before: dict[str, np.ndarray]) -> list[str]:
    """The names of the arrays that are no longer what they were."""
    now = arrays_of(program)
    return [name for name in before if not np.array_equal(before[name], now[name])]
