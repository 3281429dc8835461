"""Quadratic programs with known answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from relu_opt.program.linear import QuadraticProgram
from relu_opt.testing.linear_programs import EVERY_X, EVERY_Y, EVERY_Z, lp_every_sign, lp_unique
from relu_opt.testing.named import named

INF = np.inf


def qp_unique() -> QuadraticProgram:
    """A textbook program: a factor ½ too many or too few in the quadratic term."""
    return QuadraticProgram(
        P=2.0 * np.eye(2),
        c=np.array([-2.0, -5.0]),
        A=np.array([[1.0, -2.0], [-1.0, -2.0], [-1.0, 2.0]]),
        row_lower=np.array([-2.0, -6.0, -2.0]),
        lower=np.array(0.0),
        offset=7.25,
    )


def qp_nonunique() -> QuadraticProgram:
    """½(x + y − 1)², flat along a line: a singular P that is factored as if it were not."""
    return QuadraticProgram(
        P=np.ones((2, 2)),
        c=np.array([-1.0, -1.0]),
        A=np.array([[1.0, -1.0]]),
        row_lower=np.array([-4.0]),
        row_upper=np.array([4.0]),
        lower=np.array(0.0),
        offset=1.5,
    )


def qp_far_bound() -> QuadraticProgram:
    """Bounds that hold nothing, of 10⁹: tolerances that are relative to the largest number."""
    return QuadraticProgram(
        P=np.eye(2),
        c=np.zeros(2),
        A=np.array([[1.0, 1.0]]),
        row_lower=np.array([1.0]),
        upper=np.array(1e9),
    )


def qp_weakly_active() -> QuadraticProgram:
    """A constraint that holds with equality and has the multiplier 0: a guess of what binds."""
    return QuadraticProgram(
        P=np.array([[1.0, 0.0], [0.0, 2.0]]),
        c=np.array([-1.0, 2.0]),
        A=np.array([[1.0, 0.0], [1.0, 1.0]]),
        row_upper=np.array([1.0, 5.0]),
        lower=np.array([-INF, -1.0]),
    )


def qp_equations() -> QuadraticProgram:
    """Equations alone, of free variables: one linear system, and multipliers of both signs."""
    return QuadraticProgram(
        P=np.array([[2.0, 1.0, 0.0], [1.0, 2.0, 0.0], [0.0, 0.0, 4.0]]),
        c=np.array([-6.0, -2.0, -7.0]),
        A=np.array([[1.0, 0.0, 1.0], [0.0, 1.0, -1.0]]),
        row_lower=np.array([3.0, 0.0]),
        row_upper=np.array([3.0, 0.0]),
    )


def qp_infeasible() -> QuadraticProgram:
    """Bounds and a row exclude each other: an answer where there is none."""
    return QuadraticProgram(
        P=np.eye(2),
        c=np.array([1.0, 1.0]),
        A=np.array([[1.0, 1.0]]),
        row_lower=np.array([3.0]),
        lower=np.array(0.0),
        upper=np.array(1.0),
    )


def qp_unbounded() -> QuadraticProgram:
    """P is singular and the cost falls along its null space."""
    return QuadraticProgram(
        P=np.array([[1.0, 0.0], [0.0, 0.0]]),
        c=np.array([0.0, -1.0]),
        A=np.array([[1.0, 0.0]]),
        row_upper=np.array([1.0]),
        lower=np.array(0.0),
    )


def qp_scaled() -> QuadraticProgram:
    """`qp_unique` in units 10³ and 10⁻², with rows from 10⁻² to 10²: absolute tolerances."""
    plain = qp_unique()
    units, rows = np.array([1e3, 1e-2]), np.array([1e-2, 1.0, 1e2])
    return replace(
        plain,
        P=units[:, None] * plain.P.toarray() * units,
        c=plain.c * units,
        A=rows[:, None] * plain.A.toarray() * units,
        row_lower=plain.row_lower * rows,
    )


# Neurons as columns; x ≥ 0 with Wx = MASTER_FITS is optimal for slopes ≥ 0, 0 where x > 0.
MASTER_COLUMNS = np.array(
    [
        [1.0, 0.0, 2.0, 1.0, -1.0, 0.0, 3.0, 1.0],
        [0.0, 1.0, 1.0, 1.0, 2.0, -2.0, 0.0, 1.0],
        [1.0, 1.0, 0.0, 2.0, 0.0, 1.0, -1.0, 2.0],
    ]
)
MASTER_X = np.array([1.0, 0.0, 0.5, 0.0, 0.0, 0.0, 0.25, 0.0])
MASTER_SLOPE = np.array([0.0, 0.25, 0.0, 0.5, 1.0, 0.0, 0.0, 2.0])
MASTER_FITS = MASTER_COLUMNS @ MASTER_X


def qp_master() -> QuadraticProgram:
    """P = WᵀW of rank 3 and order 8, x ≥ 0: the programs that column generation asks for."""
    W = MASTER_COLUMNS
    return QuadraticProgram(P=W.T @ W, c=MASTER_SLOPE - W.T @ MASTER_FITS, lower=np.array(0.0))


def qp_zero() -> QuadraticProgram:
    """P = 0: the program `lp_unique`."""
    plain = lp_unique()
    return QuadraticProgram(
        P=np.zeros((2, 2)), c=plain.c, A=plain.A, row_upper=plain.row_upper, lower=plain.lower
    )


# MᵀM with M of rank 4: the curvature of `qp_every_sign`.
EVERY_ROOT = np.zeros((4, 10))
EVERY_ROOT[[0, 0, 1, 1, 2, 2, 3, 3], [0, 7, 1, 8, 2, 9, 3, 6]] = [1, 1, 2, -1, 1, 1, 1, 2]


def qp_every_sign() -> QuadraticProgram:
    """`lp_every_sign` with a curved cost and the same optimum: multipliers of every sign."""
    plain = lp_every_sign()
    P = EVERY_ROOT.T @ EVERY_ROOT
    return QuadraticProgram(
        P=P, **{**plain.parts(), "c": -P @ EVERY_X - plain.A.T @ EVERY_Y - EVERY_Z}
    )


def qp_no_rows() -> QuadraticProgram:
    """A box and no rows: a solver that cannot take an empty matrix, or duals of a wrong shape."""
    return QuadraticProgram(
        P=np.array([[2.0, -1.0, 0.0], [-1.0, 2.0, 0.0], [0.0, 0.0, 1.0]]),
        c=np.array([-4.0, 1.0, 1.0]),
        lower=np.array([-1.0, 0.5, -INF]),
        upper=np.array([1.0, 4.0, INF]),
    )


QUADRATIC_PROGRAMS = (
    named(qp_unique, QuadraticProgram, 0.8, [1.4, 1.7]),
    named(qp_nonunique, QuadraticProgram, 1.0),
    named(qp_far_bound, QuadraticProgram, 0.25, [0.5, 0.5]),
    named(qp_weakly_active, QuadraticProgram, -1.5, [1, -1]),
    named(qp_equations, QuadraticProgram, -12.0, [2, 1, 1]),
    named(qp_infeasible, QuadraticProgram, outcome="infeasible"),
    named(qp_unbounded, QuadraticProgram, outcome="unbounded"),
    named(qp_scaled, QuadraticProgram, 0.8, [1.4e-3, 170]),
    named(qp_master, QuadraticProgram, -0.5 * float(MASTER_FITS @ MASTER_FITS)),
    named(qp_zero, QuadraticProgram, -36.0, [2, 6]),
    named(qp_every_sign, QuadraticProgram, -57.125, EVERY_X),
    named(qp_no_rows, QuadraticProgram, -3.25, [1, 0.5, -1]),
)
