"""Exact signs of inner products: in doubles where these decide, in integers where they do not."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from relu_opt.verify.rounding import UNDERFLOW, FloatArray, gamma


def signs(rows: FloatArray, directions: FloatArray) -> NDArray[np.int8]:
    """The signs −1, 0 and +1 of rows (n, d) times directions (k, d), (n, k), without any error."""
    scaled, others = _scaled(rows), _scaled(directions)
    products = scaled @ others.T
    doubt = gamma(rows.shape[1] + 2) * (np.abs(scaled) @ np.abs(others.T)) * (1 + 2.0**-30)
    found = np.sign(products).astype(np.int8)
    # Zero rows and zero directions are certain.
    there = np.logical_and.outer(rows.any(axis=1), directions.any(axis=1))
    unsure = there & (np.abs(products) <= doubt + UNDERFLOW)
    for k, j in zip(*np.nonzero(unsure), strict=True):
        found[k, j] = exact_sign(rows[k], directions[j])
    return found


def exact_sign(a: FloatArray, b: FloatArray) -> int:
    """The sign of Σ a·b, in rationals."""
    total = sum(
        (Fraction(x) * Fraction(z) for x, z in zip(a.tolist(), b.tolist(), strict=True)),
        start=Fraction(0),
    )
    return (total > 0) - (total < 0)


def _scaled(vectors: FloatArray) -> FloatArray:
    """Vectors times powers of two, so that the largest entry of each is in [1/2, 1)."""
    exponents = np.frexp(np.abs(vectors).max(axis=1, initial=0.0))[1]
    return np.asarray(np.ldexp(vectors, -exponents[:, None]))
