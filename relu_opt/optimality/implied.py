"""Bounds that the rows of a program imply for its variables."""

from __future__ import annotations

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.optimality.form import Form

ROUNDS = 3
# Implied bounds are loosened by this share of what they are computed from, for rounding.
SLOP = 1e-9


def implied_bounds(form: Form) -> tuple[FloatArray, FloatArray]:
    """Bounds that every feasible point keeps, at least as tight as those of the variables."""
    rows, columns, values = _entries(form)
    lower, upper = form.lower, form.upper
    for _ in range(ROUNDS):
        before = lower, upper
        for sign, sides in ((1.0, form.row_upper), (-1.0, -form.row_lower)):
            lower, upper = _tightened(rows, columns, sign * values, sides, lower, upper)
        if np.array_equal(before[0], lower) and np.array_equal(before[1], upper):
            break
    return lower, upper


def _entries(form: Form) -> tuple[np.ndarray, np.ndarray, FloatArray]:
    A = form.rows[: form.plain].tocoo()
    kept = A.data != 0
    return A.row[kept], A.col[kept], A.data[kept]


def _tightened(
    rows: np.ndarray,
    columns: np.ndarray,
    values: FloatArray,
    sides: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """By Σ a x ≤ side: what the least of all other terms leaves for one variable."""
    least = np.where(values > 0, values * lower[columns], values * upper[columns])
    endless = np.isinf(least)
    finite = np.where(endless, 0.0, least)
    count = len(sides)
    total = np.bincount(rows, finite, count)
    size = np.bincount(rows, np.abs(finite), count)
    endings = np.bincount(rows, endless, count)
    others_end = endings[rows] - endless == 0
    usable = others_end & np.isfinite(sides[rows])
    rows, columns, values, finite = (each[usable] for each in (rows, columns, values, finite))
    rest = sides[rows] - (total[rows] - finite)
    loose = rest + SLOP * (np.abs(sides[rows]) + size[rows])
    bound = loose / values
    lower, upper = lower.copy(), upper.copy()
    rising = values > 0
    np.minimum.at(upper, columns[rising], bound[rising])
    np.maximum.at(lower, columns[~rising], bound[~rising])
    # A program without feasible points may imply what crosses.
    return np.minimum(lower, upper), upper
