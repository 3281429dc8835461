"""The exact answer from a rough one: guess what is active, solve the equations, look again.

HiGHS adds a small multiple of the identity to P, and allows multipliers of the wrong sign up to
its tolerance. From its answer, a few steps of the primal-dual active-set method reach the limit of
floating-point numbers almost always; where they do not, the best point on the way is kept.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import lstsq

from relu_opt.arrays import BoolArray, FloatArray, IntArray
from relu_opt.clock import Clock
from relu_opt.program.linear import QuadraticProgram

STEPS = 10
# Up to so many equations, which are solved as a dense matrix; and once the time is up.
LARGEST_SYSTEM, LATE_SYSTEM = 1500, 300
# Singular values below this share of the largest are taken for zero.
RANK = 1e-14
# Residuals at which a point cannot get better, or not by much.
ROUNDING, EXACT = 1e-14, 1e-12


def residual(program: QuadraticProgram, x: FloatArray, y: FloatArray) -> float:
    """How far x and y are from optimal: 0 if x = proj(x + z) and Ax = proj(Ax + y)."""
    z, rows = program.bound_multipliers(x, y), program.A @ x
    inside = np.clip(x + z, program.lower, program.upper)
    held = np.clip(rows + y, program.row_lower, program.row_upper)
    return float(np.maximum(_largest(x - inside), _largest(rows - held)))


def polish(
    program: QuadraticProgram, x: FloatArray, y: FloatArray, clock: Clock
) -> tuple[FloatArray, FloatArray, float]:
    """The best x and y found, and their `residual`; little happens once the time is up."""
    best = x, y, residual(program, x, y)
    seen = set()
    for _ in range(STEPS):
        if best[2] <= ROUNDING:
            break
        x, fixed = _active(x, program.bound_multipliers(x, y), program.lower, program.upper)
        sides, held = _active(program.A @ x, y, program.row_lower, program.row_upper)
        active = fixed.tobytes() + held.tobytes()
        if active in seen:
            break
        seen.add(active)
        free, rows = np.flatnonzero(~fixed), np.flatnonzero(held)
        largest = LATE_SYSTEM if clock.expired else LARGEST_SYSTEM
        if len(free) + len(rows) > largest:
            break
        y = np.where(held, y, 0.0)
        x, y = _solve(program, x, y, free, rows, sides)
        inside = np.clip(x, program.lower, program.upper)
        error = residual(program, inside, y)
        if error < best[2]:
            best = inside, y, error
    return best


def _active(
    values: FloatArray, multipliers: FloatArray, lower: FloatArray, upper: FloatArray
) -> tuple[FloatArray, BoolArray]:
    """The values, moved onto the bounds that hold them; and which are held."""
    target = values + multipliers
    low, high = (target < lower) | (lower == upper), target > upper
    return np.where(low, lower, np.where(high, upper, values)), low | high


def _solve(
    program: QuadraticProgram,
    x: FloatArray,
    y: FloatArray,
    free: IntArray,
    rows: IntArray,
    sides: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """The shortest step of the free variables and held rows to a stationary point."""
    count = len(free)
    A = program.A[rows][:, free].toarray()
    matrix = np.zeros((count + len(rows),) * 2)
    matrix[:count, :count] = program.P[free][:, free].toarray()
    matrix[count:, :count], matrix[:count, count:] = A, A.T
    gradient = -program.bound_multipliers(x, y)[free]
    gaps = (program.A @ x - sides)[rows]
    step = lstsq(matrix, -np.concatenate([gradient, gaps]), cond=RANK, lapack_driver="gelsy")[0]
    x, y = x.copy(), y.copy()
    x[free] += step[:count]
    y[rows] += step[count:]
    return x, y


def _largest(values: FloatArray) -> float:
    return float(np.abs(values).max(initial=0.0))
