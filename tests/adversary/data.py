"""Small data of many kinds: general, on lattices, with ties, in any units."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Rng = np.random.Generator

LABELLED = ("logistic", "squared_hinge", "hinge")
FAMILIES = ("normal", "lattice", "tenths", "ties", "bias", "columns")


def features(rng: Rng, n: int, d: int) -> Matrix:
    """Rows of one of the families; no row is zero."""
    family = rng.choice(FAMILIES)
    X = rng.standard_normal((n, d))
    if family == "lattice":
        X = rng.integers(-2, 3, (n, d)).astype(float)
    elif family == "tenths":
        X = rng.integers(-9, 10, (n, d)) / 10
    elif family == "ties":
        X[n // 2 :] = X[rng.integers(0, n // 2, n - n // 2)]
        X[n // 2 :] *= rng.choice([1.0, 1.0, -1.0, 3.0, 1 / 3], (n - n // 2, 1))
    elif family == "bias" and d > 1:
        X[:, -1] = 1.0
    elif family == "columns":
        X *= 10.0 ** rng.integers(-3, 4, d)
    X[~X.any(axis=1), 0] = 1.0
    return X


def targets(rng: Rng, n: int, loss: str) -> Matrix:
    """Numbers, small whole numbers, or labels of both classes."""
    if loss in LABELLED:
        y = rng.choice([-1.0, 1.0], n)
        y[:2] = (1.0, -1.0)
        return y
    if rng.random() < 0.3:
        return rng.integers(-3, 4, n).astype(float)
    return rng.standard_normal(n) + rng.normal()


def weights(rng: Rng, n: int) -> Matrix | None:
    """Sample weights, or none."""
    return rng.uniform(0.2, 3.0, n) if rng.random() < 0.4 else None


def factor(rng: Rng) -> float:
    """A change of units: a power of two or of ten, ordinary or extreme."""
    most = float(rng.choice([3, 12, 60, 150]))
    exponent = rng.uniform(-most, most)
    return float(2.0 ** round(3.3 * exponent) if rng.random() < 0.5 else 10.0**exponent)


def map_of(rng: Rng, d: int) -> Matrix:
    """An invertible matrix, often one that makes rows nearly parallel."""
    T = np.eye(d)
    style = rng.choice(["shear", "squash", "both", "turn"])
    if style in ("shear", "both") and d > 1:
        T[rng.integers(1, d), 0] = 10.0 ** rng.uniform(0, 9)
    if style in ("squash", "both"):
        T[:, -1] *= 10.0 ** -rng.uniform(0, 14)
    if style == "turn":
        T = rng.standard_normal((d, d)) + 2 * np.eye(d)
    return T
