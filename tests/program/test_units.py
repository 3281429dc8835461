"""Units: exact powers of two, and programs that are the same in them."""

from __future__ import annotations

import numpy as np
import pytest

from relu_opt import ConvexProgram, sample_patterns
from relu_opt.errors import DataError
from relu_opt.program.losses import LOSSES, Huber, Quantile, get_loss
from relu_opt.program.units import Units, centre_of, exponent, scaled, survives


@pytest.fixture
def rng():
    return np.random.default_rng(1)


LABELS = ("logistic", "squared_hinge", "hinge")


def data(loss, seed=0, n=25):
    rng = np.random.default_rng(seed)
    X = np.c_[rng.uniform(size=(n, 2)), np.ones(n)]
    y = rng.uniform(10, 50, size=n)
    loss = get_loss(loss)
    return X, (np.where(y > 30, 1.0, -1.0) if loss.classifies else y if loss.scales else np.rint(y))


def program(X, y, lam, loss="squared", **settings):
    return ConvexProgram(X, y, lam, sample_patterns(X, 20, 0), get_loss(loss), **settings)


@pytest.mark.parametrize(
    ("values", "power"), [([0.0], 0), ([-1.0], 0), ([0.5, -3.9], 1), ([5e-324], -1074)]
)
def test_exponent_brings_the_largest_entry_to_one(values, power):
    assert exponent(np.array(values)) == power


@pytest.mark.parametrize("power", [-2000, -1075, -3, 0, 3, 1500])
def test_scaled_is_exact_or_leaves_the_range(power):
    found = scaled(np.array([1.0, -3.0]), power)
    exact = -1070 < power < 1020
    assert survives(np.array([1.0, -3.0]), power) == exact
    if exact:
        assert np.array_equal(found, [2.0**power, -3 * 2.0**power])
    assert scaled(scaled(1.0, 600), -600) == 1.0


def test_a_centre_is_taken_only_where_differences_have_no_rounding(rng):
    for offset in (1e9, -1e9, 30.0, 2.0**60):
        y = offset + rng.normal(size=51)
        centre = centre_of(y)
        assert centre == np.median(y)
        exact = [float(a).as_integer_ratio() for a in y]
        top, bottom = centre.as_integer_ratio()
        for (p, q), each in zip(exact, y - centre, strict=True):
            r, s = float(each).as_integer_ratio()
            assert (p * bottom - top * q) * s == r * q * bottom
    assert centre_of(rng.normal(size=9)) == 0.0
    assert centre_of(np.array([1.0, 2.5])) == 0.0


@pytest.mark.parametrize("loss", [*LOSSES, Huber(3.0)], ids=str)
def test_a_loss_says_how_it_scales(loss, rng):
    loss = get_loss(loss)
    z, y = rng.normal(size=30) * 4, np.sign(rng.normal(size=30))
    other = loss.rescaled(3)
    assert (other is None) == (loss.classifies or loss.name == "poisson") == (not loss.scales)
    if other is not None:
        assert np.array_equal(loss.value(8 * z, 8 * y), 64 * other.value(z, y))
        assert np.array_equal(loss.gradient(8 * z, 8 * y), 8 * other.gradient(z, y))


def test_the_delta_of_another_unit_stays_a_double():
    assert Huber(1e300).rescaled(-1000).delta == np.finfo(float).max


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("intercept", [False, True])
def test_programs_in_other_units_are_the_same_in_their_own(loss, intercept):
    X, y = data(loss)
    plain = program(X, y, 0.1, loss, intercept=intercept)
    p, q = 543, -37 if get_loss(loss).scales else 0
    other_loss = {"huber": Huber(2.0**q), "quantile": Quantile(0.5, 2.0**q)}.get(loss, loss)
    other = program(scaled(X, p), scaled(y, q), scaled(0.1, p + q), other_loss, intercept=intercept)
    mine, theirs = plain.canonical, other.canonical
    assert np.array_equal(mine.X, theirs.X)
    assert np.array_equal(mine.y, theirs.y)
    assert (mine.lam, mine.loss) == (theirs.lam, theirs.loss)
    assert other.lam_max == scaled(plain.lam_max, p + q)
    assert mine.canonical is mine


@pytest.mark.parametrize(("loss", "delta"), [("squared", None), ("huber", 7.0), ("logistic", None)])
def test_answers_go_there_and_back(loss, delta, rng):
    X, y = data(loss)
    y = y if loss in LABELS else 1000 + y
    prog = program(X * 9, y, 0.3, Huber(delta) if delta else loss, intercept=True)
    own, units = prog.canonical, prog.units
    assert (units.centre != 0) == (loss not in LABELS)
    assert 1 <= np.abs(own.X).max() < 2
    assert 1 <= np.abs(own.y).max() < 2
    weights = rng.normal(size=prog.weights_shape)
    mine = units.in_weights(weights)
    assert np.array_equal(units.weights(mine), weights)
    constant = 0.25 if loss in LABELS else units.constant(0.25)
    value = prog.objective(weights, constant)
    assert units.objective(own.objective(mine, units.in_targets(constant))) == pytest.approx(
        value, rel=1e-13
    )
    nu = prog.dual_start()
    assert np.allclose(units.duals(own.dual_start()), nu, rtol=1e-11, atol=1e-13 * abs(nu).max())
    assert np.allclose(units.fits(units.in_targets(y)), y, rtol=0, atol=0)


def test_layers_carry_half_of_an_odd_power_in_each():
    assert np.array_equal(Units(0, 6).layer(np.array([1.0, -3.0])), [8.0, -24.0])
    assert np.array_equal(Units(5, 0).layer(np.array([1.0])), [np.sqrt(2) / 8])


def test_patterns_may_change_and_lam_too():
    X, y = data("squared")
    prog = program(X * 32, y, 0.1)
    assert prog.canonical.X is prog.with_lam(0.2).canonical.X
    fewer = prog.with_patterns(prog.patterns.select(np.arange(3)))
    assert fewer.canonical.patterns is fewer.patterns
    assert fewer.lam_max <= prog.lam_max == prog.with_lam(3.0).lam_max


def test_a_lam_out_of_range_beside_the_data_is_refused():
    X, y = data("squared")
    with pytest.raises(DataError, match="share of lam_max"):
        _ = program(X * 1e200, y, 1e-300).canonical


def test_lam_max_of_tiny_data_is_no_zero():
    X, y = data("logistic")
    tiny = program(scaled(X, -543), y, 1e-166, "logistic")
    assert tiny.lam_max == scaled(program(X, y, 1.0, "logistic").lam_max, -543) > 0
