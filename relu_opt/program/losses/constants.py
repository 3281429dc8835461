"""The output constant at which a convex loss is least."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from relu_opt.arrays import FloatArray

EPS = float(np.finfo(np.float64).eps)
# Newton's steps and halvings of an interval.
MOST_STEPS = 200


def minimiser(slope: Callable[[float], float], curvature: Callable[[float], float]) -> float:
    """The c where a convex function of one number is least, from its first two derivatives.

    Newton's method, kept between two numbers where the slope has different signs.
    """
    low = high = 0.0
    step = 1.0
    while slope(low) > 0:
        low, step = low - step, 2 * step
    step = 1.0
    while slope(high) < 0:
        high, step = high + step, 2 * step
    centre = 0.5 * (low + high)
    for _ in range(MOST_STEPS):
        value = slope(centre)
        low, high = (centre, high) if value < 0 else (low, centre)
        bend = curvature(centre)
        newton = centre - value / bend if bend > 0 else math.inf
        proposal = newton if low < newton < high else 0.5 * (low + high)
        if value == 0 or proposal == centre or high - low <= 1e-16 * abs(centre):
            break
        centre = proposal
    return centre


def minimiser_of_kinks(kinks: FloatArray, jumps: FloatArray, slope: float) -> float:
    """The c where a convex piecewise linear function is least; the middle of many.

    Parameters
    ----------
    kinks : (n,) array
        Where its slope grows.
    jumps : (n,) array
        By how much, > 0.
    slope : float
        At −∞, < 0.
    """
    order = np.argsort(kinks)
    slopes = slope + np.cumsum(jumps[order])
    kinks, rounding = kinks[order], len(kinks) * EPS * float(jumps.sum())
    first = min(int(np.searchsorted(slopes, -rounding)), len(kinks) - 1)
    last = min(int(np.searchsorted(slopes, rounding, side="right")), len(kinks) - 1)
    return float(kinks[first] + 0.5 * (kinks[last] - kinks[first]))
