"""Programs as MOSEK tasks, and tasks as files."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import coo_array, csc_array, tril

from relu_opt.arrays import FloatArray, IntArray
from relu_opt.errors import DataError, UnsupportedProgram
from relu_opt.io import write_atomically
from relu_opt.plugins.types import Program
from relu_opt.program.conic import Cones, ConicProgram, triangle_size
from relu_opt.program.linear import LinearProgram, QuadraticProgram
from relu_opt_mosek.licence import Fault, library

# What a file name ends in, MOSEK's name of the format, and what the format holds.
FORMATS = {
    ".task": ("task", "every program"),
    ".mps": ("mps", "linear, mixed-integer and quadratic programs"),
    ".lp": ("lp", "linear, mixed-integer and quadratic programs whose rows have one bound"),
    ".cbf": ("cb", "linear, mixed-integer and conic programs"),
    ".ptf": ("ptf", "linear, mixed-integer and conic programs"),
}


def write_task(program: Program, path: str | os.PathLike[str]) -> None:
    """Write a program to a file as MOSEK would get it. Needs MOSEK, but no licence.

    Parameters
    ----------
    program : LinearProgram, QuadraticProgram or ConicProgram
        For a training program: `lower_to_conic(program).program`.
    path : str or path
        What it ends in is the format: `.task` holds every program; `.mps` linear, mixed-integer
        and quadratic ones; `.lp` the same if no row has two different bounds; `.cbf` and `.ptf`
        linear, mixed-integer and conic ones.

    Raises
    ------
    DataError
        If the ending is unknown, the format does not hold this program, or the file cannot be
        written. An earlier file of that name is then untouched.
    UnsupportedProgram
        If the program is of another type.

    Notes
    -----
    HiGHS (1.16) takes an integer variable without a lower bound from the `.mps` file for one with
    the lower bound 0, and says so; the `.cbf` file has no such difference between readers.
    """
    with library().Env() as env, build_task(env, program) as task:
        write_built(task, path)


def write_built(task: Any, path: str | os.PathLike[str]) -> None:
    """Write a task that exists; see `write_task`."""
    mosek, target = library(), Path(path)
    if target.suffix not in FORMATS:
        known = "; ".join(f"{ending} for {what}" for ending, (_, what) in FORMATS.items())
        raise DataError(
            f"{target.name!r} does not say in which format to write. Let it end in one of these: "
            f"{known}.",
            path=str(target),
        )
    for column in range(task.getnumvar()):
        task.putvarname(column, f"x{column}")
    for row in range(task.getnumcon()):
        task.putconname(row, f"r{row}")
    kind, content = FORMATS[target.suffix]
    buffer = io.BytesIO()
    try:
        task.writedatastream(getattr(mosek.dataformat, kind), mosek.compresstype.none, buffer)
    except mosek.MosekException as error:
        fault = Fault.of(error)
        raise DataError(
            f"The program cannot be written to {target}: {fault}. The format {target.suffix} is "
            f"for {content}, and .task for every program.",
            path=str(target),
            code=fault.code,
            name=fault.name,
            words=fault.words,
        ) from error
    write_atomically(target, lambda stream: stream.write(buffer.getvalue()))


def build_task(env: Any, program: Program) -> Any:
    """A task of this program in an environment of MOSEK; a context manager.

    The zero and the nonnegative rows of a conic program become linear rows, the others affine
    conic constraints in the order of `conic_order`.
    """
    task = env.Task()
    if isinstance(program, ConicProgram):
        linear, c = program.cones.zero + program.cones.nonnegative, program.c
        task.appendvars(len(c))
        _put_bounds(task.putvarboundslice, np.full(len(c), -np.inf), np.full(len(c), np.inf))
        lower = np.where(np.arange(linear) < program.cones.zero, program.b[:linear], -np.inf)
        _put_rows(task, program.A[:linear], lower, program.b[:linear])
        _put_cones(task, program)
    elif isinstance(program, LinearProgram | QuadraticProgram):
        c = program.c
        task.appendvars(len(c))
        _put_bounds(task.putvarboundslice, program.lower, program.upper)
        _put_rows(task, program.A, program.row_lower, program.row_upper)
    else:
        raise UnsupportedProgram(
            f"MOSEK takes linear, quadratic and conic programs, and this is a "
            f"{type(program).__name__}. Lower a training program with lower_to_conic.",
            backend="mosek",
            program=type(program).__name__,
        )
    task.putcslice(0, len(c), c)
    task.putcfix(program.offset)
    if isinstance(program, QuadraticProgram):
        half = coo_array(tril(program.P))  # MOSEK completes the other triangle
        task.putqobj(half.row.astype(np.int32), half.col.astype(np.int32), half.data)
    if isinstance(program, LinearProgram) and program.integrality is not None:
        whole = np.flatnonzero(program.integrality)
        kind = library().variabletype.type_int
        task.putvartypelist(whole.astype(np.int32), [kind] * len(whole))
    return task


def conic_order(cones: Cones) -> IntArray:
    """Which rows the entries of MOSEK's affine conic constraints are, in MOSEK's order.

    Ours of an exponential cone are (u, v, w) with v e^(u/v) ≤ w, and MOSEK's (w, v, u). Ours of
    a semidefinite one are the upper triangle column by column, MOSEK's the lower triangle column
    by column, with the same factor √2.
    """
    at = cones.zero + cones.nonnegative
    curved = sum(cones.second_order)
    parts = [np.arange(curved), curved + np.arange(3 * cones.exponential).reshape(-1, 3)[:, ::-1]]
    start = curved + 3 * cones.exponential
    for order in cones.semidefinite:
        row, column = np.triu_indices(order)
        parts.append(start + column * (column + 1) // 2 + row)
        start += triangle_size(order)
    return at + np.concatenate([part.ravel() for part in parts])


def _put_rows(task: Any, A: csc_array, lower: FloatArray, upper: FloatArray) -> None:
    rows, columns = A.shape
    task.appendcons(rows)
    starts = A.indptr.astype(np.int64)
    task.putacolslice(0, columns, starts[:-1], starts[1:], A.indices.astype(np.int32), A.data)
    _put_bounds(task.putconboundslice, lower, upper)


def _put_bounds(put: Callable[..., None], lower: FloatArray, upper: FloatArray) -> None:
    """Bounds of all rows or all variables; MOSEK wants to be told which there are."""
    key = library().boundkey
    keys = (key.fr, key.lo, key.up, key.ra, key.fx)
    below, above = np.isfinite(lower), np.isfinite(upper)
    kinds = np.where(lower == upper, 4, below + 2 * above).tolist()
    lower, upper = np.where(below, lower, 0.0), np.where(above, upper, 0.0)
    put(0, len(kinds), [keys[kind] for kind in kinds], lower, upper)


def _put_cones(task: Any, program: ConicProgram) -> None:
    """F x + g ∈ D with F = −A and g = b, the rows in MOSEK's order."""
    cones, order = program.cones, conic_order(program.cones)
    if not len(order):
        return
    rows = coo_array(-program.A.tocsr()[order])
    task.appendafes(len(order))
    task.putafefentrylist(rows.row.astype(np.int64), rows.col.astype(np.int32), rows.data)
    task.putafegslice(0, len(order), program.b[order])
    # One domain for all cones of the same kind and size.
    ball, exponential = cache(task.appendquadraticconedomain), cache(task.appendprimalexpconedomain)
    semidefinite = cache(task.appendsvecpsdconedomain)
    domains = [ball(size) for size in cones.second_order]
    domains += [exponential() for _ in range(cones.exponential)]
    domains += [semidefinite(triangle_size(size)) for size in cones.semidefinite]
    task.appendaccs(domains, np.arange(len(order)), None)
