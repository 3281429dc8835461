r"""Sums over the data of a spline without any rounding, in integers, for `relu_opt.verify`.

Doubles are integers times a power of two. One pass over sorted data with running sums gives every
fit, and every |νᵀ(±(x − t))_+|, exactly; a result is rounded once, when it becomes a double.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from relu_opt.verify.exact_integers import Integers, integers, rounded
from relu_opt.verify.rounding import above

FloatArray = NDArray[np.float64]


def fits_and_targets(
    x: FloatArray,
    y: FloatArray,
    kinks: FloatArray,
    sides: FloatArray,
    weights: FloatArray,
    constant: float,
) -> tuple[list[int], list[int], int]:
    """Σ_j w_j (side_j (x − t_j))_+ + c at the data, and y; and the shift of all these integers."""
    n, places = len(x), integers(x, kinks)
    inputs, at = places.values[:n], places.values[n:]
    sizes, rest = integers(weights), integers([constant], y)
    total = [0] * n
    for side in (1, -1):
        mine = np.flatnonzero(sides == side).tolist()
        turns = sorted((side * at[j], sizes.values[j]) for j in mine)
        # From left to right as this side sees it: the sum of w and of w t over the kinks before.
        slope = moment = passed = 0
        for i in np.argsort(side * x, kind="stable").tolist():
            here = side * inputs[i]
            while passed < len(turns) and turns[passed][0] < here:
                slope += turns[passed][1]
                moment += turns[passed][0] * turns[passed][1]
                passed += 1
            total[i] += slope * here - moment
    shift = max(places.shift + sizes.shift, rest.shift)
    fits = Integers(total, places.shift + sizes.shift).scaled(shift)
    constant_, *targets = rest.scaled(shift)
    return [fit + constant_ for fit in fits], targets, shift


def largest_hinge(nu: FloatArray, x: FloatArray) -> tuple[int, int]:
    """What M(ν) is if Σν = 0, by the sums of one side alone; and its shift.

    With L(t) = νᵀ(t − x)_+ and Σν = 0, νᵀ(x − t)_+ is L(t) − L(t_end). M is the largest of both
    over t at the data. A change e of ν changes that by at most 2 Σ|e_i|(t_end − x_i).
    """
    places, sizes = integers(x), integers(nu)
    order = np.argsort(x, kind="stable").tolist()
    part = moment = 0
    hinges = []
    for i in order:
        part += sizes.values[i]
        moment += sizes.values[i] * places.values[i]
        hinges.append(part * places.values[i] - moment)
    largest = max(map(abs, hinges))
    low, high = min(hinges) - hinges[-1], max(hinges) - hinges[-1]
    return max(largest, abs(low), abs(high)), places.shift + sizes.shift


def mending_cost(x: FloatArray, misses: list[int], shift: int) -> float:
    """What adding a spline through the misses costs at most; inf if two at one x differ.

    With the slopes s between neighbours a spline costs max(V, (V + |s_first + s_last|)/2), V the
    sum of |s_{k+1} − s_k|.
    """
    if not any(misses):
        return 0.0
    places = integers(x)
    points = sorted(set(zip(places.values, misses, strict=True)))
    if any(one[0] == two[0] for one, two in pairwise(points)):
        return math.inf
    slopes = [
        (two[1] - one[1] << places.shift) // (two[0] - one[0]) for one, two in pairwise(points)
    ]
    if not slopes:
        return 0.0
    # Each slope is rounded down to an integer.
    variation = sum(abs(two - one) for one, two in pairwise(slopes)) + 2 * len(slopes)
    ends = abs(slopes[0] + slopes[-1]) + 2
    return above(rounded(max(variation, (variation + ends + 1) // 2), shift), 1)
