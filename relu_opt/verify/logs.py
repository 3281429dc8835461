"""Logarithms and exponentials with a proved error, of +, −, × and ÷ alone.

No library's log or exp is trusted: it gives a guess at most.
"""

from __future__ import annotations

import numpy as np

from relu_opt.verify.rounding import UNDERFLOW, UNIT, FloatArray, gamma

# log 2, off by less than a unit roundoff.
LOG_2 = 0.6931471805599453
# Terms of the series of atanh, so that what is left out is below 2⁻⁶⁵ of the whole.
TERMS_NEAR, TERMS_FAR = 12, 18
# Likewise of the series of eʳ − 1 − r, and of (1 − w) log(1 − w) + w, up to ½.
TERMS_POWER, TERMS_RELATIVE = 18, 60
# Smaller numbers lose their last bits.
LEAST = 2.0**-1000
# Relative error of `minus_log` and `minus_log1m`: at most 60 roundings of parts that are at most
# three times the whole.
ERROR = 3 * gamma(60)


def minus_log(t: FloatArray) -> FloatArray:
    """−log t for 0 < t ≤ 1/2, to within a factor 1 ± `ERROR`."""
    near, halvings = _two_logs(t)
    return near + halvings


def _two_logs(t: FloatArray) -> tuple[FloatArray, FloatArray]:
    """−log m and −e log 2 for t = m 2^e, m about 1."""
    mantissa, exponent = np.frexp(t)
    low = mantissa < 0.7071067811865476
    mantissa = np.where(low, 2 * mantissa, mantissa)
    # 1 − m is exact for m in [1/2, 2].
    ratio = (1 - mantissa) / (1 + mantissa)
    near = np.copysign(_twice_atanh(np.abs(ratio), TERMS_NEAR), ratio)
    return near, np.where(low, 1 - exponent, -exponent) * LOG_2


def minus_log1m(t: FloatArray) -> FloatArray:
    """−log(1 − t) for t = 0 or `LEAST` ≤ t ≤ 1/2, to within a factor 1 ± `ERROR`."""
    return _twice_atanh(t / (2 - t), TERMS_FAR)


def entropy_below(t: FloatArray) -> FloatArray:
    """A lower bound on −t log t − (1 − t) log(1 − t), 0 ≤ t ≤ 1."""
    small = np.minimum(t, 1 - t)  # 1 − t is exact for t ≥ 1/2
    small = np.where(small >= LEAST, small, 0.0)
    value = small * minus_log(np.where(small > 0, small, 0.5))
    return np.asarray((value + (1 - small) * minus_log1m(small)) * (1 - ERROR - gamma(6)))


def softplus_above(m: FloatArray, error: FloatArray) -> FloatArray:
    """An upper bound on log(1 + exp(x)) for every |x − m| ≤ `error`.

    With a = |m| and any p, 0 < p ≤ 1/2: −log(1 − p) is the value at −a₀ = log p − log(1 − p), where
    the slope is p, and d beyond it the slope is at most p eᵈ. So p may be any guess.
    """
    size = np.abs(m)
    p = np.clip(np.exp(-size) / (1 + np.exp(-size)), 1e-300, 0.5)
    rest, far = minus_log1m(p), minus_log(p)
    d = np.maximum(0.0, far - rest - size + 2 * ERROR * (far + rest))
    rise = np.where(d < 0.5, p * d * (1 + 2 * d), d)
    value = np.maximum(m, 0.0) + (rest * (1 + ERROR) + rise)
    gentle = (m <= 0) & (d <= 0.2) & (error <= 0.2)
    slope = np.where(gentle, np.minimum(1.0, p * (1 + 4 * d + 4 * error)), 1.0)
    return np.asarray((value + error * slope) * (1 + gamma(10)) + UNDERFLOW)


def log_within(t: FloatArray) -> tuple[FloatArray, FloatArray]:
    """log t, t > 0, and how far it may be off."""
    near, halvings = _two_logs(t)
    return -(near + halvings), gamma(60) * (np.abs(near) + np.abs(halvings))


def exponential_above(z: FloatArray) -> FloatArray:
    """An upper bound on eᶻ: with any p > 0, p e^(z − log p), and eᵈ ≤ 1/(1 − d); inf if d > ½."""
    p = np.clip(np.exp(z), 1e-300, 1e300)
    log, doubt = log_within(p)
    d = (z - log) + (doubt + 2 * UNIT * (np.abs(z) + np.abs(log)))
    value = p / (1 - np.clip(d, 0.0, 0.5)) * (1 + gamma(6))
    return np.where(d <= 0.5, value, np.inf)


def power_rest_above(r: FloatArray) -> FloatArray:
    """An upper bound on eʳ − 1 − r."""
    near = np.clip(r, -0.5, 0.5)
    series = np.zeros_like(near)
    for k in range(TERMS_POWER, 2, -1):
        series = (1 + series) * near / k
    # 1 + r/3 + r²/12 + …, at least 0.84 of it where r < 0.
    inside = near * near / 2 * (1 + series) * (1 + gamma(2 * TERMS_POWER + 8))
    grown = exponential_above(r)
    outside = (grown - (1 + r)) + 4 * UNIT * (grown + np.abs(r) + 1)
    return np.where(np.abs(r) <= 0.5, inside, outside)


def relative_above(v: FloatArray, y: FloatArray) -> FloatArray:
    """An upper bound on q log(q/y) + v, q = y − v ≥ 0; of y = 0 on q log q + v."""
    counted = y > 0
    size = np.where(counted, y, 1.0)
    share = np.clip(v / size, -0.5, 0.5)
    # y (w²/2 + w³/6 + w⁴/12 + …), w = v/y.
    series = np.zeros_like(share)
    for k in range(TERMS_RELATIVE, 1, -1):
        series = 1 / (k * (k - 1)) + share * series
    inside = v * share * series * (1 + gamma(3 * TERMS_RELATIVE))
    q = np.maximum(y - v, 0.0)
    log, doubt = log_within(np.where(q > 0, q, 1.0))
    base, more = log_within(size)
    outside = q * (log - base) + v
    sizes = q * (np.abs(log) + np.abs(base) + 1) + np.abs(v)
    outside = outside + (q * (doubt + more) + 8 * UNIT * sizes) * (1 + gamma(4))
    return np.where(counted & (np.abs(v) <= y / 2), inside, outside)


def _twice_atanh(s: FloatArray, terms: int) -> FloatArray:
    """2 atanh(s) for s ≥ 0 by its series, from below."""
    square = s * s
    total = np.zeros_like(s)
    for k in range(terms, -1, -1):
        total = total * square + 1.0 / (2 * k + 1)
    return np.asarray(2 * s * total)
