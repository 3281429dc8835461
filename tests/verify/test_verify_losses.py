"""The losses of the re-check against those of the library, decimals, and themselves in integers."""

from __future__ import annotations

import math
import sys
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest

from relu_opt import program
from relu_opt.verify.exact_integers import integers
from relu_opt.verify.faults import DataError, Flaw
from relu_opt.verify.logs import (
    exponential_above,
    log_within,
    power_rest_above,
    relative_above,
)
from relu_opt.verify.losses import LOSSES, Loss, MeanLoss, dual_point, find, mean_loss_above
from relu_opt.verify.losses.exact_mean import Term

PARAMETERS = {"huber": {"delta": 0.7}, "quantile": {"level": 0.3}}
every_loss = pytest.mark.parametrize("name", LOSSES)


def both(name):
    given = PARAMETERS.get(name, {})
    return LOSSES[name](**given), program.losses.make_loss(name, given)


def sample(mine, rng, n=60):
    z = rng.choice([0.1, 1.0, 8.0], n) * rng.standard_normal(n)
    if mine.labelled:
        return z, np.sign(rng.standard_normal(n))
    if not mine.residual:
        return z, rng.choice([0.0, 1.0, 3.0, 1e4, 0.2], n)
    return z, rng.standard_normal(n)


@every_loss
@pytest.mark.parametrize("seed", range(3))
def test_the_mean_is_above_that_in_integers_and_near_that_of_the_library(name, seed):
    rng = np.random.default_rng(seed)
    mine, theirs = both(name)
    z, y = sample(mine, rng)
    weight, constant = rng.uniform(0.2, 2.0, len(y)), float(rng.standard_normal())
    exact = Term(mine, integers(y), integers(weight))
    fits = [Fraction(a) + Fraction(constant) for a in z.tolist()]
    shift = max(each.denominator.bit_length() - 1 for each in fits)
    whole = exact.mean(type(integers(z))([int(each * (1 << shift)) for each in fits], shift))
    found = mean_loss_above(MeanLoss(mine, weight), z, 0 * z, constant, y)
    assert whole <= Fraction(found) <= whole * (1 + Fraction(1e-12))
    library = float(weight @ theirs.value(z + constant, y)) / len(y)
    assert library == pytest.approx(float(whole), rel=1e-11)
    for size in (1e-9, 0.1):
        error = np.full(len(y), size)
        above = mean_loss_above(MeanLoss(mine, weight), z, error, constant, y)
        for moved in (z - error, z + error, z + 0.3 * error):
            assert above >= float(weight @ theirs.value(moved + constant, y)) / len(y) * (1 - 1e-12)


