r"""The library's one model of rounding: what sums of products in doubles may be off by.

A sum of k products, computed in any order, with fused operations or without, takes each term
through at most k roundings, so it is off by at most

    γ_k Σ|a_i||b_i|,   γ_k = k u/(1 − k u),   u = 2⁻⁵³

(Higham, Accuracy and Stability of Numerical Algorithms, §3). Sums that are cut into chunks of
about √n terms have a depth of about 2√n in place of n. Numbers are to lie
within 2^±200 or be zero: what underflows is then below 2⁻⁴⁸⁰. `relu_opt.verify` has one of its own.

The library charges `CARE` times that bound. The verifier sums in another order, so that what it
computes may be two bounds away from what is computed here; with its own charge it then still
proves what is certified here.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array

from relu_opt.arrays import FloatArray

UNIT = 2.0**-53
# More than all that underflows where numbers lie within 2^±200.
UNDERFLOW = 2.0**-480
# How many times the bound on rounding is charged to a certificate.
CARE = 3
# No number of a proof is larger than this, in units of the data.
REACH = 2.0**200
# Splits a double into two halves of 26 bits (Dekker, 1971).
SPLITTER = 2.0**27 + 1


def gamma(k: int) -> float:
    """γ_k, rounded up: the relative error of a sum of k products in any order."""
    return k * UNIT / (1 - k * UNIT) * (1 + 8 * UNIT)


def above(value: float, k: int) -> float:
    """A number that a nonnegative `value`, computed with k roundings, does not exceed exactly."""
    return value * (1 + gamma(k + 2))


def charge(k: int) -> float:
    """What a certificate is charged for k roundings, relative to the size of the terms."""
    return CARE * gamma(k)


def in_reach(*arrays: ArrayLike) -> bool:
    """Whether no |entry| is above 2^200; what underflows beside such numbers is negligible."""
    return all(float(np.max(np.abs(array), initial=0.0)) <= REACH for array in arrays)


def scaled_up(value: float, power: int) -> float:
    """2^power · value ≥ 0 or the next double above."""
    with np.errstate(over="ignore"):
        result = float(np.ldexp(value, power))
    return math.nextafter(result, math.inf) if np.ldexp(result, -power) < value else result


def scaled_down(value: float, power: int) -> float:
    """2^power · value ≥ 0 or the next double below."""
    with np.errstate(over="ignore"):
        result = float(np.ldexp(value, power))
    return math.nextafter(result, 0.0) if np.ldexp(result, -power) > value else result


def chunk_rows(n: int) -> int:
    """The rows of a chunk for sums over n rows that keep the depth small."""
    return max(32, math.isqrt(n) + 1)


def depth(n: int) -> int:
    """How many roundings a term goes through in a sum over n rows, chunk by chunk."""
    rows = chunk_rows(n)
    return min(n, rows) + -(-n // rows)


def two_products(a: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
    """a·b as high + low, exactly (Dekker and Veltkamp)."""
    product = np.asarray(a * b)
    shifted = SPLITTER * a
    a_high = shifted - (shifted - a)
    shifted = SPLITTER * b
    b_high = shifted - (shifted - b)
    a_low, b_low = a - a_high, b - b_high
    low = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    return product, np.asarray(low)


def exact_dot(*pairs: tuple[ArrayLike, ArrayLike]) -> float:
    """Σ a·b over all pairs of arrays, rounded once."""
    parts: list[FloatArray] = []
    for a, b in pairs:
        parts += two_products(*np.broadcast_arrays(np.asarray(a, float), np.asarray(b, float)))
    return math.fsum(np.concatenate([np.ravel(part) for part in parts]).tolist())


def exact_residuals(rows: csr_array, x: FloatArray, sides: FloatArray) -> FloatArray:
    """Ax − sides for the rows of a sparse A, each rounded once."""
    high, low = two_products(rows.data, x[rows.indices])
    starts, parts = rows.indptr.tolist(), np.stack([high, low], axis=1).ravel().tolist()
    ends = zip(starts[:-1], starts[1:], sides.tolist(), strict=True)
    return np.array([math.fsum([*parts[2 * a : 2 * b], -side]) for a, b, side in ends])


def remainders(values: ArrayLike) -> list[float]:
    """Doubles whose exact sum is the exact sum of the values; empty where that is zero."""
    rest, found = np.ravel(np.asarray(values, float)).tolist(), []
    while (left := math.fsum(rest)) != 0.0:
        found.append(left)
        rest.append(-left)
    return found
