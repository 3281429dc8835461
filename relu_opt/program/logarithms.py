"""Logarithms, entropies and exponentials from the safe side, no library's function trusted.

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
# Terms of the series of eʳ − 1 − r, |r| ≤ 1: what is left out is below 2⁻⁶⁵ of it.
EXCESS = 21


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


def log_near(t: FloatArray) -> tuple[FloatArray, FloatArray]:
    """log t and how far it may be off, t > 0."""
    near, whole = _parts(t)
    return whole - near, charge(60) * (np.abs(near) + np.abs(whole))


def exp_above(z: FloatArray) -> FloatArray:
    """Numbers that eᶻ does not exceed; inf where no guess is near.

    For any p > 0, eᶻ = p e^(z − log p), and eᵈ ≤ 1 + d + d² for d ≤ 1.
    """
    with np.errstate(over="ignore"):
        p = np.clip(np.exp(z), LEAST, np.finfo(np.float64).max)
    log, off = log_near(p)
    d = (z - log) + off + charge(2) * (np.abs(z) + np.abs(log))
    above = p * (1 + np.where(d > 0, d + d * d, 0.0)) * (1 + charge(5))
    return np.where(d <= 1, above, np.inf)


def excess_above(r: FloatArray) -> FloatArray:
    """Numbers that eʳ − 1 − r does not exceed."""
    near = np.clip(r, -1.0, 1.0)
    series = np.zeros_like(near)
    for k in range(EXCESS, 1, -1):
        series = (series + 1.0) * near / k
    # The terms are at most twice their sum.
    inside = np.abs(series * near) * (1 + 2 * charge(3 * EXCESS))
    far = exp_above(r) - (1 + r)
    return np.where(np.abs(r) <= 1, inside, far + charge(4) * (np.abs(r) + np.abs(far) + 2))


def relative_entropy_above(v: FloatArray, y: FloatArray) -> FloatArray:
    """Numbers that q log(q/y) − q + y does not exceed, q = y − v ≥ 0; where y is 0 q log q − q."""
    some = y > 0
    whole = np.where(some, y, 1.0)
    # (v²/y)/(2 + w) · (1 + 2(1 + w)w/(2 + w)² · (1/3 + s²/5 + …)), w = −v/y, s = w/(2 + w).
    w = np.clip(-v / whole, -0.5, 1.0)
    s, series = w / (2 + w), np.zeros_like(w)
    for k in reversed(range(FAR)):
        series = series * (s * s) + 1.0 / (2 * k + 3)
    bracket = 1 + 2 * (1 + w) * w / (2 + w) ** 2 * series
    near = v * (v / whole) / (2 + w) * bracket * (1 + charge(4 * FAR))
    q = np.maximum(y - v, 0.0)
    log, off = log_near(np.where(q > 0, q, 1.0))
    base, more = log_near(whole)
    apart, wrong = np.where(some, log - base, log), np.where(some, off + more, off)
    far = q * apart + v
    # A rounding of q changes q log q by q (|log q| + 1) of them.
    sizes = q * (np.abs(log) + np.abs(base) + np.abs(apart) + 1) + np.abs(v)
    far = far + q * wrong * (1 + charge(2)) + charge(6) * sizes
    return np.asarray(np.where(some & (v >= -y) & (2 * v <= y), near, far))


def _surprise(p: FloatArray) -> FloatArray:
    """−log p, 0 < p ≤ ½, up to `ERROR` of it."""
    near, whole = _parts(p)
    return near - whole


def _parts(p: FloatArray) -> tuple[FloatArray, FloatArray]:
    """−log m and e log 2 for p = m 2^e, m about 1, each within 60 roundings."""
    mantissa, power = np.frexp(p)
    low = mantissa < np.sqrt(0.5)
    mantissa, power = np.where(low, 2 * mantissa, mantissa), np.where(low, power - 1, power)
    share = (1 - mantissa) / (1 + mantissa)
    return np.copysign(_atanh_twice(np.abs(share), NEAR), share), np.asarray(power * LOG_2)


def _surprise_of_other(p: FloatArray) -> FloatArray:
    """−log(1 − p), 0 ≤ p ≤ ½, up to `ERROR` of it."""
    return _atanh_twice(p / (2 - p), FAR)


def _atanh_twice(s: FloatArray, terms: int) -> FloatArray:
    """2 atanh(s) = log((1 + s)/(1 − s)), s ≥ 0."""
    total = np.zeros_like(s)
    for k in reversed(range(terms)):
        total = total * (s * s) + 1.0 / (2 * k + 1)
    return np.asarray(2 * s * total)
