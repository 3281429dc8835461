"""Small quadratic programs in dense form, in units that suit absolute tolerances."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.linalg import lstsq

from relu_opt.arrays import FloatArray
from relu_opt.program.linear import QuadraticProgram

ROUNDS = 10
# Singular values below this, relative to the largest, are zero: dependent rows, flat directions.
RANK = 1e-12
# The right-hand side is met again after the first solution, which the rank cut off.
REFINEMENTS = 2


@dataclass(frozen=True, eq=False)
class DenseProgram:
    """min ½xᵀPx + cᵀx subject to lower ≤ (x, Ax) ≤ upper, in scaled units.

    Attributes
    ----------
    P, c, A, lower, upper : arrays
        lower and upper (k + m,) bound the variables and then the rows.
    columns, rows : (k,) and (m,) arrays
        In the units of the program, the point is columns · x and the multipliers are rows · y.
    """

    P: FloatArray
    c: FloatArray
    A: FloatArray
    lower: FloatArray
    upper: FloatArray
    columns: FloatArray
    rows: FloatArray

    @classmethod
    def of(cls, program: QuadraticProgram, mean: bool = False) -> Self:
        """Scale columns and rows to size one, then the variables, then the cost.

        The variables get the size of the largest side of a constraint (of the geometric mean of
        all sides with `mean`), or that of the minimum without constraints if it is smaller.
        """
        P, A = program.P.toarray(), program.A.toarray()
        columns, rows = _equilibrated(P, A)
        P, c, A = columns[:, None] * P * columns, columns * program.c, rows[:, None] * A * columns
        lower = np.r_[program.lower / columns, program.row_lower * rows]
        upper = np.r_[program.upper / columns, program.row_upper * rows]
        curved, steep = np.abs(P).max(initial=0.0), np.abs(c).max(initial=0.0)
        size = _size(np.r_[lower, upper], mean)
        free = steep / curved if curved > 0 else 0.0
        unit = _power_of_two(min((each for each in (size, free) if each > 0), default=1.0))
        cost = _power_of_two(1.0 / (max(curved * unit**2, steep * unit) or 1.0))
        return cls(
            cost * unit**2 * P,
            cost * unit * c,
            np.ascontiguousarray(A),
            lower / unit,
            upper / unit,
            unit * columns,
            rows / (cost * unit),
        )

    def exact(self, x: FloatArray, multipliers: FloatArray) -> list[tuple[FloatArray, FloatArray]]:
        """The optimum and its y on the active set of these multipliers (k + m,), near the point.

        Variables with a multiplier are put on their bound; for the others F and the active rows W
        the equations P_F x + c_F + A_FᵀY = 0 and A_W x = b_W are solved with the smallest change,
        so that they may be singular. Empty if something active has no bound.
        """
        k = len(self.c)
        fixed, active = self.lower == self.upper, multipliers != 0
        sides = np.where(multipliers > 0, self.upper, self.lower)
        held = active | fixed
        if not np.isfinite(sides[held]).all():
            return []
        x, y = np.where(held[:k], sides[:k], x), multipliers[k:].copy()
        F, W = np.flatnonzero(~held[:k]), np.flatnonzero(held[k:])
        if len(F) + len(W) == 0:
            return [(x, y)]
        rows = self.A[np.ix_(W, F)]
        system = np.block([[self.P[np.ix_(F, F)], rows.T], [rows, np.zeros((len(W), len(W)))]])
        for _ in range(REFINEMENTS):
            gradient = self.P[F] @ x + self.c[F] + self.A[:, F].T @ y
            missing = np.r_[-gradient, sides[k:][W] - self.A[W] @ x]
            change = lstsq(system, missing, RANK, lapack_driver="gelsy", check_finite=False)[0]
            x[F] += change[: len(F)]
            y[W] += change[len(F) :]
        return [(x, y)]


def _equilibrated(P: FloatArray, A: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Powers of two that bring the columns of (L, A), P = LᵀL, and the rows of A to about one."""
    length, size = np.sqrt(np.maximum(np.diagonal(P), 0.0)), np.abs(A)
    columns, rows = np.ones(A.shape[1]), np.ones(A.shape[0])
    for _ in range(ROUNDS):
        largest = (size * columns).max(axis=1, initial=0.0) * rows
        rows /= np.sqrt(np.where(largest > 0, largest, 1.0))
        largest = np.maximum(length, (rows[:, None] * size).max(axis=0, initial=0.0)) * columns
        columns /= np.sqrt(np.where(largest > 0, largest, 1.0))
    return np.exp2(np.rint(np.log2(columns))), np.exp2(np.rint(np.log2(rows)))


def _size(sides: FloatArray, mean: bool) -> float:
    """The largest finite side, or the geometric mean of those that are not 0; 0 without any."""
    sizes = np.abs(sides[np.isfinite(sides) & (sides != 0)])
    if not len(sizes):
        return 0.0
    return float(np.exp(np.log(sizes).mean()) if mean else sizes.max())


def _power_of_two(size: float) -> float:
    return float(np.exp2(np.rint(np.log2(size))))
