"""Splines in integers: bounds as of plain rationals, honest files proved, forged ones not."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import relu_opt as ro
from relu_opt import verify
from relu_opt.verify.exact_integers import balanced, integers
from relu_opt.verify.exact_splines import _largest, _mending

LOSSES = ["squared", "huber", "hinge", "squared_hinge", "logistic"]
DEMANDED = ["interpolation", "hard_margin"]
LABELLED = ["hinge", "squared_hinge", "logistic", "hard_margin"]


def data(loss, n=25, offset=0.0, scale=1.0):
    rng = np.random.default_rng(n)
    x = scale * rng.uniform(-3, 3, n)
    y = np.sin(x / scale) + 0.1 * rng.standard_normal(n) + offset
    return x, np.sign(y) if loss in LABELLED else y


def certificate(loss, weight=None, **more):
    x, y = data(loss, **more)
    settings = {} if loss in DEMANDED else {"lam": 0.01, "sample_weight": weight}
    return ro.one_input.fit_spline(x, y, loss=loss, **settings).certificate, x, y


class Fake:
    """A certificate with some of its entries changed by functions."""

    def __init__(self, honest, **changes):
        self.arrays, self.description = dict(honest.to_arrays()), dict(honest.meta())
        for name, change in changes.items():
            home = self.arrays if name in self.arrays else self.description
            home[name] = change(home[name])

    def to_arrays(self):
        return self.arrays

    def meta(self):
        return self.description


CASES = [(loss, weighted) for loss in LOSSES for weighted in (False, True)]


@pytest.mark.parametrize(("loss", "weighted"), [*CASES, *((loss, False) for loss in DEMANDED)])
def test_honest_splines_are_proved(loss, weighted):
    weight = np.random.default_rng(0).uniform(0.5, 2, 25) if weighted else None
    proof, x, y = certificate(loss, weight)
    found, doubles = verify(proof, x, y, arithmetic="exact"), verify(proof, x, y)
    assert (found.verdict, doubles.verdict, found.problems) == ("certified", "certified", ())
    assert "Proved in exact arithmetic." in found.statement
    assert found.objective <= doubles.objective
    assert found.lower_bound >= doubles.lower_bound
    assert found.gap >= 0


@pytest.mark.parametrize(("offset", "scale"), [(1e7, 1.0), (0.0, 1e-150), (0.0, 1e140)])
def test_offsets_and_units(offset, scale):
    x, y = data("interpolation", 9, offset, scale)
    proof = ro.one_input.fit_spline(x, y, loss="interpolation").certificate
    assert verify(proof, x, y, arithmetic="exact").valid


FORGERIES = {
    "a shorter nu": {"nu": lambda nu: 0.99 * nu},
    "nu reversed": {"nu": lambda nu: nu[::-1].copy()},
    "nu negated": {"nu": lambda nu: -nu},
    "larger weights": {"weights": lambda weights: 1.001 * weights},
    "other sides": {"sides": lambda sides: -sides},
    "other kinks": {"kinks": lambda kinks: kinks + 0.1},
    "another constant": {"constant": lambda constant: constant + 0.01},
    "a smaller tol": {"tol": lambda tol: 1e-40},
}


@pytest.mark.parametrize("loss", ["squared", "hinge", "logistic", "interpolation"])
def test_forged_splines_are_not(loss):
    proof, x, y = certificate(loss)
    assert verify(proof, x, y, arithmetic="exact").valid
    for name, changes in FORGERIES.items():
        if name == "nu negated" and loss == "interpolation":
            changes = {"nu": lambda nu: 0.5 * nu}
        found = verify(Fake(proof, **changes), x, y, arithmetic="exact")
        assert not found.valid, name
        assert found.problems


def test_the_largest_hinge_is_that_of_all_kinks():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x = rng.choice([rng.standard_normal(6), rng.integers(-2, 3, 6).astype(float)])
        nu = balanced(integers(rng.standard_normal(6)))
        assert sum(nu.values) == 0
        values = [Fraction(v, 1 << nu.shift) for v in nu.values]
        points = [Fraction(p) for p in x.tolist()]
        hinges = [
            abs(
                sum(
                    v * max(Fraction(0), side * (p - t))
                    for v, p in zip(values, points, strict=True)
                )
            )
            for t in [*points, min(points) - 1, max(points) + 1]
            for side in (1, -1)
        ]
        assert _largest(x, nu) == max(hinges)


def test_what_mending_a_fit_costs():
    x = np.array([0.0, 1.0, 3.0])
    # Slopes 2 and −1: a change of 3, and ends that add up to 1.
    assert _mending(x, [0, 2, 0], 0) == pytest.approx(3.0, rel=1e-30)
    assert _mending(x, [0, 2, 0], 0) >= 3
    # One slope alone costs its size.
    assert _mending(x, [0, 2, 6], 1) == pytest.approx(1.0, rel=1e-30)
    assert _mending(x, [5, 5, 5], 0) == 0
    assert _mending(np.array([1.0, 1.0]), [0, 1], 0) is None


@pytest.mark.parametrize("loss", DEMANDED)
def test_a_miss_beyond_all_doubles_is_named(loss):
    proof, x, y = certificate(loss)
    far = 1e3 * proof.to_arrays()["sides"]
    wild = Fake(proof, weights=lambda w: np.full_like(w, -1e308), kinks=lambda t: t - far)
    found = verify(wild, x, y, arithmetic="exact")
    assert not found.valid
    assert any("The fit is missed by more than" in problem for problem in found.problems)
