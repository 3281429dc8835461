"""The near-optimal set against one cone program over all blocks, and bounds that must hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import xlogy

import relu_opt as ro
from relu_opt.errors import DataError, OptionError

cvxpy = pytest.importorskip("cvxpy")

LOSSES = ["squared", "logistic", "squared_hinge", "huber", "poisson"]


def by_cvxpy(prog, row, budget):
    """Least and largest prediction at a row, over every block cut in two by the row's sign."""
    masks, scale = prog.patterns.masks, prog.sample_scale
    fits = penalty = output = 0
    limits = []
    if prog.intercept:
        fits = output = cvxpy.Variable()
    for i in range(len(prog.patterns)):
        active = masks[:, i].astype(float)
        for sign in prog.signs:
            for side in (1, -1) if prog.activation == "relu" else (0,):
                w = cvxpy.Variable(prog.d)
                fits = fits + sign * cvxpy.multiply(active, prog.X @ w)
                penalty = penalty + cvxpy.norm(w)
                if side:
                    limits += [cvxpy.multiply(2 * active - 1, prog.X @ w) >= 0]
                    limits += [side * (row @ w) >= 0]
                gate_on = side == 0 and row @ prog.patterns.gates[:, i] >= 0
                if side == 1 or gate_on:
                    output = output + sign * (row @ w)
    each = {
        "squared": lambda: cvxpy.square(fits - prog.y) / 2,
        "logistic": lambda: cvxpy.logistic(-cvxpy.multiply(prog.y, fits)),
        "squared_hinge": lambda: cvxpy.square(cvxpy.pos(1 - cvxpy.multiply(prog.y, fits))) / 2,
        "huber": lambda: cvxpy.huber(fits - prog.y, 1.0) / 2,
        "poisson": lambda: (
            cvxpy.exp(fits) - cvxpy.multiply(prog.y, fits) - prog.y + xlogy(prog.y, prog.y)
        ),
    }[prog.loss.name]()
    limits.append(scale @ each + prog.lam * penalty <= budget)
    return [
        sign * cvxpy.Problem(cvxpy.Minimize(sign * output), limits).solve(cvxpy.CLARABEL)
        for sign in (1, -1)
    ]


