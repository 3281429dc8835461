"""The same problem in other units has the same answer: no verdict changes, and no bit."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest

import relu_opt as ro
from relu_opt.errors import DataError
from relu_opt.estimators import ReLUClassifier, ReLURegressor
from relu_opt.plugins.types import Feature, State
from relu_opt.program.units import scaled

LABELS = ("logistic", "squared_hinge", "hinge")
# Powers of two of X and y: small, odd, and far from one.
POWERS = [(0, -40), (3, -37), (-543, 1), (401, -250), (-300, 150)]


def data(loss, n=20):
    rng = np.random.default_rng(7)
    X = np.c_[rng.uniform(size=(n, 2)), np.ones(n)]
    y = rng.uniform(10.0, 50.0, n)
    return X, np.where(y > 30, 1.0, -1.0) if loss in LABELS else y


def program(loss, x=0, y=0, share=1e-2, rows=20, gates=8, **settings):
    """The program in units 2^x and 2^y."""
    X, targets = data(loss, rows)
    y = 0 if loss in LABELS else y
    patterns = ro.sample_patterns(X, gates, 0)
    named = ro.losses.Huber(4.0) if loss == "huber" else loss
    plain = ro.ConvexProgram(X, targets, 1.0, patterns, named, **settings)
    lam = share * plain.lam_max
    if loss == "huber":
        named = ro.losses.Huber(scaled(4.0, y))
    return ro.ConvexProgram(
        scaled(X, x), scaled(targets, y), scaled(lam, x + y), patterns, named, **settings
    )


def assert_same(there, here, x, y):
    """That an answer in units 2^x, 2^y is the other one, bit for bit."""
    assert there.certificate.verdict is here.certificate.verdict
    assert there.objective == scaled(here.objective, 2 * y)
    assert there.lower_bound == scaled(here.lower_bound, 2 * y)
    assert there.rel_gap == here.rel_gap
    assert np.array_equal(there.weights, scaled(here.weights, y - x))
    assert np.array_equal(there.nu, scaled(here.nu, y))


@pytest.mark.parametrize("loss", ["squared", "huber", *LABELS])
@pytest.mark.parametrize("activation", ["relu", "gated"])
@pytest.mark.parametrize(("weighted", "intercept"), [(False, False), (True, True)])
def test_powers_of_two_change_no_bit(loss, activation, weighted, intercept):
    weights = np.random.default_rng(0).uniform(0.5, 2.0, 20) if weighted else None
    settings = {"activation": activation, "sample_weight": weights, "intercept": intercept}
    here = ro.solve(program(loss, **settings))
    assert here.certificate.verdict is ro.Verdict.CERTIFIED
    for x, y in POWERS[1:4]:
        there = ro.solve(program(loss, x, y, **settings))
        assert_same(there, here, x, 0 if loss in LABELS else y)


READY = sorted(
    status.name
    for status in ro.backends()
    if status.availability.state is State.READY and Feature.SOC in status.info.features
)


@pytest.mark.parametrize("backend", sorted({"highs", *READY}))
def test_every_backend_sees_the_same_program(backend):
    x, y = 21, -40
    small = {"rows": 8, "gates": 3, "intercept": True}
    here = ro.solve(program("squared", **small), backend, tol=1e-6)
    there = ro.solve(program("squared", x, y, **small), backend, tol=1e-6)
    assert_same(there, here, x, y)


@pytest.mark.parametrize("factor", [1e-12, 1e-9, 3.7e5, 1e150])
def test_other_factors_change_nothing_beyond_rounding(factor):
    plain = program("squared", intercept=True)
    here = ro.solve(plain, tol=1e-9)
    there = ro.solve(
        ro.ConvexProgram(
            plain.X, factor * plain.y, factor * plain.lam, plain.patterns, intercept=True
        ),
        tol=1e-9,
    )
    assert there.certificate.verdict is here.certificate.verdict is ro.Verdict.CERTIFIED
    assert there.objective / factor / factor == pytest.approx(here.objective, rel=2e-9)
    fits = there.network.predict(plain.X) / factor, here.network.predict(plain.X)
    assert np.allclose(*fits, rtol=1e-5, atol=0)


def exact_objective(network, X, y, lam):
    """Mean ½(z − y)² + λ½Σ(‖u‖² + a²) of the doubles as they are, in fractions."""
    U = [[Fraction(v) for v in row] for row in network.hidden.tolist()]
    a = [Fraction(v) for v in network.output.tolist()]
    total = Fraction(0)
    for row, target in zip(X.tolist(), y.tolist(), strict=True):
        x = [Fraction(v) for v in row]
        z = Fraction(network.intercept) - Fraction(target)
        for u, out in zip(U, a, strict=True):
            z += out * max(sum(p * q for p, q in zip(u, x, strict=True)), Fraction(0))
        total += z * z / 2
    penalty = sum(v * v for u in U for v in u) + sum(v * v for v in a)
    return total / len(y) + Fraction(lam) * penalty / 2


@pytest.mark.parametrize("size", [1e-12, 1e-11, 1e-9, 1e-150, 1e140])
@pytest.mark.parametrize("train", ["solve", "train_globally"])
def test_no_better_network_than_a_certified_one_at_any_size_of_y(size, train):
    """Capacitances in farad: what is certified is below what is possible, in fractions."""
    rng = np.random.default_rng(1)
    X = np.c_[rng.uniform(size=(20, 1)), np.ones(20)]
    plain = rng.uniform(10.0, 50.0, 20)
    y = size * plain
    every = ro.enumerate_patterns(X)
    lam = 1e-3 * ro.ConvexProgram(X, y, 1.0, every).lam_max
    if train == "solve":
        found = ro.solve(ro.ConvexProgram(X, y, lam, every))
    else:
        found = ro.train_globally(X, y, lam, tol=1e-8)
    assert found.certificate.verdict is ro.Verdict.CERTIFIED
    # The best network in units of one, brought here.
    other = ro.solve(ro.ConvexProgram(X, plain, lam / size, every), tol=1e-10).network
    root = np.sqrt(size)
    better = ro.ReLUNetwork(root * other.hidden, root * other.output)
    exact = exact_objective(better, X, y, lam)
    assert exact_objective(found.network, X, y, lam) <= exact * (1 + Fraction(1, 10**7))
    assert Fraction(found.lower_bound) <= exact
    assert len(found.network) > 0


def test_tiny_data_and_lam_are_no_zero_network():
    """X ~ 1e-163 with lam ~ 1e-166: norms squared are no doubles."""
    prog = program("logistic", -543)
    assert prog.lam < 1e-163
    assert prog.lam_max == scaled(program("logistic").lam_max, -543) > 0
    found = ro.solve(prog)
    assert found.certificate.verdict is ro.Verdict.CERTIFIED
    assert len(found.network) > 0
    assert_same(found, ro.solve(program("logistic")), -543, 0)


@pytest.mark.parametrize("offset", [1e7, -1e8, 1e9])
@pytest.mark.parametrize("loss", ["squared", "huber"])
@pytest.mark.parametrize("seed", range(3))
def test_large_offsets_with_a_free_constant_certify(offset, loss, seed):
    rng = np.random.default_rng(seed)
    X = np.c_[rng.normal(size=(40, 3)), np.ones(40)]
    y = offset + np.abs(X[:, 0]) + 0.1 * rng.normal(size=40)
    patterns = ro.sample_patterns(X, 25, seed)
    prog = ro.ConvexProgram(X, y, 1.0, patterns, loss, intercept=True)
    prog = prog.with_lam(1e-2 * prog.lam_max)
    found = ro.solve(prog)
    assert found.certificate.verdict is ro.Verdict.CERTIFIED
    # Without the offset, which is exact to remove, the optimum is the same.
    same = ro.solve(ro.ConvexProgram(X, y - offset, prog.lam, patterns, loss, intercept=True))
    assert found.objective == pytest.approx(same.objective, rel=3e-8)


@pytest.mark.parametrize("oracle", ["sphere", "cells"])
@pytest.mark.parametrize(("x", "y"), [(30, -40), (-301, 150)])
def test_separation_and_global_training_in_other_units(oracle, x, y):
    rng = np.random.default_rng(2)
    X = np.c_[rng.normal(size=(12, 2)), np.ones(12)]
    nu = rng.normal(size=12)
    here = ro.all_patterns.separation(X, nu, oracle)
    there = ro.all_patterns.separation(scaled(X, x), scaled(nu, y), oracle)
    assert there.lower == scaled(here.lower, x + y)
    assert there.upper == scaled(here.upper, x + y)
    assert np.array_equal(there.directions, here.directions)
    plain = ro.train_globally(X, nu, 0.05, oracle)
    other = ro.train_globally(scaled(X, x), scaled(nu, y), scaled(0.05, x + y), oracle)
    assert other.certificate.verdict is plain.certificate.verdict is ro.Verdict.CERTIFIED
    assert_same(other.solution, plain.solution, x, y)
    assert other.lower_bound == scaled(plain.lower_bound, 2 * y)


@pytest.mark.parametrize(("x", "y"), [(20, -40), (-301, 140)])
def test_a_path_in_other_units(x, y):
    here = ro.solution_path(program("squared", intercept=True), n_lams=4, lam_min_ratio=0.1)
    there = ro.solution_path(program("squared", x, y, intercept=True), n_lams=4, lam_min_ratio=0.1)
    assert np.allclose(there.lams, scaled(here.lams, x + y), rtol=1e-15)
    assert np.allclose(there.objectives, scaled(here.objectives, 2 * y), rtol=1e-12)
    assert [p.certificate.verdict for p in there.points] == [
        p.certificate.verdict for p in here.points
    ]


@pytest.mark.parametrize("share", [1e-9, 1e-6, 1e-4, 1.0, 1e6, 1e200])
def test_any_lam_has_an_honest_verdict(share):
    prog = program("squared", 17, -31, share=share, intercept=True)
    found = ro.solve(prog)
    assert found.lower_bound <= found.objective
    # Rounding is charged relative to lam, and beside a tiny one it is no longer small.
    if share >= 1e-4:
        assert found.certificate.verdict is ro.Verdict.CERTIFIED
    assert (len(found.network) == 0) == (share >= 1)


def test_rows_of_very_different_sizes_certify_nothing_false():
    rng = np.random.default_rng(3)
    for spread, intercept in itertools.product((1e3, 1e8, 1e160, 1e300), (False, True)):
        X = np.c_[rng.normal(size=(20, 2)), np.ones(20)]
        X[::2] /= spread
        y = np.abs(rng.normal(size=20))
        patterns = ro.sample_patterns(X, 15, 0)
        prog = ro.ConvexProgram(X, y, 0.01, patterns, intercept=intercept)
        found = ro.solve(prog)
        exact = exact_objective(found.network, X, y, prog.lam)
        if found.certificate.verdict is ro.Verdict.CERTIFIED:
            assert exact <= Fraction(found.lower_bound) * (1 + Fraction(2, 10**8))


@pytest.mark.parametrize("factor", [1e-12, 1e-9, 1e11])
@pytest.mark.parametrize("standardize", [True, False])
def test_estimators_of_targets_in_other_units(factor, standardize):
    X, y = data("squared")
    settings = {"random_state": 0, "standardize": standardize, "lam": None if standardize else 0.01}
    here = ReLURegressor(**settings).fit(X, y)
    if not standardize:
        settings["lam"] = 0.01 * factor
    there = ReLURegressor(**settings).fit(X, factor * y)
    assert there.certificate_.verdict is ro.Verdict.CERTIFIED
    assert np.allclose(there.predict(X) / factor, here.predict(X), rtol=1e-4)
    assert here.n_neurons_ > 0


@pytest.mark.parametrize("factor", [1e-150, 1e-12, 1e11])
def test_estimators_of_features_in_other_units(factor):
    X, y = data("logistic")
    here = ReLUClassifier(random_state=0).fit(X, y)
    there = ReLUClassifier(random_state=0).fit(factor * X, y)
    assert there.certificate_.verdict is ro.Verdict.CERTIFIED
    assert np.allclose(there.predict_proba(factor * X), here.predict_proba(X), atol=1e-4)


@pytest.mark.parametrize("kind", ["whitened", "rank one"])
@pytest.mark.parametrize("loss", ["squared", "hinge", "interpolation"])
@pytest.mark.parametrize(("x", "y"), [(20, -40), (-301, 150)])
def test_formulas_in_other_units(kind, loss, x, y):
    rng = np.random.default_rng(4)
    X = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    X = X if kind == "whitened" else np.outer([1.0, -2.0, 0.5, 4.0], [1.0, 2.0])
    targets = X @ np.array([3.0, 1.0, 2.0, -1.0])[: X.shape[1]]
    if loss == "hinge":
        targets, y = np.sign(targets), 0
    lam = None if loss == "interpolation" else 0.02
    here = ro.formulas.closed_form(X, targets, lam, loss=loss)
    other = None if lam is None else scaled(lam, x + y)
    there = ro.formulas.closed_form(scaled(X, x), scaled(targets, y), other, loss=loss)
    power = y - x if loss == "interpolation" else 2 * y
    assert there.value == scaled(here.value, power)
    assert there.lower_bound == scaled(here.lower_bound, power)
    assert there.objective == pytest.approx(scaled(here.objective, power), rel=1e-15)


@pytest.mark.parametrize(("x", "y"), [(20, -40), (-301, 150), (400, -300)])
def test_interpolants_in_other_units(x, y):
    rng = np.random.default_rng(4)
    X = np.c_[rng.normal(size=(7, 2)), np.ones(7)]
    targets = rng.normal(size=7)
    here = ro.interpolation.minimum_norm_interpolant(X, targets)
    there = ro.interpolation.minimum_norm_interpolant(scaled(X, x), scaled(targets, y))
    assert there.cost == scaled(here.cost, y - x)
    assert there.lower_bound == scaled(here.lower_bound, y - x)
    assert np.array_equal(there.nu, scaled(here.nu, -x))
    fits = there.network.predict(scaled(X, x))
    assert np.allclose(scaled(fits, -y), targets, rtol=0, atol=1e-8)


@pytest.mark.parametrize(("x", "y"), [(401, -250), (0, -500), (-480, 480), (500, 0), (-543, 1)])
def test_networks_and_files_are_proved_in_any_units(x, y):
    prog = program("squared", x, y, intercept=True)
    found = ro.solve(prog)
    assert len(found.network) > 0
    again = ro.certify(prog, found.network, nu=found.nu)
    assert again.verdict is found.certificate.verdict is ro.Verdict.CERTIFIED
    assert again.rel_gap == pytest.approx(found.rel_gap, abs=1e-11)
    assert ro.verify(found.certificate, prog.X, prog.y).valid


@pytest.mark.parametrize("power", [-1060, -50, 3, 1020])
def test_sample_weights_have_no_unit(power):
    weights = np.random.default_rng(0).uniform(0.5, 2.0, 20)
    here = ro.solve(program("huber", sample_weight=weights))
    there = ro.solve(program("huber", sample_weight=scaled(weights, power)))
    if power > -1000:
        assert_same(there, here, 0, 0)
    assert there.certificate.verdict is ro.Verdict.CERTIFIED
    with pytest.raises(DataError, match="vanish"):
        program("huber", sample_weight=np.where(np.arange(20) < 1, 5e-324, weights))