@every_loss
@pytest.mark.parametrize("free", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_the_dual_is_below_that_in_integers_and_near_that_of_the_library(name, free, seed):
    rng = np.random.default_rng(seed)
    mine, theirs = both(name)
    z, y = sample(mine, rng)
    weight, n = rng.uniform(0.2, 2.0, len(y)), len(y)
    nu = -theirs.gradient(np.clip(z, -3, 3), y) * weight / n
    if free:
        up, down = nu[nu > 0].sum(), -nu[nu < 0].sum()
        nu = np.where(nu > 0, nu * min(1, down / up), nu * min(1, up / down))
    point = dual_point(MeanLoss(mine, weight), nu, y, free)
    whole = integers(nu)
    if free:
        values = list(whole.values)
        values[int(np.argmax(np.abs(nu)))] -= sum(values)
        whole = type(whole)(values, whole.shift)
    exact = Term(mine, integers(y), integers(weight))
    t = exact.shrink(whole)
    assert 1 - 1e-12 <= t <= 1
    assert 1 - 1e-12 <= point.share <= 1
    true = exact.dual(whole, t)
    library = -float(weight @ theirs.conjugate(-n * nu / weight * (1 - 1e-13), y)) / n
    assert float(true) == pytest.approx(library, rel=1e-9, abs=1e-9)
    low = point.below(1.0)
    assert Fraction(low) <= true + abs(true) * Fraction(1e-12) + Fraction(1e-13)
    assert low >= float(true) - 1e-10 * (1 + abs(float(true)))
    for share in (0.0, 0.5, 0.9):
        assert point.below(share) <= float(exact.dual(whole, t * Fraction(share))) + 1e-13


@every_loss
def test_slopes_beyond_the_domain_are_shrunk_into_it(name):
    mine, _ = both(name)
    y = np.array([1.0, 1.0, 1.0])
    nu = np.array([5.0, 0.1, 0.2]) / 3
    point = dual_point(MeanLoss(mine, np.ones(3)), nu, y, False)
    low, high = mine.slopes(y)
    assert (3 * point.share * nu <= high).all()
    assert (3 * point.share * nu >= low).all()
    shrunk = Term(mine, integers(y), integers(np.ones(3))).shrink(integers(nu))
    assert float(shrunk) == pytest.approx(point.share, rel=1e-12)
    assert (point.share < 1) == bool(np.isfinite(high).all())


def test_a_slope_without_a_finite_multiple_is_refused():
    poisson = LOSSES["poisson"]()
    y, nu = np.array([0.0, 2.0]), np.array([1e-9, 0.1])
    with np.errstate(all="ignore"):
        assert dual_point(MeanLoss(poisson, np.ones(2)), nu, y, False) is None
    assert Term(poisson, integers(y), integers(np.ones(2))).shrink(integers(nu)) == 0


def decimal(x):
    return Decimal(Fraction(x).numerator) / Decimal(Fraction(x).denominator)


def test_exponentials_and_logarithms_are_bounded():
    rng = np.random.default_rng(0)
    z = np.concatenate([30 * rng.standard_normal(40), 1e-8 * rng.standard_normal(9), [0.0, 600.0]])
    grown, rest = exponential_above(z), power_rest_above(z)
    t = np.exp(z)
    logs, doubt = log_within(t)
    with localcontext() as context:
        context.prec = 400
        for k, x in enumerate(map(decimal, z.tolist())):
            assert x.exp() <= decimal(grown[k]) <= x.exp() * decimal(1 + 1e-10)
            true = x.exp() - 1 - x
            assert true <= decimal(rest[k]) <= true * decimal(1 + 1e-10)
            assert abs(decimal(logs[k]) - decimal(t[k]).ln()) <= decimal(doubt[k])
            assert doubt[k] <= 1e-13 * (1 + abs(z[k]))
        for y in (0.0, 1e-3, 1.0, 1e9):
            shares = (1e-9, 0.3, 0.6, 1 - 1e-12, 1.0, -1e-12, -0.5, -0.99, -5.0, -1e6)
            v = np.array([share * y if y else -abs(share) for share in shares])
            for high, a in zip(relative_above(v, np.full(len(v), y)), v, strict=True):
                q = decimal(y) - decimal(a)
                true = decimal(a) + (q * q.ln() if q else 0)
                true -= q * decimal(y).ln() if y else 0
                assert true <= decimal(high)
                assert decimal(high) <= true + abs(true) * decimal(1e-10) + decimal(1e-12 * y)


def test_a_mean_beyond_doubles_ends_the_reading():
    with pytest.raises(Flaw, match="no double holds it"):
        LOSSES["poisson"]().twice(1 << 20, 1, 1, 0)


def test_an_unknown_loss_is_looked_for_in_packages(monkeypatch):
    import importlib.metadata

    class Mine(LOSSES["squared"]):
        name = "mine"

    class Entry:
        value = "mine:Mine"

        def __init__(self, load):
            self.load = load

    def raising():
        raise ImportError("no such module")

    assert find("mine") is None
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **k: [Entry(raising)])
    with pytest.raises(DataError, match="mine:Mine, cannot be loaded: no such module"):
        find("mine")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **k: [Entry(lambda: Mine)])
    monkeypatch.setattr(sys.modules[find.__module__], "LOSSES", dict(LOSSES))
    assert find("mine") is Mine
    assert issubclass(Mine, Loss)
    assert str(Mine()) == "mine loss"
    assert math.isinf(Mine().slopes(np.ones(1))[1][0])
