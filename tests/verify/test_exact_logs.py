"""Enclosures of logarithms and exponentials: they hold the true value, and are narrow."""

from __future__ import annotations

import decimal
import random
from decimal import Decimal
from fractions import Fraction

import pytest

from relu_opt.verify.exact_logs import (
    STEEPEST,
    entropy_below,
    exp_bounds,
    log_bounds,
    softplus_above,
)

# Far more digits than an enclosure has; `Decimal` rounds ln and exp correctly.
DIGITS = decimal.Context(prec=700, Emin=-(10**6), Emax=10**6)
NARROW = Fraction(1, 2**125)


def ratios(count, seed, bits=(1, 7, 53, 200), shifts=(0, 0, 1, 60, 1000)):
    """Pairs of positive integers of all sizes."""
    draw = random.Random(seed)
    for _ in range(count):
        p, q = ((draw.getrandbits(draw.choice(bits)) + 1) << draw.choice(shifts) for _ in range(2))
        yield p, q


def quotient(p, q):
    return DIGITS.divide(Decimal(p), Decimal(q))


def exact(value):
    return Fraction(*value.as_integer_ratio())


def close_to_one():
    for k in (1, 2, 30, 53, 127, 128, 129, 300):
        yield from (((1 << k) + 1, 1 << k), ((1 << k) - 1 or 1, 1 << k), (1 << k, (1 << k) + 1))


@pytest.mark.parametrize("bits", [8, 64, 128, 400])
def test_logarithms(bits):
    for p, q in [*ratios(40, bits), *close_to_one(), (1, 1), (1, 2), (2, 1)]:
        low, high = log_bounds(p, q, bits)
        true = exact(DIGITS.ln(quotient(p, q))) * 2**bits
        # `true` itself is rounded, far behind the last digit of an enclosure.
        assert low - Fraction(1, 2**900) <= true <= high + Fraction(1, 2**900), (p, q)
        assert high - low <= 3


def exponents():
    for p, q in ratios(60, 2, shifts=(0, 0, 1, 60)):
        if p <= STEEPEST * q:
            yield from ((p, q), (-p, q))
    yield from ((0, 1), (1, 1), (-1, 1), (1, 2**200), (-1, 2**200), (-STEEPEST, 1))


def test_exponentials():
    for p, q in exponents():
        low, high = exp_bounds(p, q)
        true = exact(DIGITS.exp(quotient(p, q)))
        assert low * (1 - NARROW**4) <= true <= high * (1 + NARROW**4)
        assert (high - low) <= low * NARROW


def test_softplus_is_above_and_near():
    for p, q in exponents():
        bound = softplus_above(p, q)
        z = quotient(p, q)
        true = exact(DIGITS.ln(DIGITS.add(Decimal(1), DIGITS.exp(z))))
        if z < -400:  # 1 + e^z needs more digits than these: e^z − e^2z/2 < log(1 + e^z) < e^z
            true = exact(DIGITS.exp(z))
        assert true * (1 - NARROW**3) <= bound <= true * (1 + NARROW)


def test_softplus_far_out_is_above_and_small():
    tiny = softplus_above(-(10**300), 1)
    assert 0 < tiny < Fraction(1, 2**5900)
    assert 0 < softplus_above(10**300, 1) - 10**300 < Fraction(1, 2**5900)


def shares():
    for p, q in ratios(60, 3):
        if p != q:
            yield min(p, q), max(p, q)
            yield max(p, q) - min(p, q), max(p, q)


def test_entropy_is_below_and_near():
    assert entropy_below(0, 1) == entropy_below(1, 1) == 0
    for p, q in [*shares(), (1, 2), (1, 2**1000)]:
        bound = entropy_below(p, q)
        small, large = quotient(min(p, q - p), q), quotient(max(p, q - p), q)
        true = -sum(exact(share) * exact(DIGITS.ln(share)) for share in (small, large))
        assert true * (1 - NARROW) <= bound <= true * (1 + NARROW**4)


def test_against_arb():
    flint = pytest.importorskip("flint")
    before, flint.ctx.prec = flint.ctx.prec, 4000
    try:
        for p, q in ratios(2000, 5):
            low, high = log_bounds(p, q)
            true = (flint.arb(p) / q).log() * flint.arb(2) ** 128
            assert low <= true
            assert true <= high
        for p, q in ratios(500, 6, shifts=(0, 0, 1)):
            if p <= STEEPEST * q:
                low, high = (flint.arb(b.numerator) / b.denominator for b in exp_bounds(-p, q))
                true = (-flint.arb(p) / q).exp()
                assert low <= true
                assert true <= high
    finally:
        flint.ctx.prec = before
