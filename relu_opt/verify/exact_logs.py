r"""Bounds on log, exp and what the logistic loss is made of, in integers.

A real number is enclosed by two integers, times a power of two. Series have nonnegative terms,
which are rounded down one by one; the bound from above adds what that and the tail may have cost.
Nothing depends on a floating-point library.
"""

from __future__ import annotations

import functools
from fractions import Fraction

# Binary digits of an enclosure: absolute for logarithms, relative for the rest.
BITS = 128
ENCLOSED = f" Logarithms and exponentials are enclosed to {BITS} binary digits."
# Digits that are computed beyond those that are promised.
GUARD = 32
# Beyond this, e⁻ᶻ is bounded by its value here; 2^-5900 is below every product of three doubles.
STEEPEST = 4096


def log_bounds(p: int, q: int, bits: int = BITS) -> tuple[int, int]:
    """Integers (low, high) with low ≤ 2^bits log(p/q) ≤ high, no more than 3 apart.

    Parameters
    ----------
    p, q : int
        Both positive.
    bits : int
        Binary digits behind the point.
    """
    # p/q = 2^e m with 1/√2 < m < √2 or a little beyond.
    e = p.bit_length() - q.bit_length()
    p, q = (p, q << e) if e >= 0 else (p << -e, q)
    if 2 * p * p > 4 * q * q:
        q, e = 2 * q, e + 1
    elif 4 * p * p < 2 * q * q:
        p, e = 2 * p, e - 1
    g = bits + GUARD + e.bit_length()
    low, high = _atanh(abs(p - q), p + q, g)
    if p < q:
        low, high = -high, -low
    two = _log_two(g)
    low += low + e * two[0 if e >= 0 else 1]
    high += high + e * two[1 if e >= 0 else 0]
    return low >> g - bits, -(-high >> g - bits)


@functools.cache
def _log_two(g: int) -> tuple[int, int]:
    low, high = _atanh(1, 3, g)
    return 2 * low, 2 * high


def _atanh(p: int, q: int, g: int) -> tuple[int, int]:
    """Bounds on 2^g atanh(s), 0 ≤ s = p/q ≤ 1/3: s + s³/3 + s⁵/5 + …"""
    power = (p << g) // q
    square = power * power >> g
    total, k = 0, 1
    while power:
        total += power // k
        power = power * square >> g
        k += 2
    # `square` is less than 2 short of s²; so each power is short by less than 2, as s² ≤ 1/9, and
    # each quotient by less than 2 + 1. What is left out of the series is below 2·(1 + 1/9 + …).
    return total, total + 3 * (k // 2) + 3


def exp_bounds(p: int, q: int, bits: int = BITS) -> tuple[Fraction, Fraction]:
    """Bounds (low, high) on exp(p/q), q > 0, whose distance relative to low is below 2^-bits."""
    g = bits + GUARD + max(0, abs(p).bit_length() - q.bit_length() + 1)
    two = _log_two(g)
    whole = (p << g) // q  # less than 1 short
    k = whole // two[1]
    # r = p/q − k log 2 lies in [low, high]/2^g and in [0, 0.7].
    low, high = whole - k * two[k >= 0], whole + 1 - k * two[k < 0]
    if low < 0:
        k -= 1
        low, high = whole - k * two[k >= 0], whole + 1 - k * two[k < 0]
    term, total, j = 1 << g, 0, 0
    while term:
        total += term
        j += 1
        term = term * low // (j << g)
    # Each term is short by less than 2, the tail too; e^high ≤ e^low (1 + 2 (high − low)), and
    # e^low ≤ 2.1.
    above = total + 2 * j + 2 + 5 * (high - low)
    scale = Fraction(2) ** (k - g)
    return total * scale, above * scale


def softplus_above(p: int, q: int) -> Fraction:
    """log(1 + e^z) from above for z = p/q, q > 0, to about `BITS` digits."""
    if p > 0:
        return Fraction(p, q) + softplus_above(-p, q)
    if -p > STEEPEST * q:
        p, q = -STEEPEST, 1
    power = exp_bounds(p, q)[1]
    bits = BITS + power.denominator.bit_length()
    high = log_bounds(power.numerator + power.denominator, power.denominator, bits)[1]
    return Fraction(high, 1 << bits)


def entropy_below(p: int, q: int) -> Fraction:
    """−τ log τ − (1 − τ) log(1 − τ) from below for τ = p/q in [0, 1], to about `BITS` digits."""
    least = min(p, q - p)
    if not least:
        return Fraction(0)
    bits = BITS + (q // least).bit_length()
    small, large = log_bounds(least, q, bits)[1], log_bounds(q - least, q, bits)[1]
    return Fraction(-(least * small + (q - least) * large) // q, 1 << bits)
