"""Linear programs with known answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from relu_opt.program.linear import LinearProgram
from relu_opt.testing.named import named

INF = np.inf


def lp_unique() -> LinearProgram:
    """A textbook program, to be maximised there: a wrong sign of the cost or the rows."""
    return LinearProgram(
        c=np.array([-3.0, -5.0]),
        A=np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 2.0]]),
        row_upper=np.array([4.0, 12.0, 18.0]),
        lower=np.array(0.0),
    )


def lp_nonunique() -> LinearProgram:
    """A whole edge is optimal: a claim about a point that is not unique."""
    return LinearProgram(
        c=np.array([1.0, 1.0]),
        A=np.array([[1.0, 1.0], [1.0, -1.0]]),
        row_lower=np.array([1.0, -3.0]),
        row_upper=np.array([INF, 3.0]),
        lower=np.array(0.0),
    )


def lp_degenerate() -> LinearProgram:
    """Beale's example, on which the simplex method cycles if it breaks ties naively."""
    return LinearProgram(
        c=np.array([-0.75, 150.0, -0.02, 6.0]),
        A=np.array([[0.25, -60.0, -0.04, 9.0], [0.5, -90.0, -0.02, 3.0], [0.0, 0.0, 1.0, 0.0]]),
        row_upper=np.array([0.0, 0.0, 1.0]),
        lower=np.array(0.0),
    )


def lp_infeasible() -> LinearProgram:
    """Two rows exclude each other: an answer where there is none."""
    return LinearProgram(
        c=np.array([1.0, 2.0]),
        A=np.array([[1.0, 1.0], [1.0, 1.0]]),
        row_lower=np.array([-INF, 2.0]),
        row_upper=np.array([1.0, INF]),
        lower=np.array(0.0),
    )


def lp_infeasible_equations() -> LinearProgram:
    """Equations in free variables that contradict each other: presolve alone may see it."""
    return LinearProgram(
        c=np.array([1.0, -1.0, 0.5]),
        A=np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0], [1.0, 2.0, 1.0]]),
        row_lower=np.array([1.0, 1.0, 3.0]),
        row_upper=np.array([1.0, 1.0, 3.0]),
        lower=np.array(-10.0),
        upper=np.array(10.0),
    )


def lp_unbounded() -> LinearProgram:
    """The cost falls along (1, 1): the last iterate handed on as an optimum."""
    return LinearProgram(
        c=np.array([-1.0, -1.0]),
        A=np.array([[1.0, -1.0], [-1.0, 1.0]]),
        row_upper=np.array([1.0, 1.0]),
        lower=np.array(0.0),
    )


# The optimum of `lp_every_sign` and its multipliers, which were chosen first.
EVERY_X = np.array([1.0, -2.0, 3.0, 0.5, -1.0, 2.0, 0.0, 5.0, 2.0, -3.0])
EVERY_Y = np.array([2.0, -3.0, 1.0, -2.0, 4.0, -1.0, 0.0])
EVERY_Z = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -2.0, 3.0, 1.5, -1.0])
EVERY_ROWS = np.array(
    [
        [2.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, -1.0, 0.0],
        [-1.0, 3.0, 1.0, 0.0, 0.0, 0.0, 0.0, 2.0, 0.0, 1.0],
        [0.0, 1.0, 2.0, -1.0, 0.0, 0.0, 1.0, -1.0, 0.0, 0.0],
        [0.0, 0.0, 1.0, 4.0, 1.0, 0.0, 0.0, 0.0, 2.0, 1.0],
        [1.0, 0.0, 0.0, -1.0, 2.0, 1.0, 0.0, 1.0, 0.0, 0.0],
        [0.0, 0.0, 0.0, 0.0, 1.0, -3.0, 2.0, 0.0, 0.0, 1.0],
        [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0],
    ]
)


def lp_every_sign() -> LinearProgram:
    """Equations, ranges, free and fixed variables, an offset, and multipliers of every sign."""
    sides = EVERY_ROWS @ EVERY_X
    return LinearProgram(
        c=-EVERY_ROWS.T @ EVERY_Y - EVERY_Z,
        A=EVERY_ROWS.copy(),
        # Two equations, an upper bound, a lower bound, a range above, one below, an idle one.
        row_lower=sides - np.array([0.0, 0.0, INF, 0.0, 4.0, 0.0, 2.0]),
        row_upper=sides + np.array([0.0, 0.0, 0.0, INF, 0.0, 6.0, 3.0]),
        lower=np.array([-INF, -INF, -9.0, -INF, -9.0, -9.0, 0.0, -INF, 2.0, -3.0]),
        upper=np.array([INF, INF, INF, 9.0, 9.0, INF, INF, 5.0, 2.0, 3.0]),
        offset=7.5,
    )


def lp_scaled() -> LinearProgram:
    """`lp_unique` in units 10⁴ and 10⁻³, with rows from 10⁻² to 10³: absolute tolerances."""
    plain = lp_unique()
    units, rows = np.array([1e4, 1e-3]), np.array([1e-2, 1.0, 1e3])
    return replace(
        plain,
        c=plain.c * units,
        A=rows[:, None] * plain.A.toarray() * units,
        row_upper=plain.row_upper * rows,
    )


