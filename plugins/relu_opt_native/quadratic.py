"""Convex quadratic programs over x ≥ 0, by an active-set method."""

from __future__ import annotations

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from relu_opt.arrays import BoolArray, FloatArray

# Keeps dependent columns apart; relative to the unit diagonal.
RIDGE = 1e-14
# A gradient entry that is this small, relative to the largest of q, is zero.
ROUNDING = 1e-14


def nonnegative_qp(S: FloatArray, q: FloatArray, start: FloatArray) -> FloatArray:
    """Minimise ½xᵀSx + qᵀx over x ≥ 0 from a feasible start.

    Lawson and Hanson's scheme for a positive semidefinite S: every step descends, and the
    solution's columns are independent. The problem is first scaled to a unit diagonal.
    """
    scale = np.sqrt(np.maximum(S.diagonal(), 0.0))
    usable = scale > 1e-150
    result = np.zeros(len(q))
    if usable.any():
        unit = scale[usable]
        scaled = S[np.ix_(usable, usable)] / np.outer(unit, unit)
        result[usable] = _solve(scaled, q[usable] / unit, start[usable] * unit) / unit
    return result


def _solve(S: FloatArray, q: FloatArray, start: FloatArray) -> FloatArray:
    tolerance = ROUNDING * float(np.abs(q).max())
    x = _descend(S, q, np.maximum(start, 0.0), start > 0)
    blocked = np.zeros(len(q), dtype=np.bool_)
    for _ in range(10 * len(q) + 50):
        gradient = np.where((x > 0) | blocked, 0.0, S @ x + q)
        joining = int(gradient.argmin())
        if gradient[joining] >= -tolerance:
            break
        trial = x > 0
        trial[joining] = True
        moved = _descend(S, q, x, trial)
        if moved[joining] > 0:
            x = moved
            blocked[:] = False
        else:
            blocked[joining] = True
    return x


def _descend(S: FloatArray, q: FloatArray, x: FloatArray, passive: BoolArray) -> FloatArray:
    """Minimise over the passive entries, dropping those that reach zero on the way."""
    active = np.flatnonzero(passive)
    x = np.where(passive, x, 0.0)
    while len(active):
        block = S[np.ix_(active, active)]
        block[np.arange(len(active)), np.arange(len(active))] += RIDGE
        try:
            factor = cho_factor(block, lower=True, overwrite_a=True, check_finite=False)
            target = cho_solve(factor, -q[active], check_finite=False)
        except LinAlgError:
            # Rounding made the block indefinite: its least-squares solution still descends.
            target = np.linalg.lstsq(S[np.ix_(active, active)], -q[active], rcond=1e-12)[0]
        falling = target <= 0
        if not falling.any():
            x[active] = target
            break
        here = x[active]
        fall = here[falling] - target[falling]
        ratio = np.divide(here[falling], fall, out=np.zeros(len(fall)), where=fall > 0)
        share = float(ratio.min())
        moved = here + share * (target - here)
        moved[np.flatnonzero(falling)[ratio <= share]] = 0.0
        x[active] = np.maximum(moved, 0.0)
        active = active[x[active] > 0]
    return x
