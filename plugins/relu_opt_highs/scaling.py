r"""A quadratic program in units in which HiGHS' absolute tolerances make sense.

    x = size·D x',   A' = R A D,   P' = D P D/w,   c' = Dc/(w·size),   y = w·size·R y'

w is a typical entry of P's diagonal, D makes the diagonal of P' one, R the largest entry of each
row. All are powers of two, so nothing is rounded. HiGHS fails at some programs where x' is small
or large; which, no rule foretells, so there are several sizes to try.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csc_array

from relu_opt.arrays import FloatArray
from relu_opt.program.linear import QuadraticProgram

FACTORS = (1.0, 1 / 16, 4.0)
# Bounds so much farther away than the program has to reach are there for form's sake.
FAR = 1e4
# What is in the units of x.
NUMBERS = ("c", "lower", "upper", "row_lower", "row_upper")


@dataclass(frozen=True, eq=False)
class Scaled:
    """The program in its own units, and the way back.

    Attributes
    ----------
    source, program : QuadraticProgram
        The second has a row without bounds if the source has none: without rows, HiGHS (1.10 to
        1.16 at least) calls many programs unbounded that are bounded.
    columns : (k,) array
        size·D.
    rows : (m,) array
        w·size·R.
    """

    source: QuadraticProgram
    program: QuadraticProgram
    columns: FloatArray
    rows: FloatArray

    @classmethod
    def of(cls, source: QuadraticProgram) -> Scaled:
        """Scale a program, with size 1."""
        D, R, weight = _factors(source)
        A, none = _times(R, source.A, D), np.empty(0)
        if not source.rows:
            A = csc_array(([1.0], ([0], [0])), shape=(1, source.columns))
            none = np.full(1, np.inf)
        program = QuadraticProgram(
            P=_times(D, source.P, D / weight),
            c=D * source.c / weight,
            A=A,
            row_lower=np.append(R * source.row_lower, -none),
            row_upper=np.append(R * source.row_upper, none),
            lower=source.lower / D,
            upper=source.upper / D,
        )
        return cls(source, program, D, weight * R)

    def shrunk(self, size: float) -> Scaled:
        """The same with x' and y' divided by `size`."""
        if size == 1:
            return self
        numbers = {name: getattr(self.program, name) / size for name in NUMBERS}
        program = replace(self.program, **numbers)
        return Scaled(self.source, program, size * self.columns, size * self.rows)

    def likely_sizes(self) -> tuple[float, ...]:
        """Sizes to try: a typical number of the program, and others around it."""
        program = self.program
        sides = (program.lower, program.upper), (program.row_lower, program.row_upper)
        reach = max(np.abs(program.c).max(initial=0.0), *(_distance(*side) for side in sides))
        numbers = np.abs(np.concatenate([program.c, *sides[0], *sides[1]]))
        typical = _typical(numbers[(numbers > 0) & (numbers <= FAR * reach)])
        return tuple(factor * typical for factor in FACTORS)

    def recover(self, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        """x and y of the source; x within its bounds."""
        point = np.clip(self.columns * x, self.source.lower, self.source.upper)
        return point, self.rows * y[: len(self.rows)]


def _factors(source: QuadraticProgram) -> tuple[FloatArray, FloatArray, float]:
    """D, R and w."""
    diagonal, A = source.P.diagonal(), source.A
    weight = _typical(diagonal[diagonal > 0])
    # Variables without curvature are measured by their rows, if they are in any.
    reach = abs(A).max(axis=0).toarray().ravel() if A.nnz else np.zeros(source.columns)
    reach = np.where(diagonal > 0, np.sqrt(np.maximum(diagonal, 0.0) / weight), reach)
    D = _power_of_two(1.0 / np.where(reach > 0, reach, 1.0))
    A = _times(np.ones(source.rows), A, D)
    height = abs(A).max(axis=1).toarray().ravel() if A.nnz else np.zeros(source.rows)
    return D, _power_of_two(1.0 / np.where(height > 0, height, 1.0)), weight


def _times(rows: FloatArray, matrix: csc_array, columns: FloatArray) -> csc_array:
    """diag(rows) · matrix · diag(columns)."""
    factors = rows[matrix.indices] * np.repeat(columns, np.diff(matrix.indptr))
    return csc_array((factors * matrix.data, matrix.indices, matrix.indptr), shape=matrix.shape)


def _power_of_two(values: ArrayLike) -> FloatArray:
    return np.asarray(np.exp2(np.rint(np.log2(values))))


def _typical(values: FloatArray) -> float:
    """The geometric mean, about."""
    return float(_power_of_two(np.exp(np.log(values).mean()))) if values.size else 1.0


def _distance(lower: FloatArray, upper: FloatArray) -> float:
    """How far the bounds keep some entry from zero."""
    return float(np.maximum(np.maximum(lower, -upper), 0.0).max(initial=0.0))
