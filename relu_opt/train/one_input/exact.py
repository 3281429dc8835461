r"""What neurons of one input do to the data, without any rounding: arrays of integers.

Doubles are integers times a power of two, so that running sums of them are exact. A demanded fit is
met by stored weights up to rounding only; what mending it costs makes an upper bound of the cost.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from relu_opt.arrays import FloatArray
from relu_opt.rounding import charge
from relu_opt.train.one_input.neurons import Neurons

Objects = NDArray[np.object_]


def integers(*arrays: FloatArray) -> tuple[list[Objects], int]:
    """Arrays (any shape) as integers times 2^−shift, with one shift for all."""
    parts = [np.frexp(array) for array in arrays]
    least = min((int(exponents.min(initial=0)) for _, exponents in parts), default=0)
    found = [
        np.ldexp(mantissas, 53).astype(np.int64).astype(object)
        * np.power(2, (exponents - least).astype(object))
        for mantissas, exponents in parts
    ]
    return found, 53 - least


def fits_and_targets(
    neurons: Neurons, x: FloatArray, y: FloatArray
) -> tuple[Objects, Objects, int]:
    """The fits at x, and y, (n,), as integers times 2^−shift; and the shift."""
    (inputs, kinks), along = integers(x, neurons.kinks)
    (weights,), up = integers(neurons.weights)
    (targets, constant), flat = integers(y, np.array([neurons.constant]))
    total = np.zeros(len(x), dtype=object)
    for side in (1, -1):
        mine = np.flatnonzero(neurons.sides == side)
        mine = mine[np.argsort(side * neurons.kinks[mine])]
        # Sums of w and of w t over the kinks before each input, as this side sees them.
        before = np.searchsorted(side * neurons.kinks[mine], side * x)
        slopes = np.append(0, np.cumsum(weights[mine]))[before]
        moments = np.append(0, np.cumsum(weights[mine] * (side * kinks[mine])))[before]
        total = total + slopes * (side * inputs) - moments
    shift = max(along + up, flat)
    up_to, flat_to = 2 ** (shift - along - up), 2 ** (shift - flat)
    return total * up_to + constant * flat_to, targets * flat_to, shift


def as_doubles(values: Objects, shift: int) -> FloatArray:
    """values · 2^−shift, each rounded once."""
    return np.array([quotient(value, 1 << shift) for value in values], dtype=np.float64)


def cost_above(neurons: Neurons) -> float:
    """Σ|w|, rounded up; exactly that where it is a double."""
    (weights,), shift = integers(neurons.weights)
    total = int(sum(np.abs(weights)))
    cost = quotient(total, 1 << shift)
    part, whole = cost.as_integer_ratio() if math.isfinite(cost) else (total, 1 << shift)
    return cost if part << shift >= total * whole else math.nextafter(cost, math.inf)


def mending_cost(x: FloatArray, off: Objects, shift: int) -> float:
    """What adding the spline through −off costs at most; off at one x are the same, or it is inf.

    The cost is that of `splines.problem`, in integers up to the last step.
    """
    if not off.any():
        return 0.0
    (inputs,), along = integers(x)
    order = np.argsort(x, kind="stable")
    steps, rises = np.diff(inputs[order]), np.diff(off[order])
    if any(rise for step, rise in zip(steps, rises, strict=True) if not step):
        return math.inf
    slopes = [(rise << along) // step for step, rise in zip(steps, rises, strict=True) if step]
    if not slopes:
        return 0.0
    # Each slope is rounded down to an integer.
    variation = sum(abs(two - one) for one, two in pairwise(slopes)) + 2 * len(slopes)
    ends = abs(slopes[0] + slopes[-1]) + 2
    cost = quotient(max(variation, (variation + ends + 1) // 2), 1 << shift)
    return cost * (1 + charge(1))


def quotient(part: int, whole: int) -> float:
    """part/whole for whole > 0, rounded once; inf where that is too large."""
    try:
        return part / whole
    except OverflowError:
        return math.inf if part > 0 else -math.inf
