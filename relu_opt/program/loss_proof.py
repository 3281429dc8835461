r"""The loss term of a training problem, proved in doubles: F from above, D from below.

D(ν) = Σ_k ν_k o_k − (1/n) Σ_k s_k c(nν_k/s_k) is evaluated at the doubles ν themselves. With a free
constant they are moved first until their exact sum is zero: F* is infinite elsewhere, and whatever
is left of the sum would be multiplied by the offset of y.
"""

from __future__ import annotations

import math

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.program.loss_term import LossTerm
from relu_opt.rounding import UNDERFLOW, charge, exact_dot

# Bits of a double.
BITS = 53


def loss_above(
    term: LossTerm,
    fits: FloatArray,
    error: FloatArray,
    constant: float,
    y: FloatArray,
) -> float:
    """A number that F(z + c) does not exceed for any |z − fits| ≤ error; inf if none is found.

    Parameters
    ----------
    term : LossTerm
    fits, error : (n,) arrays
    constant : float
    y : (n,) array
        The targets, from the same origin as the constant.
    """
    values = weights_of(term) * term.loss.value_above(fits, constant, y, error)
    if not np.isfinite(values).all():
        return math.inf
    return math.fsum(values.tolist()) / len(values) * (1 + charge(4))


def settled(term: LossTerm, nu: FloatArray) -> FloatArray:
    """The ν nearby at which D is finite for certain, (n,); zero where there is none.

    Entries are clipped to the slopes that the loss has. With a free constant they become multiples
    of the last bit of the largest, and that one takes what their sum lacks, exactly.
    """
    low, high = term.loss.slopes(term.y)
    share = weights_of(term) / len(nu) * (1 - charge(8))
    low, high = low * share, high * share
    nu = term.admissible(np.clip(nu, low, high))
    largest = float(np.abs(nu).max())
    if not term.intercept or largest == 0.0:
        return nu
    unit = math.ldexp(1.0, math.frexp(largest)[1] - BITS)
    if unit == 0.0:
        return np.zeros_like(nu)
    steps = np.clip(np.rint(nu / unit), np.ceil(low / unit), np.floor(high / unit))
    nu = steps * unit
    rest = math.fsum(nu.tolist())
    giver = int(np.argmax(nu if rest > 0 else -nu))
    if abs(rest) > abs(nu[giver]):
        return np.zeros_like(nu)
    nu[giver] -= rest
    return nu


def dual_below(term: LossTerm, nu: FloatArray) -> float:
    """A number that D(ν) is not below; −inf where D may be infinite.

    Parameters
    ----------
    term : LossTerm
    nu : (n,) array
        Such as `settled` returns.
    """
    weights = weights_of(term)
    slope = len(nu) * nu / weights
    low, high = term.loss.slopes(term.y)
    inside = (slope * (1 + charge(4)) <= high) & (slope * (1 + charge(4)) >= low)
    if not inside.all() or (term.intercept and math.fsum(nu.tolist()) != 0.0):
        return -math.inf
    linear = exact_dot((nu, term.loss.offset(term.y)))
    rest = math.fsum((weights * term.loss.rest_above(slope, term.y)).tolist()) / len(nu)
    if linear == 0.0 and rest == 0.0:
        return 0.0
    return linear - rest - charge(4) * (abs(linear) + abs(rest)) - UNDERFLOW


def weights_of(term: LossTerm) -> FloatArray:
    """s_k, (n,)."""
    return np.ones(len(term.y)) if term.sample_weight is None else term.sample_weight
