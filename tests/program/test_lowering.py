"""The conic form of the training program, solved by Clarabel as it is."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from targets import targets_of

from relu_opt.errors import DataError, UnsupportedProgram
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.losses import Huber, Squared
from relu_opt.program.lowering import (
    into_domain,
    lower_to_conic,
    without_idle_blocks,
)
from relu_opt.program.patterns import sample_patterns

LOSSES = ("squared", Huber(0.4), "squared_hinge", "hinge", "logistic", "poisson", "quantile")
CASES = list(product(LOSSES, ("relu", "gated", "absolute"), (False, True), (False, True)))


def make(loss="squared", activation="relu", intercept=False, weighted=False, lam=0.02, **scale):
    rng = np.random.default_rng(7)
    X = rng.standard_normal((9, 3)) * scale.get("of_X", 1.0)
    X[4] = 0.0
    y = rng.standard_normal(9) + 0.5
    y = targets_of(loss, y)
    y = y * scale.get("of_y", 1.0) + scale.get("shift", 0.0)
    weight = rng.uniform(0.2, 3.0, 9) if weighted else None
    patterns = sample_patterns(X, 6, seed=1)
    return ConvexProgram(X, y, lam, patterns, loss, activation, weight, intercept)


def largest_neuron(prog, nu):
    """max_b g_b(ν)."""
    correlations = prog.correlations(nu)
    if prog.activation != "gated":
        correlations = prog.project(correlations, np.arange(2 * len(prog.patterns))).points
    return np.linalg.norm(correlations, axis=1).max()


def check_answer(prog, weights, intercept, nu, optimum, tol=1e-7):
    assert weights.shape == prog.weights_shape
    assert prog.objective(weights, intercept) == pytest.approx(optimum, rel=tol)
    assert intercept == pytest.approx(
        prog.best_intercept(prog.fits(weights)), abs=1e-4 * np.abs(prog.y).max()
    )
    worst = np.linalg.norm(weights, axis=2).max() * 1e-6
    slack = prog.cone_rows.unit @ weights.reshape(-1, prog.d).T
    if prog.activation != "gated":
        signs = np.tile(2.0 * prog.patterns.masks - 1.0, 2)
        assert (signs * slack).min() >= -worst
    assert largest_neuron(prog, nu) <= prog.lam * (1 + 1e-6)
    assert prog.dual_objective(nu) == pytest.approx(optimum, rel=tol)
    if prog.intercept:
        assert abs(nu.sum()) <= 1e-14 * np.abs(nu).sum()


@pytest.mark.parametrize(("loss", "activation", "intercept", "weighted"), CASES)
def test_optimum_and_duals_are_recovered(
    independent_optimum, clarabel_solution, loss, activation, intercept, weighted
):
    prog = make(loss, activation, intercept, weighted)
    lowering = lower_to_conic(prog)
    x, z = clarabel_solution(lowering.program)
    assert max(lowering.program.residuals(x, z)) <= 1e-8
    optimum = independent_optimum(prog)
    assert lowering.units.cost * lowering.program.objective(x) == pytest.approx(optimum, rel=1e-7)
    assert lowering.units.cost * lowering.program.dual_objective(z) == pytest.approx(
        optimum, rel=1e-7
    )
    check_answer(prog, *lowering.recover(x, z), optimum)


@pytest.mark.parametrize(
    ("scale", "lam"),
    [
        ({"of_y": 1e5}, 1e3),
        ({"of_y": 1e-6}, 1e-8),
        ({"of_X": 1e4}, 1e2),
        ({"of_X": 1e-4, "of_y": 1e3}, 1e-2),
        ({}, 1e-5),
    ],
)
@pytest.mark.parametrize("loss", ["squared", "huber"])
def test_units_of_the_data_do_not_matter(clarabel_solution, scale, lam, loss):
    loss = Huber(0.4 * scale.get("of_y", 1.0)) if loss == "huber" else loss
    prog = make(loss, lam=lam, **scale)
    lowering = lower_to_conic(prog)
    weights, intercept, nu = lowering.recover(*clarabel_solution(lowering.program))
    assert weights.any()
    check_answer(prog, weights, intercept, nu, prog.objective(weights, intercept))


def test_a_far_intercept_costs_no_accuracy(independent_optimum, clarabel_solution):
    near, far = (make(intercept=True, shift=shift) for shift in (0.0, 1e5))
    lowering = lower_to_conic(far)
    weights, intercept, nu = lowering.recover(*clarabel_solution(lowering.program))
    assert far.objective(weights, intercept) == pytest.approx(independent_optimum(near), rel=1e-7)
    assert far.dual_objective(nu) == pytest.approx(independent_optimum(near), rel=1e-7)


@pytest.mark.parametrize("loss", ["squared", "huber"])
def test_targets_of_zero_give_the_zero_network(clarabel_solution, loss):
    prog = make(loss, of_y=0.0)
    lowering = lower_to_conic(prog)
    weights, _, nu = lowering.recover(*clarabel_solution(lowering.program))
    assert prog.objective(weights) <= 1e-9
    assert np.abs(nu).max() <= 1e-6


def test_above_lam_max_every_block_is_idle(clarabel_solution):
    prog = make(lam=1.0)
    prog = prog.with_lam(1.2 * prog.lam_max)
    lowering = lower_to_conic(prog)
    weights, _, nu = lowering.recover(*clarabel_solution(lowering.program))
    assert not weights.any()
    assert nu == pytest.approx(prog.dual_start(), rel=1e-6)


def test_without_multipliers_there_are_weights_alone(clarabel_solution):
    prog = make()
    lowering = lower_to_conic(prog)
    x, z = clarabel_solution(lowering.program)
    weights, intercept, nu = lowering.recover(x)
    assert nu is None
    assert intercept == 0.0
    assert np.abs(weights - lowering.recover(x, z)[0]).max() <= 1e-8


def test_idle_blocks_are_those_that_the_dual_rules_out():
    weights = np.array([[[1e-9, 0.0], [1e-9, 0.0], [1.0, 0.0]]])
    slack = np.array([[0.1, 1e-8, 0.0]])
    kept = without_idle_blocks(weights, slack, 1.0)
    assert kept.any(axis=2).tolist() == [[False, True, True]]
    assert without_idle_blocks(1e6 * weights, slack, 1e6).any(axis=2).tolist() == [
        [False, True, True]
    ]


@pytest.mark.parametrize(("loss", "weighted"), list(product(LOSSES, (False, True))))
@pytest.mark.parametrize("intercept", [False, True])
def test_rounded_duals_are_moved_into_the_domain(loss, weighted, intercept):
    prog = make(loss, "relu", intercept, weighted)
    rng = np.random.default_rng(0)
    inside = -prog.loss_gradient(3.0 * rng.standard_normal(prog.n))
    rounded = inside + 1e-9 * rng.standard_normal(prog.n)
    moved = into_domain(prog, rounded)
    assert np.isfinite(prog.dual_objective(moved))
    if intercept:
        assert abs(moved.sum()) <= 1e-15
    else:
        assert np.abs(moved - rounded).max() <= 1e-8
        assert into_domain(prog, inside) == pytest.approx(inside, abs=1e-16)


def test_programs_too_large_are_refused_before_they_are_built():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((2000, 200))
    prog = ConvexProgram(X, X[:, 0], 0.1, sample_patterns(X, 500))
    with pytest.raises(DataError, match=r"GiB.*fewer patterns.*native") as caught:
        lower_to_conic(prog)
    assert caught.value.fields["gib"] == pytest.approx(2.5 * 12 * 1.5e9 * 0.4 / 2**30, rel=0.01)


def test_a_loss_without_a_conic_form_is_refused():
    class Cubic(Squared):
        name = "cubic"

        def atoms(self, y):
            return ()

    with pytest.raises(UnsupportedProgram, match="cubic loss"):
        lower_to_conic(make(Cubic()))
