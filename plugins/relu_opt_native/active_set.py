r"""Projection onto activation cones by an active-set method, compiled.

P_K(c) = c + Nᵀρ with the ρ ≥ 0 that minimises ‖c + Nᵀρ‖, where the rows of N are the rows of X,
scaled to length one, with the signs of the pattern. This is non-negative least squares, solved
after Lawson and Hanson (Solving Least Squares Problems, ch. 23): the rows with ρ > 0 are kept in
a QR factorisation that is updated as rows join and leave.

Few rows are looked at. A pass over all rows makes a pool of those that are violated, from which the
worst joins again and again; and since the rows have length one, a row whose slack was s is not
looked at again before the point has moved by s.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
from numba import njit

from relu_opt.arrays import ByteArray, FloatArray, IntArray

# A projection that is zero, relative to ‖c‖.
APEX = 1e-14
# A row this close to the span of the others depends on them.
DEPENDENT = 1e-14
MAX_ROUNDS = 500
# Rows a dimension: those that may join after a pass, and, without a guess, those of the first pass.
POOL = 2
SAMPLE = 8

Function = TypeVar("Function", bound=Callable[..., Any])


# Sums may be reordered, so that they use vector instructions.
SETTINGS: dict[str, Any] = {
    "nogil": True,
    "error_model": "numpy",
    "fastmath": {"reassoc", "contract"},
}
# The types of `project_blocks`: one compilation serves all.
SIGNATURE = (
    "void(f8[:, ::1], u1[:, ::1], f8[:, ::1], f8, f8, intp, intp, "
    "intp[::1], intp[:, ::1], f8[:, ::1], f8[:, ::1])"
)


def inner(function: Function) -> Function:
    """Compile as a part of what calls it."""
    return cast(Function, njit(**SETTINGS)(function))


def compiled(function: Function, signature: str) -> Function:
    """Compile now, and keep the result on disk where there is a folder for it."""
    try:
        return cast(Function, njit(signature, cache=True, **SETTINGS)(function))
    except RuntimeError:
        return cast(Function, njit(signature, **SETTINGS)(function))


class Work(NamedTuple):
    """Room to work in, for cones of d dimensions and n rows.

    The rows that carry a multiplier have the factorisation Nᵀ = QᵀR: the rows of Q (d, d) are
    orthonormal, R (d, d + 1) is triangular, and its last column holds Qc. `due[r]` is how far the
    point will have moved, all in all, when row r has to be looked at again. `pool` holds the rows
    that may join next, the most violated first, and `slacks` how violated they were.
    """

    Q: FloatArray
    R: FloatArray
    due: FloatArray
    pool: IntArray
    slacks: FloatArray
    normal: FloatArray
    aim: FloatArray
    before: FloatArray


@inner
def _dot(a: FloatArray, b: FloatArray) -> float:
    total = 0.0
    for i in range(len(a)):
        total += a[i] * b[i]
    return total


@inner
def _copy(a: FloatArray, factor: float, b: FloatArray) -> None:
    """a = factor · b. Loops compile in less time than expressions of arrays."""
    for i in range(len(a)):
        a[i] = factor * b[i]


@inner
def _subtract(a: FloatArray, factor: float, b: FloatArray) -> None:
    for i in range(len(a)):
        a[i] -= factor * b[i]


@inner
def _side(packed: ByteArray, row: int) -> float:
    """+1 where the pattern is active, −1 where it is not."""
    return 1.0 if (packed[row >> 3] >> (7 - (row & 7))) & 1 else -1.0


@inner
def _join(normal: FloatArray, c: FloatArray, k: int, Q: FloatArray, R: FloatArray) -> bool:
    """Append a row to the factorisation of k rows; False if it depends on them."""
    for i in range(k):
        R[i, k] = 0.0
    for _ in range(2):
        for i in range(k):
            along = _dot(Q[i], normal)
            _subtract(normal, along, Q[i])
            R[i, k] += along
    length = math.sqrt(_dot(normal, normal))
    if length <= DEPENDENT:
        return False
    R[k, k] = length
    _copy(Q[k], 1.0 / length, normal)
    R[k, -1] = _dot(Q[k], c)
    return True


@inner
def _rotate(M: FloatArray, i: int, first: int, last: int, cos: float, sin: float) -> None:
    """Rotate rows i and i + 1 of M from column `first` to before column `last`."""
    for j in range(first, last):
        upper, lower = M[i, j], M[i + 1, j]
        M[i, j] = cos * upper + sin * lower
        M[i + 1, j] = cos * lower - sin * upper


@inner
def _leave(gone: int, k: int, Q: FloatArray, R: FloatArray) -> None:
    """Take a row out of the factorisation of k rows."""
    d = Q.shape[1]
    for j in range(gone + 1, k):
        for i in range(j + 1):
            R[i, j - 1] = R[i, j]
    for i in range(gone, k - 1):
        length = math.hypot(R[i, i], R[i + 1, i])
        cos, sin = R[i, i] / length, R[i + 1, i] / length
        R[i, i] = length
        _rotate(R, i, i + 1, k - 1, cos, sin)
        _rotate(R, i, d, d + 1, cos, sin)
        _rotate(Q, i, 0, d, cos, sin)


@inner
def _settle(
    k: int, Q: FloatArray, R: FloatArray, rows: IntArray, rho: FloatArray, aim: FloatArray
) -> int:
    """Go from ρ to the minimiser over k rows; rows whose ρ reaches zero leave. Returns k."""
    while True:
        worst, share = -1, 1.0
        for i in range(k - 1, -1, -1):
            value = -R[i, -1]
            for j in range(i + 1, k):
                value -= R[i, j] * aim[j]
            aim[i] = value / R[i, i]
        for i in range(k):
            if aim[i] <= 0.0:
                ratio = rho[i] / (rho[i] - aim[i]) if rho[i] > 0.0 else 0.0
                if worst < 0 or ratio < share or (ratio == share and aim[i] < aim[worst]):
                    worst, share = i, ratio
        if worst < 0:
            for i in range(k):
                rho[i] = aim[i]
            return k
        for i in range(k):
            rho[i] = max(0.0, rho[i] + share * (aim[i] - rho[i]))
        _leave(worst, k, Q, R)
        for i in range(worst, k - 1):
            rows[i], rho[i] = rows[i + 1], rho[i + 1]
        k -= 1


@inner
def _residual(c: FloatArray, k: int, Q: FloatArray, R: FloatArray, point: FloatArray) -> None:
    """The part of c that is orthogonal to k rows."""
    _copy(point, 1.0, c)
    for i in range(k):
        _subtract(point, R[i, -1], Q[i])
    for i in range(k):
        _subtract(point, _dot(Q[i], point), Q[i])


@inner
def _scan(
    unit: FloatArray,
    packed: ByteArray,
    point: FloatArray,
    stride: int,
    limit: float,
    travelled: float,
    work: Work,
) -> int:
    """Fill the pool with the rows whose slack is the farthest below `limit`; returns how many."""
    found, most = 0, len(work.pool)
    for row in range(0, len(unit), stride):
        if work.due[row] > travelled:
            continue
        slack = _side(packed, row) * _dot(unit[row], point)
        work.due[row] = travelled + slack
        if slack < limit and (found < most or slack < work.slacks[-1]):
            place = min(found, most - 1)
            while place > 0 and work.slacks[place - 1] > slack:
                work.pool[place] = work.pool[place - 1]
                work.slacks[place] = work.slacks[place - 1]
                place -= 1
            work.pool[place], work.slacks[place] = row, slack
            found = min(found + 1, most)
    return found


@inner
def _pick(
    unit: FloatArray,
    packed: ByteArray,
    point: FloatArray,
    found: int,
    limit: float,
    travelled: float,
    work: Work,
) -> int:
    """The place in the pool of the row whose slack is the farthest below `limit`, or −1."""
    least, chosen = limit, -1
    for place in range(found):
        row = work.pool[place]
        if work.due[row] <= travelled:
            slack = _side(packed, row) * _dot(unit[row], point)
            work.due[row] = travelled + slack
            if slack < least:
                least, chosen = slack, place
    return chosen


@inner
def _take(
    unit: FloatArray,
    packed: ByteArray,
    row: int,
    c: FloatArray,
    k: int,
    rows: IntArray,
    rho: FloatArray,
    work: Work,
) -> bool:
    """Let a row join with a multiplier of zero, if it does not depend on the others."""
    if k == len(c):
        return False
    _copy(work.normal, _side(packed, row), unit[row])
    if not _join(work.normal, c, k, work.Q, work.R):
        return False
    rows[k], rho[k] = row, 0.0
    return True


@inner
def _project(
    unit: FloatArray,
    packed: ByteArray,
    c: FloatArray,
    enough: float,
    slack: float,
    guessed: int,
    rows: IntArray,
    rho: FloatArray,
    point: FloatArray,
    work: Work,
) -> int:
    """Project c onto one cone; returns how many rows carry a multiplier.

    rows[:guessed] are tried first.
    """
    n, d = unit.shape
    size = math.sqrt(_dot(c, c))
    k = 0
    for g in range(guessed):
        if _take(unit, packed, rows[g], c, k, rows, rho, work):
            k += 1
    k = _settle(k, work.Q, work.R, rows, rho, work.aim)
    _residual(c, k, work.Q, work.R, point)
    for row in range(n):
        work.due[row] = -math.inf
    travelled, limit = 0.0, -slack * size
    stride = 1 if guessed else max(1, n // (SAMPLE * d))
    for _ in range(MAX_ROUNDS):
        found = _scan(unit, packed, point, stride, limit, travelled, work)
        start = travelled
        while True:
            length = math.sqrt(_dot(point, point))
            if length <= enough:
                return k
            if k == d or length <= APEX * size:
                _copy(point, 0.0, c)
                return k
            chosen = _pick(unit, packed, point, found, limit, travelled, work)
            if chosen < 0:
                break
            row = work.pool[chosen]
            found -= 1
            work.pool[chosen] = work.pool[found]
            if not _take(unit, packed, row, c, k, rows, rho, work):
                continue
            _copy(work.before, 1.0, point)
            settled = _settle(k + 1, work.Q, work.R, rows, rho, work.aim)
            if settled == k + 1:
                _subtract(point, _dot(work.Q[k], point), work.Q[k])
            else:
                _residual(c, settled, work.Q, work.R, point)
            k = settled
            _subtract(work.before, 1.0, point)
            travelled += math.sqrt(_dot(work.before, work.before))
        if stride == 1 and travelled == start:
            return k
        stride = 1
    return k


@partial(compiled, signature=SIGNATURE)
def project_blocks(
    unit: FloatArray,
    packed: ByteArray,
    targets: FloatArray,
    enough: float,
    slack: float,
    start: int,
    step: int,
    counts: IntArray,
    rows: IntArray,
    rho: FloatArray,
    points: FloatArray,
) -> None:
    """Project points start, start + step, …, each onto the cone of its own pattern.

    Parameters
    ----------
    unit : (n, d) array
        The rows of X, scaled to length one.
    packed : (m, ceil(n/8)) array of uint8
        The pattern of each cone.
    targets : (m, d) array
        The points.
    enough : float
        See `relu_opt.program.cones.project_cones`.
    slack : float
        How far a row may be violated, relative to the length of the point that is projected.
    start, step : int
        Which points.
    counts, rows, rho : (m,), (m, d) and (m, d) arrays
        rows[b, :counts[b]] are expected to carry a multiplier. Overwritten by those that do, and
        by their multipliers, which belong to `unit`.
    points : (m, d) array
        Where to write the projections.
    """
    n, d = unit.shape
    work = Work(
        np.empty((d, d)),
        np.empty((d, d + 1)),
        np.empty(n),
        np.empty(POOL * d, dtype=np.intp),
        np.empty(POOL * d),
        np.empty(d),
        np.empty(d),
        np.empty(d),
    )
    for b in range(start, len(targets), step):
        counts[b] = _project(
            unit, packed[b], targets[b], enough, slack, counts[b], rows[b], rho[b], points[b], work
        )
