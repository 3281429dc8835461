"""Conic programs as cvxpy constraints, with the multipliers in the order of the rows."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from scipy.sparse import csc_array

from relu_opt.arrays import FloatArray
from relu_opt.program.conic import ConicProgram, triangle, triangle_size
from relu_opt_cvxpy.settings import library


@dataclass(frozen=True, eq=False)
class ConicModel:
    """A conic program in cvxpy; one constraint a run of cones of one kind and size.

    Attributes
    ----------
    runs : list of (slice, constraint)
        The rows of each constraint.
    """

    program: ConicProgram
    problem: Any
    x: Any
    runs: list[tuple[slice, Any]]

    @classmethod
    def of(cls, program: ConicProgram) -> ConicModel:
        """Model a program."""
        cp = library()
        x = cp.Variable(program.c.size)
        A, b, cones = program.A.tocsr(), program.b, program.cones
        runs: list[tuple[slice, Any]] = []
        at = 0

        def rows(count: int, size: int = 1, entry: int = 0) -> Any:
            """Entry `entry` of each of `count` cones of `size` rows, as b − Ax."""
            which = at + entry + size * np.arange(count)
            return b[which] - A[which] @ x

        if cones.zero:
            # The multiplier of Zero(e) is that of +e, and ours is that of Ax − b.
            runs.append((slice(0, cones.zero), cp.Zero(-rows(cones.zero))))
            at = cones.zero
        if cones.nonnegative:
            runs.append((slice(at, at + cones.nonnegative), cp.NonNeg(rows(cones.nonnegative))))
            at += cones.nonnegative
        for size, same in groupby(cones.second_order):
            count = len(list(same))
            part = slice(at, at + count * size)
            if size == 1:
                runs.append((part, cp.NonNeg(rows(count))))
                at = part.stop
                continue
            inner = at + np.setdiff1d(np.arange(count * size), size * np.arange(count))
            vectors = cp.reshape(b[inner] - A[inner] @ x, (size - 1, count), order="F")
            runs.append((part, cp.SOC(rows(count, size), vectors, axis=0)))
            at = part.stop
        if cones.exponential:
            entries = [rows(cones.exponential, 3, k) for k in range(3)]
            runs.append((slice(at, at + 3 * cones.exponential), cp.ExpCone(*entries)))
            at += 3 * cones.exponential
        for order in cones.semidefinite:
            part = slice(at, at + triangle_size(order))
            full = _full(order)
            matrix = cp.reshape(full @ b[part] - (full @ A[part]) @ x, (order, order), order="F")
            runs.append((part, cp.PSD(matrix)))
            at = part.stop
        problem = cp.Problem(cp.Minimize(program.c @ x), [constraint for _, constraint in runs])
        return cls(program, problem, x, runs)

    def recover(self) -> tuple[FloatArray | None, FloatArray | None]:
        """The solved model's x and z; None where missing."""
        x = self.x.value
        z = np.empty(self.program.b.size)
        for part, constraint in self.runs:
            parts = [variable.value for variable in constraint.dual_variables]
            if any(value is None for value in parts):
                return x, None
            z[part] = _interleaved(parts) if parts[0].ndim < 2 else _folded(parts[0])
        return x, z

    def objective(self) -> float | None:
        """The solver's objective."""
        value = self.problem.value
        if value is None or not np.isfinite(value):
            return None
        return float(value) + self.program.offset


def _full(order: int) -> csc_array:
    """The matrix that takes a scaled triangle to the symmetric matrix, column by column."""
    column, row = np.tril_indices(order)
    entries, scale = np.arange(len(row)), np.where(row == column, 0.5, np.sqrt(0.5))
    rows = np.concatenate([row + order * column, column + order * row])
    shape = (order * order, len(row))
    return csc_array((np.tile(scale, 2), (rows, np.tile(entries, 2))), shape=shape)


def _folded(matrix: FloatArray) -> FloatArray:
    """The scaled triangle of a semidefinite cone's multiplier."""
    return triangle((matrix + matrix.T) / 2)


def _interleaved(parts: list[Any]) -> FloatArray:
    """The multipliers of a constraint, cone by cone: (t, u), (u, v, w), or single rows."""
    columns = [np.asarray(part, dtype=np.float64) for part in parts]
    if len(columns) == 2:
        heads, vectors = columns
        columns = [heads.reshape(1, -1), vectors.reshape(-1, heads.size, order="F")]
    return np.vstack([np.atleast_2d(column) for column in columns]).ravel(order="F")
