"""Entropy from below and softplus from above, with no library's logarithm or exponential trusted.

Logarithms are series of atanh in +, −, × and ÷, whose error is bounded term by term; a library's
exponential gives a guess at most, and any guess makes a true bound.
"""

from __future__ import annotations

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.rounding import charge

# The double next to log 2.
LOG_2 = 0.6931471805599453
# What is left out of the series after so many terms is below 2⁻⁶⁵ of it, for |s| ≤ 0.172 and 1/3.
NEAR, FAR = 13, 19
# Fewer than 60 roundings, of parts that are at most three times the whole.
ERROR = 3 * charge(60)
# A guess of a probability, so that its logarithm is finite.
LEAST = 1e-300


def entropy_below(tau: FloatArray) -> FloatArray:
    """Numbers that −τ log τ − (1 − τ) log(1 − τ) is not below, 0 ≤ τ ≤ 1."""
    rarer = np.minimum(tau, 1 - tau)  # exact where τ ≥ 1/2
    own = np.where(rarer > 0, rarer * _surprise(np.where(rarer > 0, rarer, 0.5)), 0.0)
    return np.asarray((own + (1 - rarer) * _surprise_of_other(rarer)) * (1 - ERROR - charge(4)))


def softplus_above(z: FloatArray, error: FloatArray) -> FloatArray:
    """Numbers that log(1 + eˣ) does not exceed for any |x − z| ≤ error.

    For any p in (0, ½], log(1 + e⁻ᵃ) has the value −log(1 − p) and the slope −p at
    a₀ = log((1 − p)/p), and no steeper slope than p e^(a₀ − a) between a₀ and a smaller a.
    """
    size = np.abs(z)
    decay = np.exp(-size)
    p = np.clip(decay / (1 + decay), LEAST, 0.5)
    own, other = _surprise(p), _surprise_of_other(p)
    below = np.maximum(0.0, own - other - size + 2 * ERROR * (own + other))
    # eᵈ ≤ 1 + 2d for d ≤ ½.
    rest = other * (1 + ERROR) + np.where(below < 0.5, p * below * (1 + 2 * below), below)
    gentle = (z <= 0) & (below + error < 0.5)
    slope = np.where(gentle, p * (1 + 2 * (below + error)), 1.0)
    return np.asarray((np.maximum(z, 0.0) + rest + error * slope) * (1 + charge(8)))


def _surprise(p: FloatArray) -> FloatArray:
    """−log p, 0 < p ≤ ½, up to `ERROR` of it."""
    mantissa, power = np.frexp(p)
    low = mantissa < np.sqrt(0.5)
    mantissa, power = np.where(low, 2 * mantissa, mantissa), np.where(low, power - 1, power)
    share = (1 - mantissa) / (1 + mantissa)
    return np.asarray(np.copysign(_atanh_twice(np.abs(share), NEAR), share) - power * LOG_2)


def _surprise_of_other(p: FloatArray) -> FloatArray:
    """−log(1 − p), 0 ≤ p ≤ ½, up to `ERROR` of it."""
    return _atanh_twice(p / (2 - p), FAR)


def _atanh_twice(s: FloatArray, terms: int) -> FloatArray:
    """2 atanh(s) = log((1 + s)/(1 − s)), s ≥ 0."""
    total = np.zeros_like(s)
    for k in reversed(range(terms)):
        total = total * (s * s) + 1.0 / (2 * k + 1)
    return np.asarray(2 * s * total)
