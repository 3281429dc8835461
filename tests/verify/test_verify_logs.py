"""The verifier's own logarithms against 60 digits, and its signs against rationals."""

from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest

from relu_opt.verify.logs import ERROR, entropy_below, minus_log, minus_log1m, softplus_above
from relu_opt.verify.signs import signs


def points(seed, count=400):
    rng = np.random.default_rng(seed)
    spread = 0.5 * 10.0 ** rng.uniform(-300, 0, count)
    edges = [2.0**-1000, 0.25, np.nextafter(0.5, 0), 0.5, 0.3535533905932738]
    return np.concatenate([rng.uniform(0, 0.5, count), spread, edges])


def test_logarithms_are_as_exact_as_they_say():
    t = points(0)
    with localcontext() as context:
        context.prec = 400
        for value, near, far in zip(t, minus_log(t), minus_log1m(t), strict=True):
            exact = Decimal(float(value))
            for found, truth in ((near, -exact.ln()), (far, -(1 - exact).ln())):
                assert abs(Decimal(float(found)) - truth) <= Decimal(ERROR / 20) * truth


def test_entropy_lies_below_and_close():
    t = np.concatenate([points(1), 1 - points(2), [0.0, 5e-324, 1.0]])
    found = entropy_below(t)
    with localcontext() as context:
        context.prec = 400
        for value, bound in zip(t, found, strict=True):
            a = Decimal(float(value))
            truth = sum((-q * q.ln() for q in (a, 1 - a) if q), Decimal(0))
            assert Decimal(float(bound)) <= truth
            if value == 0 or value > 1e-300:
                assert truth <= Decimal(float(bound)) * (1 + Decimal("1e-13"))


@pytest.mark.parametrize("error", [0.0, 1e-12, 0.1, 3.0])
def test_softplus_lies_above_and_close(error):
    rng = np.random.default_rng(3)
    m = np.concatenate([rng.normal(0, 3, 300), rng.normal(0, 300, 100), [0.0, -745, 745, -1e5]])
    found = softplus_above(m, np.full(len(m), error))
    with localcontext() as context:
        context.prec = 60
        for value, bound in zip(m, found, strict=True):
            end = Decimal(float(value)) + Decimal(error)
            truth = (1 + end.exp()).ln() if end > -100 else end.exp()
            assert Decimal(float(bound)) >= truth * (1 - Decimal("1e-45"))
            if not error and value > -250:
                assert Decimal(float(bound)) <= truth * (1 + Decimal(1e-13 * (1 + abs(value))))


def test_signs_are_exact():
    rng = np.random.default_rng(4)
    for trial in range(60):
        rows = rng.integers(-3, 4, (6, 3)) / 10 * 10.0 ** rng.integers(-150, 150)
        others = rng.integers(-3, 4, (7, 3)) * [1.0, 0.1, 3e-17 if trial % 2 else 1.0]
        exact = [
            [
                sum(Fraction(a) * Fraction(b) for a, b in zip(x, g, strict=True))
                for g in others.tolist()
            ]
            for x in rows.tolist()
        ]
        assert (signs(rows, others) == np.sign(np.array(exact)).astype(float)).all()