def lp_no_rows() -> LinearProgram:
    """Bounds alone: a solver that cannot take an empty matrix, or duals of a wrong shape."""
    return LinearProgram(
        c=np.array([1.0, -2.0, 0.5]),
        lower=np.array([-1.0, -INF, 0.25]),
        upper=np.array([INF, 3.0, 4.0]),
        offset=-1.0,
    )


def lp_redundant() -> LinearProgram:
    """Equations that repeat each other: a normal matrix without an inverse."""
    return LinearProgram(
        c=np.array([1.0, 3.0, 2.0]),
        A=np.array([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [3.0, 2.0, 1.0], [2.0, 2.0, 2.0]]),
        row_lower=np.array([2.0, 1.0, 5.0, 4.0]),
        row_upper=np.array([2.0, 1.0, 5.0, 4.0]),
        lower=np.array(0.0),
    )


def milp_knapsack() -> LinearProgram:
    """A knapsack whose relaxation rounds to something worse: integrality that is ignored."""
    return LinearProgram(
        c=-np.array([24.0, 13.0, 23.0, 15.0, 16.0, 7.0]),
        A=np.array([[12.0, 7.0, 11.0, 8.0, 9.0, 4.0]]),
        row_upper=np.array([26.0]),
        lower=np.array(0.0),
        upper=np.array(1.0),
        integrality=np.ones(6, dtype=bool),
    )


def milp_two_items() -> LinearProgram:
    """A second knapsack of the same size: the answer of an earlier program."""
    return replace(milp_knapsack(), row_upper=np.array([15.0]), offset=100.0)


def milp_infeasible() -> LinearProgram:
    """2x + 2y = 3 has points, and none of integers."""
    return LinearProgram(
        c=np.array([1.0, 1.0]),
        A=np.array([[2.0, 2.0]]),
        row_lower=np.array([3.0]),
        row_upper=np.array([3.0]),
        lower=np.array(0.0),
        upper=np.array(5.0),
        integrality=np.array([True, True]),
    )


def milp_infeasible_ray() -> LinearProgram:
    """`milp_infeasible` beside a variable whose cost falls without end."""
    return LinearProgram(
        c=np.array([0.0, 0.0, -1.0]),
        A=np.array([[2.0, 2.0, 0.0]]),
        row_lower=np.array([3.0]),
        row_upper=np.array([3.0]),
        lower=np.array(0.0),
        upper=np.array([5.0, 5.0, INF]),
        integrality=np.array([True, True, False]),
    )


def milp_unbounded() -> LinearProgram:
    """Integers without a bound, and a cost that falls along (1, 0)."""
    return LinearProgram(
        c=np.array([-1.0, 1.0]),
        A=np.array([[1.0, -1.0]]),
        row_lower=np.array([-1.0]),
        lower=np.array(0.0),
        integrality=np.array([True, True]),
    )


def milp_negative() -> LinearProgram:
    """General integers below zero: binaries assumed, or rounding towards zero."""
    return LinearProgram(
        c=np.array([2.0, 3.0]),
        A=np.array([[3.0, 2.0], [1.0, 4.0]]),
        row_lower=np.array([-11.5, -13.5]),
        lower=np.array(-6.0),
        upper=np.array(6.0),
        integrality=np.array([True, True]),
    )


def milp_mixed() -> LinearProgram:
    """Integers beside continuous variables, with a range and an offset: x = (2, 1.25, 1)."""
    return LinearProgram(
        c=np.array([-4.0, -3.0, -1.0]),
        A=np.array([[2.0, 2.0, 0.5], [1.0, 0.0, 1.0]]),
        row_lower=np.array([-1.0, 1.0]),
        row_upper=np.array([7.0, 3.5]),
        lower=np.array(0.0),
        upper=np.array([2.5, INF, 1.75]),
        integrality=np.array([True, False, True]),
        offset=3.0,
    )


LINEAR_PROGRAMS = (
    named(lp_unique, LinearProgram, -36.0, [2, 6]),
    named(lp_nonunique, LinearProgram, 1.0),
    named(lp_degenerate, LinearProgram, -0.05, [0.04, 0, 1, 0]),
    named(lp_infeasible, LinearProgram, outcome="infeasible"),
    named(lp_infeasible_equations, LinearProgram, outcome="infeasible"),
    named(lp_unbounded, LinearProgram, outcome="unbounded"),
    named(lp_every_sign, LinearProgram, -21.0, EVERY_X),
    named(lp_scaled, LinearProgram, -36.0, [2e-4, 6e3]),
    named(lp_no_rows, LinearProgram, -7.875, [-1, 3, 0.25]),
    named(lp_redundant, LinearProgram, 2.5, [1.5, 0, 0.5]),
    named(milp_knapsack, LinearProgram, -51.0, [0, 1, 1, 1, 0, 0]),
    named(milp_two_items, LinearProgram, 70.0, [0, 0, 1, 0, 0, 1]),
    named(milp_infeasible, LinearProgram, outcome="infeasible"),
    named(milp_infeasible_ray, LinearProgram, outcome="infeasible"),
    named(milp_unbounded, LinearProgram, outcome="unbounded"),
    named(milp_negative, LinearProgram, -11.0, [-1, -3]),
    named(milp_mixed, LinearProgram, -9.75, [2, 1.25, 1]),
)