@pytest.mark.parametrize("activation", ["relu", "gated"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("intercept", [False, True])
def test_ranges_against_one_cone_program(make_program, loss, activation, intercept):
    prog = make_program(
        n=10, d=3, p=6, loss=loss, activation=activation, intercept=intercept, weighted=True
    )
    S = ro.optimal_set(ro.solve(prog, tol=1e-12))
    near = S.near_optimal(0.05 * S.bound.value)
    row = np.random.default_rng(5).standard_normal(3)
    low, high = by_cvxpy(prog, row, near.budget)
    P = near.prediction_range(row[None])
    width = high - low
    # The bounds are proved, so they may not be crossed by more than the other solver is off.
    assert P.lower_bound[0] <= low + 1e-5 * width
    assert P.upper_bound[0] >= high - 1e-5 * width
    assert P.lower[0] >= low - 1e-5 * width
    assert P.upper[0] <= high + 1e-5 * width
    assert P.lower[0] - P.lower_bound[0] <= 2e-3 * width
    assert P.upper_bound[0] - P.upper[0] <= 2e-3 * width
    assert P.lower[0] < near.network.predict(row[None])[0] < P.upper[0]


@pytest.mark.parametrize("activation", ["relu", "gated"])
@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_tuning(make_program, loss, activation):
    prog = make_program(n=12, d=3, p=15, loss=loss, activation=activation)
    S = ro.optimal_set(ro.solve(prog, tol=1e-12))
    rng = np.random.default_rng(1)
    Xv, yv = rng.standard_normal((8, 3)), rng.standard_normal(8)
    errors = []
    for share in (1e-4, 1e-2, 1e-1):
        near = S.near_optimal(share * S.bound.value)
        tuned = near.tune(Xv, yv)
        error = float(np.mean((tuned.predict(Xv) - yv) ** 2))
        assert tuned.error == pytest.approx(error, rel=1e-9)
        assert tuned.error_bound <= error * (1 + 1e-12)
        untuned = float(np.mean((near.network.predict(Xv) - yv) ** 2))
        assert error - tuned.error_bound <= 1.1e-3 * untuned
        objective = tuned.objective(prog.X, prog.y, prog.lam, prog.loss)
        assert objective <= near.budget * (1 + 1e-9)
        assert tuned.certificate.verdict == "certified"
        assert tuned.certificate.rel_gap <= share * 1.001 + 1e-10
        errors.append(error)
    assert errors[0] > errors[1] > errors[2]


def test_ranges_grow_with_eps_and_hold_the_exact_one(make_program):
    prog = make_program(n=12, d=3, p=10)
    S = ro.optimal_set(ro.solve(prog, tol=1e-12))
    row = np.random.default_rng(2).standard_normal((1, 3))
    exact, before = S.prediction_range(row), None
    for share in (1e-6, 1e-4, 1e-2, 1.0):
        P = S.near_optimal(share * S.bound.value).prediction_range(row)
        assert P.lower_bound[0] <= exact.lower[0]
        assert P.upper_bound[0] >= exact.upper[0]
        if before is not None:
            assert P.lower_bound[0] <= before.lower[0]
            assert P.upper_bound[0] >= before.upper[0]
        before = P


def test_random_networks_of_the_set_lie_within_the_bounds(make_program):
    prog = make_program(n=10, d=3, p=8)
    solution = ro.solve(prog, tol=1e-12)
    near = ro.optimal_set(solution).near_optimal(0.1 * solution.objective)
    rng = np.random.default_rng(3)
    rows = rng.standard_normal((3, 3))
    P = near.prediction_range(rows)
    inside = 0
    for _ in range(300):
        # Blocks of the program, disturbed and projected back onto their cones.
        blocks = solution.weights + 0.05 * rng.standard_normal(prog.weights_shape) * (
            rng.random(prog.weights_shape[:2])[..., None] < 0.2
        )
        moved = np.stack(
            [
                prog.project(blocks[0], np.arange(len(prog.patterns))).points,
                prog.project(blocks[1], np.arange(len(prog.patterns))).points,
            ]
        )
        share = rng.random()
        weights = (1 - share) * solution.weights + share * moved
        if prog.objective(weights) > near.budget:
            continue
        inside += 1
        network = ro.certify(prog, weights).network
        predictions = network.predict(rows)
        assert (predictions >= P.lower_bound - 1e-12).all()
        assert (predictions <= P.upper_bound + 1e-12).all()
    assert inside > 20


@pytest.mark.parametrize("backend", ["native", "highs", "clarabel"])
def test_any_backend_that_trains(make_program, backend):
    prog = make_program(n=10, d=2, p=5)
    S = ro.optimal_set(ro.solve(prog, tol=1e-12))
    row = np.array([[0.3, -0.8]])
    eps = 0.05 * S.bound.value
    expected = S.near_optimal(eps).prediction_range(row)
    got = S.near_optimal(eps, backend=backend).prediction_range(row)
    np.testing.assert_allclose(got.lower, expected.lower, rtol=2e-3)
    np.testing.assert_allclose(got.upper, expected.upper, rtol=2e-3)


def test_a_query_that_no_neuron_sees(make_program):
    prog = make_program(n=10, d=2, p=5)
    S = ro.optimal_set(ro.solve(prog, tol=1e-12))
    P = S.near_optimal(0.1).prediction_range(np.zeros((1, 2)))
    assert P.lower[0] == P.upper[0] == 0.0
    assert abs(P.upper_bound[0]) < 1e-3


def test_bad_questions(make_program):
    prog = make_program(n=10, d=2, p=5)
    S = ro.optimal_set(ro.solve(prog, tol=1e-12))
    for eps in (0.0, -1.0, np.nan, np.inf, 1e20, 1e300):
        with pytest.raises(DataError):
            S.near_optimal(eps)
    near = S.near_optimal(0.1)
    with pytest.raises(DataError, match="columns"):
        near.prediction_range(np.ones((1, 3)))
    with pytest.raises(DataError, match="rows"):
        near.tune(np.ones((2, 2)), np.ones(3))
    with pytest.raises(OptionError):
        S.near_optimal(0.1, options={"no_such": 1}).prediction_range(np.ones((1, 2)))
    plain = ro.ConvexProgram(prog.X, prog.y, prog.lam, ro.Patterns(prog.patterns.masks))
    bare = ro.optimal_set(ro.solve(plain, tol=1e-12)).near_optimal(0.1)
    with pytest.raises(DataError, match="gates"):
        bare.tune(np.ones((2, 2)), np.ones(2))


def test_an_interrupt_keeps_what_is_known(make_program, monkeypatch):
    prog = make_program(n=10, d=2, p=5)
    near = ro.optimal_set(ro.solve(prog, tol=1e-12)).near_optimal(0.05)
    rows = np.random.default_rng(0).standard_normal((3, 2))
    full = near.prediction_range(rows)
    calls, last = [], np.inf

    def interrupted(*arguments, **options):
        calls.append(1)
        found = ro.solve(*arguments, **options)
        return (
            replace(found, stop=ro.plugins.StopReason.INTERRUPTED) if len(calls) >= last else found
        )

    monkeypatch.setattr("relu_opt.sets.stacking.solve", interrupted)
    near.prediction_range(rows[:1])
    last = 2 * len(calls) + 2
    P = near.prediction_range(rows)
    assert len(calls) == last
    assert (P.lower_bound[0], P.upper_bound[0]) == (full.lower_bound[0], full.upper_bound[0])
    assert np.isinf(P.lower_bound[2])
    assert np.isinf(P.upper_bound[2])
    assert P.lower[2] == P.upper[2] == near.network.predict(rows)[2]
    assert (P.lower_bound <= full.lower).all()
    assert (P.upper_bound >= full.upper).all()
