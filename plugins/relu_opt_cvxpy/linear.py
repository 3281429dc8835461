"""Linear programs, also with integers, and quadratic programs in cvxpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from relu_opt.arrays import BoolArray, FloatArray, IntArray
from relu_opt.program.linear import LinearProgram, QuadraticProgram
from relu_opt_cvxpy.settings import library


@dataclass(frozen=True, eq=False)
class LinearModel:
    """A linear or quadratic program in cvxpy.

    Attributes
    ----------
    parts : list of (index array, variable)
        Which variables of the program a cvxpy variable holds: those that have to be integers,
        and the others.
    rows : list of (boolean array, sign, constraint)
        Which rows a constraint holds, and the sign of its multipliers: −1 for lower bounds.
    """

    program: LinearProgram | QuadraticProgram
    problem: Any
    parts: list[tuple[IntArray, Any]]
    rows: list[tuple[BoolArray, float, Any]]

    @classmethod
    def of(cls, program: LinearProgram | QuadraticProgram) -> LinearModel:
        """Model a program.

        Raises
        ------
        DataError
            If P is not positive semidefinite.
        """
        cp = library()
        whole = np.zeros(program.columns, dtype=np.bool_)
        if isinstance(program, LinearProgram) and program.integrality is not None:
            whole = program.integrality
        parts = _variables(program, whole)
        A, lower, upper = program.A.tocsr(), program.row_lower, program.row_upper

        def product(which: BoolArray) -> Any:
            return sum(A[which][:, columns] @ x for columns, x in parts)

        equal = lower == upper
        above, below = np.isfinite(upper) & ~equal, np.isfinite(lower) & ~equal
        rows: list[tuple[BoolArray, float, Any]] = []
        if equal.any():
            rows.append((equal, 1.0, product(equal) == upper[equal]))
        if above.any():
            rows.append((above, 1.0, product(above) <= upper[above]))
        if below.any():
            rows.append((below, -1.0, product(below) >= lower[below]))
        cost = sum(program.c[columns] @ x for columns, x in parts)
        if isinstance(program, QuadraticProgram) and program.P.nnz:
            (_, x), *_ = parts
            cost = cost + 0.5 * cp.quad_form(x, (program.P + program.P.T) / 2, assume_PSD=True)
        problem = cp.Problem(cp.Minimize(cost), [constraint for _, _, constraint in rows])
        return cls(program, problem, parts, rows)

    def recover(self) -> tuple[FloatArray | None, FloatArray | None]:
        """The solved model's x and y; None where missing."""
        if any(x.value is None for _, x in self.parts):
            return None, None
        point = np.empty(self.program.columns)
        for columns, x in self.parts:
            point[columns] = x.value
        if isinstance(self.program, LinearProgram) and self.program.is_mixed_integer:
            return point, None
        y = np.zeros(self.program.rows)
        for which, sign, constraint in self.rows:
            if constraint.dual_value is None:
                return point, None
            y[which] += sign * constraint.dual_value
        return point, y

    def objective(self) -> float | None:
        """The solver's objective."""
        value = self.problem.value
        if value is None or not np.isfinite(value):
            return None
        return float(value) + self.program.offset


def _variables(
    program: LinearProgram | QuadraticProgram, whole: BoolArray
) -> list[tuple[IntArray, Any]]:
    """cvxpy variables with their bounds, integers apart from the others."""
    cp = library()
    parts = []
    for integer, columns in ((False, np.flatnonzero(~whole)), (True, np.flatnonzero(whole))):
        bounds = [program.lower[columns], program.upper[columns]]
        limits = bounds if np.isfinite(bounds).any() else None
        if len(columns) or not (integer or program.columns):
            x = cp.Variable(len(columns), integer=integer, bounds=limits)
            parts.append((columns, x))
    return parts
