"""Signs of inner products, decided exactly: the same whatever else is computed beside them.

The sums of a matrix product depend on how many rows it has, and on the machine, so that rounding
would decide on which side of a hyperplane a row close to it lies. Most signs are beyond what
rounding can do; the others are those of exact sums.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from relu_opt.arrays import BoolArray, FloatArray
from relu_opt.rounding import gamma, two_products

# Products of numbers within this many powers of 2 of the largest are exact as two doubles.
RANGE = 200


def masks_of(X: FloatArray, gates: FloatArray) -> BoolArray:
    """1[X g ≥ 0] for each column g of `gates`: (n, k), exact.

    Parameters
    ----------
    X : (n, d) array
    gates : (d, k) array
    """
    rows, columns = _of_size_one(X), _of_size_one(gates.T)
    values = rows @ columns.T
    sizes = np.linalg.norm(rows, axis=1), np.linalg.norm(columns, axis=1)
    # |x|ᵀ|g| ≤ ‖x‖‖g‖, and a little more for the norms; a zero row or gate leaves no doubt.
    masks = np.asarray(values >= 0)
    np.abs(values, out=values)
    values -= np.multiply.outer(gamma(X.shape[1] + 9) * sizes[0], sizes[1])
    for i, j in np.argwhere(values < 0):
        masks[i, j] = _is_nonnegative(X[i], gates[:, j], rows[i], columns[j])
    return masks


def _of_size_one(rows: FloatArray) -> FloatArray:
    """Each row times a power of 2, so that its largest entry is about 1."""
    largest = np.abs(rows).max(axis=1, initial=0.0)
    return np.asarray(np.ldexp(rows, -np.frexp(largest)[1][:, None]))


def _is_nonnegative(x: FloatArray, g: FloatArray, row: FloatArray, column: FloatArray) -> bool:
    """Whether Σ x g ≥ 0 exactly; `row` and `column` are x and g of size one."""
    used = (x != 0) & (g != 0)
    smallest = np.abs(np.concatenate([row[used], column[used]])).min(initial=1.0)
    if smallest > 2.0**-RANGE:
        return math.fsum(np.concatenate(two_products(row[used], column[used])).tolist()) >= 0
    pairs = zip(x.tolist(), g.tolist(), strict=True)
    return sum(Fraction(a) * Fraction(b) for a, b in pairs) >= 0
