"""What splines and their certificates prove, against rationals and in other units."""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

import relu_opt as ro
from relu_opt.program.losses import Huber
from relu_opt.proof.record import fingerprint
from relu_opt.train.one_input.certificate import objective_above
from relu_opt.train.one_input.exact import fits_and_targets, mending_cost
from relu_opt.train.one_input.neurons import Neurons
from relu_opt.train.one_input.problem import SplineProblem
from relu_opt.verify.spline_sums import fits_and_targets as re_fitted
from relu_opt.verify.spline_sums import largest_hinge
from relu_opt.verify.spline_sums import mending_cost as re_mended

LOSSES = ("squared", "huber", "squared_hinge", "hinge", "logistic")
DEMANDS = ("interpolation", "hard_margin")


def data(loss, n=30, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.random(n)
    y = np.sin(9 * x) + 0.3 * rng.standard_normal(n)
    return x, y if loss in ("squared", "huber", "interpolation") else np.where(y > 0, 1.0, -1.0)


def trained(loss, n=30, seed=0, offset=0.0):
    x, y = data(loss, n, seed)
    lam = None if loss in DEMANDS else 1e-3
    return x, y + offset, ro.one_input.fit_spline(x, y + offset, lam, loss=loss)


def function(neurons, x):
    """The neurons' function at doubles, as fractions."""
    arrays = (neurons.kinks, neurons.sides, neurons.weights)
    parts = list(zip(*(map(Fraction, array.tolist()) for array in arrays), strict=True))
    constant = Fraction(neurons.constant)
    return [
        constant + sum(w * max(0, side * (Fraction(at) - t)) for t, side, w in parts)
        for at in x.tolist()
    ]


def exact_loss(loss, fits, y):
    """The mean loss as a fraction."""
    total = Fraction(0)
    for fit, target in zip(fits, map(Fraction, y.tolist()), strict=True):
        far = abs(fit - target)
        short = max(Fraction(0), 1 - fit * target)
        total += {
            "squared": far**2 / 2,
            "huber": min(far, 1) * (far - min(far, 1) / 2),
            "hinge": short,
            "squared_hinge": short**2 / 2,
        }[loss]
    return total / len(fits)


def exact_cost(x, values):
    """The cost of the spline of these values at the data."""
    points = sorted(set(zip(map(Fraction, x.tolist()), values, strict=True)))
    slopes = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in pairwise(points)]
    changes = sum(abs(b - a) for a, b in pairwise(slopes))
    return max(changes, (changes + abs(slopes[0] + slopes[-1])) / 2)


@pytest.mark.parametrize("loss", ["squared", "huber", "squared_hinge", "hinge"])
def test_bounds_enclose_the_objective_and_the_optimum(loss):
    x, y, fit = trained(loss)
    checked = ro.verify(fit.certificate, x, y)
    cost = sum(map(Fraction, np.abs(fit.neurons.weights).tolist()))
    exact = exact_loss(loss, function(fit.neurons, x), y) + Fraction(1e-3) * cost
    for each in (fit, checked):
        assert (
            Fraction(each.lower_bound)
            <= exact
            <= Fraction(each.objective)
            <= exact * (1 + Fraction(1e-13))
        )
    assert checked.verdict == "certified"


@pytest.mark.parametrize("offset", [0.0, 1e7, 1e9])
def test_an_exact_fit_costs_at_most_what_is_said(offset):
    x, y, fit = trained("interpolation", offset=offset)
    best = exact_cost(x, list(map(Fraction, y.tolist())))
    checked = ro.verify(fit.certificate, x, y)
    assert fit.verdict == checked.verdict == "certified"
    for each in (fit, checked):
        assert Fraction(each.lower_bound) <= best <= Fraction(each.objective)
    assert "up to" in checked.statement
    assert "meeting them exactly adds" in checked.statement


def test_margins_are_met_by_the_spline_over_its_least_one():
    x, y, fit = trained("hard_margin", seed=3)
    neurons = fit.neurons
    margins = [f * int(t) for f, t in zip(function(neurons, x), y.tolist(), strict=True)]
    scaled = sum(map(Fraction, np.abs(neurons.weights).tolist())) / min(1, *margins)
    checked = ro.verify(fit.certificate, x, y)
    assert scaled <= Fraction(fit.objective)
    assert scaled <= Fraction(checked.objective) <= scaled * (1 + Fraction(1e-14))
    assert checked.verdict == "certified"


@pytest.mark.parametrize("loss", [*LOSSES, *DEMANDS])
@pytest.mark.parametrize(("at", "high"), [(-540, 3), (5, -300)])
def test_units_change_no_bit(loss, at, high):
    x, y, fit = trained(loss)
    checked = ro.verify(fit.certificate, x, y)
    if fit.problem.loss.classifies:
        high = 0
    lam = None if loss in DEMANDS else float(np.ldexp(1e-3, at + high))
    kind = Huber(2.0**high) if loss == "huber" else loss
    far, targets = np.ldexp(x, at), np.ldexp(y, high)
    other = ro.one_input.fit_spline(far, targets, lam, loss=kind)
    assert other.rel_gap == fit.rel_gap
    np.testing.assert_array_equal(other.neurons.weights, np.ldexp(fit.neurons.weights, high - at))
    np.testing.assert_array_equal(other.neurons.kinks, np.ldexp(fit.neurons.kinks, at))
    assert other.neurons.constant == np.ldexp(fit.neurons.constant, high)
    again = ro.verify(other.certificate, far, targets)
    assert again.verdict == checked.verdict == "certified"
    assert again.rel_gap == checked.rel_gap


