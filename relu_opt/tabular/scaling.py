r"""Standardised columns: the rows X = [(features − centre)/scale, 1]/√d₀ of a training program.

d₀ is the number of features, so rows have norm about one however many there are. The 1 is the
hidden bias.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.errors import DataError
from relu_opt.rounding import gamma

# Sums of this many terms, in any order, may differ by as much as a column that counts as constant
# deviates from its mean. So narrow a column has at most a few thousand different doubles.
ROUNDINGS = 256


def moments(
    values: FloatArray, weight: FloatArray | None = None, where: str = "y", **fields: object
) -> tuple[float, float]:
    """Mean and population standard deviation, weighted; constant values get the deviation 1.

    Values that vary no more than rounding would make them vary, such as the totals of shares, get
    the largest of their sizes: over their own deviation, a total of 0.999 would be far away.

    Parameters
    ----------
    values : (n,) array
        Finite numbers.
    weight : (n,) array, optional
        Weights > 0.
    where, **fields
        What the error says and carries of where the values come from.

    Raises
    ------
    DataError
        If the deviation is too large or too small for double precision.
    """
    if values.min() == values.max():
        return float(values[0]), 1.0
    # Scaled first, so that squares neither overflow nor vanish.
    size = float(np.abs(values).max())
    scaled = values / size
    mean = np.average(scaled, weights=weight)
    deviation = float(np.sqrt(np.average((scaled - mean) ** 2, weights=weight))) * size
    if not (math.isfinite(deviation) and deviation > 0):
        raise DataError(
            f"{where}: values up to {size:g} cannot be standardised in double precision. Rescale "
            "the column.",
            **fields,
        )
    if deviation <= gamma(ROUNDINGS) * size:
        deviation = size
    return float(mean) * size, deviation


def scaled_rows(
    features: FloatArray,
    centre: FloatArray | Sequence[float],
    scale: FloatArray | Sequence[float],
    bias: bool,
    standardize: bool,
) -> FloatArray:
    """X of features (n, d₀): (n, d₀ + 1) with a bias; without √d₀ unless they are standardised."""
    n, count = features.shape
    X = np.ones((n, count + bias))
    X[:, :count] = features
    X[:, :count] -= centre
    X[:, :count] /= scale
    if standardize:
        X /= math.sqrt(count)
    return X
