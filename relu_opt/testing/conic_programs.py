"""Conic programs with known answers."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csc_array

from relu_opt.arrays import FloatArray
from relu_opt.program.conic import Cones, ConicProgram, triangle
from relu_opt.testing.named import named

ROOT2 = math.sqrt(2.0)


def _conic(
    c: ArrayLike, A: ArrayLike, b: ArrayLike, cones: Cones, offset: float = 0.0
) -> ConicProgram:
    cost, sides = np.array(c, dtype=np.float64), np.array(b, dtype=np.float64)
    return ConicProgram(cost, csc_array(np.array(A, dtype=np.float64)), sides, cones, offset)


# -- linear cones ------------------------------------------------------------------------


def conic_linear() -> ConicProgram:
    """Linear cones alone, the zero cone's multiplier below zero: rows taken in another order."""
    return _conic(
        [3.0, 1.0, 2.5],
        [[1.0, 1.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [-1.0, 1.0, 0.0]],
        [2.0, 0.0, 0.0, 0.0, -0.5],
        Cones(zero=1, nonnegative=4),
        offset=10.0,
    )


def conic_linear_other() -> ConicProgram:
    """`conic_linear` with another cost: the answer of an earlier program."""
    plain = conic_linear()
    return ConicProgram(np.array([-3.0, 1.0, 2.0]), plain.A, plain.b, plain.cones)


def conic_infeasible() -> ConicProgram:
    """x ≥ 1 and x ≤ −1: an answer where there is none."""
    return _conic([1.0], [[1.0], [-1.0]], [-1.0, -1.0], Cones(nonnegative=2))


def conic_unbounded() -> ConicProgram:
    """x ≤ 0 and the cost x: the last iterate handed on as an optimum."""
    return _conic([1.0, 0.0], [[1.0, 0.0], [0.0, 1.0]], [0.0, 1.0], Cones(nonnegative=2))


# -- second-order cones ------------------------------------------------------------------


def socp_projection() -> ConicProgram:
    """The distance of (1, 3, 4) from the cone ‖(x₂, x₃)‖ ≤ x₁: variables x and the distance."""
    eye = np.eye(3)
    apart = np.hstack([np.zeros((1, 3)), [[-1.0]]])
    return _conic(
        [0.0, 0.0, 0.0, 1.0],
        np.vstack([np.hstack([-eye, np.zeros((3, 1))]), apart, np.hstack([eye, np.zeros((3, 1))])]),
        [0.0, 0.0, 0.0, 0.0, 1.0, 3.0, 4.0],
        Cones(second_order=(3, 4)),
    )


def socp_ball() -> ConicProgram:
    """A linear cost over a ball: signs of the cone's rows."""
    return _conic(
        [2.0, -1.0, 2.0],
        np.vstack([np.zeros((1, 3)), np.eye(3)]),
        [2.0, 1.0, 0.0, -1.0],
        Cones(second_order=(4,)),
    )


def socp_sizes() -> ConicProgram:
    """Cones of size 1, 2, 3, 4 and 1, all binding: sizes that are mixed up, or not expected."""
    s = np.array([0.0, 2.0, -2.0, 5.0, 3.0, 4.0, 3.0, 1.0, 2.0, -2.0, 0.0])
    z = np.array([2.0, 1.0, 1.0, 5.0, -3.0, -4.0, 6.0, -2.0, -4.0, 4.0, 3.0])
    A = np.array(
        [
            [-1.0, 0.0, 2.0, 0.0, 1.0],
            [0.0, 1.0, -1.0, 0.0, 0.0],
            [1.0, 1.0, 0.0, 0.0, 2.0],
            [0.0, 0.0, 1.0, -2.0, 0.0],
            [2.0, 0.0, 0.0, 1.0, 0.0],
            [0.0, -1.0, 0.0, 1.0, 1.0],
            [0.0, 0.0, -1.0, 0.0, 3.0],
            [1.0, 0.0, 1.0, 0.0, 0.0],
            [0.0, 2.0, 0.0, 0.0, -1.0],
            [0.0, 0.0, 0.0, 3.0, 1.0],
            [1.0, 1.0, 1.0, 1.0, 0.0],
        ]
    )
    return _at_optimum(A, s, z, Cones(second_order=(1, 2, 3, 4, 1)))


# The optimum of the programs that are made from their multipliers.
CHOSEN_X = np.array([1.0, -1.0, 2.0, 0.5, -2.0])


def _at_optimum(A: FloatArray, s: FloatArray, z: FloatArray, cones: Cones) -> ConicProgram:
    """The program with optimum `CHOSEN_X`, slack s and multipliers z; sᵀz = 0."""
    return _conic(-A.T @ z, A, A @ CHOSEN_X + s, cones)


def socp_degenerate() -> ConicProgram:
    """A plane that touches the ball where it is optimal: multipliers are not unique."""
    return _conic(
        [-1.0, 0.0],
        [[1.0, 0.0], [0.0, 0.0], [1.0, 0.0], [0.0, 1.0]],
        [1.0, 1.0, 0.0, 0.0],
        Cones(nonnegative=1, second_order=(3,)),
    )


def socp_infeasible() -> ConicProgram:
    """A ball and a half-space apart."""
    return _conic(
        [1.0, 1.0],
        [[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0], [0.0, 1.0]],
        [-2.0, 1.0, 0.0, 0.0],
        Cones(nonnegative=1, second_order=(3,)),
    )


def socp_unbounded() -> ConicProgram:
    """The cost falls along the inside of a cone."""
    return _conic([-1.0, 0.5, 0.0], -np.eye(3), np.zeros(3), Cones(second_order=(3,)))


# -- exponential cones -------------------------------------------------------------------


def exp_euler() -> ConicProgram:
    """min w with e^u ≤ w and u = 1: the order of a cone's three rows."""
    return _conic(
        [0.0, 1.0],
        [[1.0, 0.0], [-1.0, 0.0], [0.0, 0.0], [0.0, -1.0]],
        [1.0, 0.0, 1.0, 0.0],
        Cones(zero=1, exponential=1),
    )


SCORES = np.array([1.0, 0.0, -1.0])
LOG_SUM = math.log(math.e + 1.0 + 1.0 / math.e)


def exp_log_sum() -> ConicProgram:
    """min t with Σ exp(a − t) ≤ 1, which is log Σ exp(a): several cones, and a row before them."""
    rows = np.zeros((10, 4))
    sides = np.zeros(10)
    rows[0, 1:], sides[0] = 1.0, 1.0
    for k, score in enumerate(SCORES):
        first = 1 + 3 * k
        rows[first, 0], sides[first] = 1.0, score
        sides[first + 1] = 1.0
        rows[first + 2, 1 + k] = -1.0
    return _conic([1.0, 0, 0, 0], rows, sides, Cones(nonnegative=1, exponential=3))


def exp_entropy() -> ConicProgram:
    """max entropy + aᵀp over the simplex, which is log Σ exp(a) at softmax(a)."""
    rows, sides = np.zeros((10, 6)), np.zeros(10)
    rows[0, :3], sides[0] = 1.0, 1.0
    for k in range(3):
        first = 1 + 3 * k
        rows[first, 3 + k] = rows[first + 1, k] = -1.0
        sides[first + 2] = 1.0
    return _conic(
        np.r_[-SCORES, -np.ones(3)], rows, sides, Cones(zero=1, exponential=3), offset=2.0
    )


SHARES = np.exp(SCORES - LOG_SUM)


# -- semidefinite cones ------------------------------------------------------------------

# Eigenvalues 1, 4 and −2; the last one's vector is the last column of the reflection.
REFLECTION = np.eye(3) - 2.0 / 9.0 * np.outer([1.0, 2.0, 2.0], [1.0, 2.0, 2.0])
MATRIX = REFLECTION @ np.diag([1.0, 4.0, -2.0]) @ REFLECTION


def sdp_eigenvalue() -> ConicProgram:
    """min ⟨C, X⟩ with tr X = 1, the smallest eigenvalue: scale and order of the triangle."""
    return _conic(
        triangle(MATRIX),
        np.vstack([triangle(np.eye(3)), -np.eye(6)]),
        np.r_[1.0, np.zeros(6)],
        Cones(zero=1, semidefinite=(3,)),
    )


def sdp_largest() -> ConicProgram:
    """min t with t I ⪰ C, the largest eigenvalue: the same from the dual side."""
    return _conic([1.0], -triangle(np.eye(3))[:, None], -triangle(MATRIX), Cones(semidefinite=(3,)))


def sdp_orders() -> ConicProgram:
    """Cones of order 1, 2 and 1: orders that are mixed up, or not expected."""
    return _conic(
        [1.0, 2.0, 1.0],
        # x₁ ≥ 3, [[x₂, 2], [2, x₃]] ⪰ 0, x₃ ≥ 1
        [[-1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 0.0, -1.0]],
        [-3.0, 0.0, 2.0 * ROOT2, 0.0, -1.0],
        Cones(semidefinite=(1, 2, 1)),
    )


def sdp_infeasible() -> ConicProgram:
    """[[x, 1], [1, −½]] has a negative entry on its diagonal: an answer where there is none."""
    return _conic(
        [1.0],
        [[1.0], [-1.0], [0.0], [0.0]],
        [1.0, 0.0, ROOT2, -0.5],
        Cones(nonnegative=1, semidefinite=(2,)),
    )


# -- cones of several kinds --------------------------------------------------------------

# Slacks and multipliers, block by block, that are orthogonal.
LINEAR_PART = ([0.0, 0.0, 0.0, 1.5], [2.0, -1.0, 1.0, 0.0])
BALL_PART = ([5.0, 3.0, 4.0, 2.0], [5.0, -3.0, -4.0, 0.0])
EXP_PART = ([2.0, 1.0, math.exp(2.0)], [-1.0, 1.0, math.exp(-2.0)])
PSD_PART = (
    triangle(np.array([[1.0, 2.0], [2.0, 4.0]])),
    triangle(np.array([[4.0, -2.0], [-2.0, 1.0]])),
)
MIXED_ROWS = np.array(
    [
        [1.0, 0.0, 1.0, 0.0, 0.0],
        [0.0, 1.0, 0.0, -1.0, 0.0],
        [1.0, 1.0, 0.0, 0.0, 1.0],
        [0.0, 0.0, 1.0, 1.0, 1.0],
        [2.0, 0.0, 0.0, 1.0, 0.0],
        [0.0, -1.0, 1.0, 0.0, 0.0],
        [0.0, 0.0, 2.0, 0.0, -1.0],
        [1.0, 0.0, 0.0, 0.0, 0.0],
        [0.0, 1.0, 1.0, 0.0, 1.0],
        [1.0, 0.0, 0.0, 0.5, 0.0],
        [0.0, 0.0, 0.0, 1.0, -1.0],
        [0.0, 2.0, 0.0, 0.0, 1.0],
        [1.0, -1.0, 0.0, 0.0, 0.0],
        [0.0, 0.0, 1.0, -2.0, 0.0],
    ]
)


def _mixed(*parts: tuple[ArrayLike, ArrayLike], cones: Cones) -> ConicProgram:
    s, z = (np.concatenate([part[side] for part in parts]) for side in (0, 1))
    return _at_optimum(MIXED_ROWS[: len(s)], s, z, cones)


def mixed_exponential() -> ConicProgram:
    """Zero, nonnegative, second-order and exponential cones, each binding."""
    cones = Cones(2, 2, (3, 1), 1)
    return _mixed(LINEAR_PART, BALL_PART, EXP_PART, cones=cones)


def mixed_semidefinite() -> ConicProgram:
    """Zero, nonnegative, second-order and semidefinite cones, each binding."""
    return _mixed(LINEAR_PART, BALL_PART, PSD_PART, cones=Cones(2, 2, (3, 1), 0, (2,)))


def mixed_all() -> ConicProgram:
    """Every kind of cone, each binding: blocks that are handed over in another order."""
    return _mixed(LINEAR_PART, BALL_PART, EXP_PART, PSD_PART, cones=Cones(2, 2, (3, 1), 1, (2,)))


CONIC_PROGRAMS = (
    named(conic_linear, ConicProgram, 14.5, [1.25, 0.75, 0]),
    named(conic_linear_other, ConicProgram, -6.0, [2, 0, 0]),
    named(conic_infeasible, ConicProgram, outcome="infeasible"),
    named(conic_unbounded, ConicProgram, outcome="unbounded"),
    named(socp_projection, ConicProgram, 2.0 * ROOT2, [3, 1.8, 2.4, 2.0 * ROOT2]),
    named(socp_ball, ConicProgram, -6.0, [-1 / 3, 2 / 3, -7 / 3]),
    named(socp_sizes, ConicProgram, 54.0, CHOSEN_X),
    named(socp_degenerate, ConicProgram, -1.0, [1, 0]),
    named(socp_infeasible, ConicProgram, outcome="infeasible"),
    named(socp_unbounded, ConicProgram, outcome="unbounded"),
    named(exp_euler, ConicProgram, math.e, [1, math.e]),
    named(exp_log_sum, ConicProgram, LOG_SUM, np.r_[LOG_SUM, SHARES]),
    named(exp_entropy, ConicProgram, 2.0 - LOG_SUM, np.r_[SHARES, -SHARES * np.log(SHARES)]),
    named(sdp_eigenvalue, ConicProgram, -2.0, triangle(np.outer(REFLECTION[2], REFLECTION[2]))),
    named(sdp_largest, ConicProgram, 4.0, [4]),
    named(sdp_orders, ConicProgram, 3.0 + 4.0 * ROOT2, [3, ROOT2, 2 * ROOT2]),
    named(sdp_infeasible, ConicProgram, outcome="infeasible"),
    named(mixed_exponential, ConicProgram, 12.411661791908468, CHOSEN_X),
    named(mixed_semidefinite, ConicProgram, 20.035533905932738, CHOSEN_X),
    named(mixed_all, ConicProgram, 33.06851604140085, CHOSEN_X),
)