@pytest.mark.parametrize("loss", ["squared", "huber"])
@pytest.mark.parametrize("offset", [1e7, 1e8, -1e9])
def test_targets_far_from_zero_are_certified(loss, offset):
    x, y, fit = trained(loss, offset=offset)
    assert fit.verdict == ro.verify(fit.certificate, x, y).verdict == "certified"
    near = ro.one_input.fit_spline(x, y - offset, 1e-3, loss=loss)
    assert fit.objective == pytest.approx(near.objective, rel=1e-8)


def test_a_dual_point_that_sums_to_nearly_zero_proves_no_more():
    x, y, fit = trained("squared")
    proof, far = fit.certificate, y + 1e8
    for share in (1e-13, -1e-13, 1e-16):
        nu = fit.nu + share * np.abs(fit.nu).max()
        forged = replace(
            proof,
            nu=nu,
            neurons=replace(fit.neurons, constant=fit.neurons.constant + 1e8),
            lower_bound=float(nu @ far) - 15 * float(nu @ nu),
            fingerprint=fingerprint(x[:, None], far),
        )
        checked = ro.verify(forged, x, far)
        assert checked.lower_bound <= checked.objective


def test_sums_of_many_points_cannot_be_deceived():
    # Terms of one sign first: running sums in doubles, or longer, lose what follows.
    n = 2000
    x = np.sort(np.random.default_rng(0).random(n))
    nu = np.r_[np.full(n // 2, 1 + 2.0**-52), np.full(n // 2, -1.0)] * 2.0**40 / n
    nu[-1] -= nu.sum()
    exact = [Fraction(0), Fraction(0)]
    largest = Fraction(0)
    for place, value in zip(map(Fraction, x.tolist()), map(Fraction, nu.tolist()), strict=True):
        exact = [exact[0] + value, exact[1] + value * place]
        largest = max(largest, abs(exact[0] * place - exact[1]))
    found, shift = largest_hinge(nu, x)
    assert Fraction(found, 2**shift) >= largest
    assert Fraction(SplineProblem(x, x, 1.0).largest(nu)) >= largest


def test_both_ways_to_fits_and_mending_are_the_rationals():
    rng = np.random.default_rng(5)
    x, y = rng.standard_normal(12), rng.standard_normal(12)
    neurons = Neurons(
        np.r_[x[:3], rng.standard_normal(4), 1e-30],
        rng.choice([-1.0, 1.0], 8),
        rng.standard_normal(8) * 10.0 ** rng.integers(-12, 12, 8),
        0.1,
    )
    wanted = function(neurons, x)
    fits, targets, shift = fits_and_targets(neurons, x, y)
    assert [Fraction(int(value), 2**shift) for value in fits] == wanted
    arrays = (neurons.kinks, neurons.sides, neurons.weights, neurons.constant)
    again, _, other = re_fitted(x, y, *arrays)
    assert [Fraction(value, 2**other) for value in again] == wanted
    misses = [f - Fraction(t) for f, t in zip(wanted, y.tolist(), strict=True)]
    cost = exact_cost(x, misses)
    off = fits - targets
    for found in (mending_cost(x, off, shift), re_mended(x, off.tolist(), shift)):
        assert cost <= Fraction(found) <= cost * (1 + Fraction(1e-12))


def test_mending_a_miss_beyond_all_doubles_costs_inf():
    # The slopes are doubles up to 2^1020; then two whose difference is none; then none are.
    for size, finite in ((1020, True), (1023, False), (1100, False)):
        x, misses = np.array([0.0, 1.0, 2.0]), [0, 1 << size, 0]
        for cost in (re_mended(x, misses, 0), mending_cost(x, np.array(misses, dtype=object), 0)):
            assert np.isfinite(cost) == finite
            assert cost > 0


def test_a_fit_that_is_missed_has_no_objective():
    x, y = data("interpolation")
    fit = ro.one_input.fit_spline(x, y, loss="interpolation")
    moved = replace(fit.neurons, constant=fit.neurons.constant + 1e-6)
    assert objective_above(fit.problem, moved) == np.inf
    assert objective_above(fit.problem, fit.neurons) == fit.objective


def test_the_gap_is_relative_to_the_lower_bound():
    x, y = data("squared")
    fit = ro.one_input.fit_spline(x, y, 1e-3, time_limit=1e-9)
    assert fit.objective <= (1 + fit.rel_gap) * fit.lower_bound * (1 + 1e-15)
    assert fit.rel_gap == pytest.approx((fit.objective - fit.lower_bound) / fit.lower_bound)


@pytest.mark.parametrize("loss", LOSSES)
def test_inputs_that_are_all_one_take_the_best_constant(loss):
    x, y = np.full(5, 0.3), np.array([1.0, -1.0, 1.0, 1.0, -1.0])
    found = ro.one_input.fit_spline(x, y, 0.1, loss=loss)
    assert ro.verify(found, x, y).valid
    constants = np.linspace(-2, 2, 401)
    best = min(found.problem.mean_loss(np.full(5, c)) for c in constants)
    assert found.objective <= best + 1e-12
