"""The native backend: against an independent model, on degenerate data, and when stopped."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from targets import targets_of

import relu_opt as ro
from relu_opt.plugins.manager import observe
from relu_opt.plugins.types import Feature, StopReason

LOSSES = ("squared", "logistic", "squared_hinge", ro.losses.Huber(0.4), "poisson")
CASES = list(product(LOSSES, ("relu", "gated"), (False, True), (False, True)))
every_case = pytest.mark.parametrize(("loss", "activation", "intercept", "weighted"), CASES)


def solve(prog, **arguments):
    return ro.solve(prog, backend="native", **arguments)


def certified(prog, tol=1e-8, **arguments):
    """Solve, and check the proof with the independent verifier."""
    sol = solve(prog, tol=tol, **arguments)
    assert sol.certificate.verdict == ro.Verdict.CERTIFIED, (sol, sol.certificate.reason)
    assert sol.rel_gap <= tol
    found = ro.verify(sol.certificate, prog.X, prog.y)
    assert found.valid, found.problems
    return sol


# -- against cvxpy's atoms ---------------------------------------------------------------


@every_case
@pytest.mark.parametrize("share", [0.02, 0.4])
def test_agrees_with_an_independent_model(
    make_program, independent_optimum, loss, activation, intercept, weighted, share
):
    prog = make_program(
        8,
        n=11,
        p=7,
        loss=loss,
        activation=activation,
        intercept=intercept,
        weighted=weighted,
        lam_share=share,
    )
    sol = certified(prog)
    assert sol.stop is StopReason.CONVERGED
    assert sol.objective == pytest.approx(independent_optimum(prog), rel=1e-6)


# -- degenerate problems -----------------------------------------------------------------


@every_case
@pytest.mark.parametrize("share", [1.0, 1.5, 1e6])
def test_from_lam_max_on_the_zero_network_is_certified(
    make_program, loss, activation, intercept, weighted, share
):
    prog = make_program(4, loss=loss, activation=activation, intercept=intercept, weighted=weighted)
    prog = prog.with_lam(share * prog.lam_max)
    sol = certified(prog)
    zero = prog.best_intercept(np.zeros(prog.n))
    assert sol.objective == pytest.approx(prog.objective(0 * sol.weights, zero), rel=1e-8)
    if share > 1:
        assert len(sol.network) == 0


@pytest.mark.parametrize("share", [1.0, 1e-1, 1e-2, 1e-3, 1e-4])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("intercept", [False, True])
def test_small_lam(make_program, share, loss, intercept):
    certified(make_program(2, n=25, d=3, p=15, loss=loss, lam_share=share, intercept=intercept))


@pytest.mark.parametrize(("n", "d"), [(8, 1), (12, 2), (4, 6)])
@pytest.mark.parametrize("activation", ["relu", "gated"])
@pytest.mark.parametrize("loss", LOSSES)
def test_small_lam_in_few_dimensions(make_program, n, d, activation, loss):
    for seed in range(3):
        certified(make_program(seed, n=n, d=d, loss=loss, activation=activation, lam_share=1e-4))


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["relu", "gated"])
@pytest.mark.parametrize("loss", LOSSES)
def test_tiny_lam(make_program, activation, loss):
    """λ = 1e−6 λ_max, nearly an unregularised fit: rounding in ν limits the gap, which says so."""
    prog = make_program(2, n=20, d=3, p=10, loss=loss, activation=activation, lam_share=1e-6)
    sol = ro.solve(prog)
    assert sol.rel_gap <= 5e-6
    assert (sol.certificate.verdict == ro.Verdict.CERTIFIED) == (sol.rel_gap <= 1e-8)
    assert ro.verify(sol.certificate, prog.X, prog.y).verdict == sol.certificate.verdict


def program(X, y, share=0.05, patterns=None, **changes):
    X = np.asarray(X, dtype=float)
    patterns = patterns or ro.sample_patterns(X, 12)
    prog = ro.ConvexProgram(X, y, 1.0, patterns, **changes)
    # lam_max is rounding where every cone is the single point 0, or the fit is perfect without.
    size = np.linalg.norm(prog.X) * np.linalg.norm(prog.dual_start())
    return prog.with_lam(share * (prog.lam_max if prog.lam_max > 1e-12 * size else 0.01))


def degenerate():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((12, 4)), rng.standard_normal(12)
    few, low = X[:3], X[:, :1] @ rng.standard_normal((1, 4))
    zero_rows = X * (np.arange(12)[:, None] % 3 > 0)
    return {
        "fewer samples than features": (few, y[:3], {}),
        "one sample": (X[:1], y[:1], {}),
        "one sample and feature": (X[:1, :1], y[:1], {}),
        "one feature": (X[:, :1], y, {}),
        "duplicate rows": (np.repeat(X[:4], 3, axis=0), y, {}),
        "duplicate rows and targets": (np.tile(X[:4], (3, 1)), np.tile(y[:4], 3), {}),
        "duplicate columns": (np.hstack([X, X]), y, {}),
        "opposite rows": (np.vstack([X[:6], -X[:6]]), y, {}),
        "zero rows": (zero_rows, y, {}),
        "zero columns": (np.hstack([X, np.zeros((12, 2))]), y, {}),
        "rank one": (low, y, {}),
        "rank two of four": (X[:, :2] @ rng.standard_normal((2, 4)), y, {}),
        "more patterns than samples": (X, y, {"patterns": ro.sample_patterns(X, 150)}),
        "one pattern": (X, y, {"patterns": ro.sample_patterns(X, 1)}),
        "one pattern, all active": (X, y, {"patterns": ro.Patterns(np.ones((12, 1)))}),
        "duplicate patterns": (X, y, {"patterns": ro.Patterns(np.tile(X > 0, 2))}),
        "cones without inside": (X, y, {"patterns": ro.Patterns(rng.random((12, 6)) < 0.5)}),
        "constant features": (np.ones((12, 2)), y, {}),
        "binary features": ((X > 0).astype(float), y, {}),
        "outlier": (X, np.where(np.arange(12) == 3, 1e4, y), {}),
        "large targets": (X, 1e6 * y, {}),
        "small targets": (X, 1e-6 * y, {}),
        "large data": (1e6 * X, y, {}),
        "small data": (1e-6 * X, y, {}),
        "perfect fit": (X, np.maximum(X @ np.ones(4), 0), {}),
        "all patterns": (X[:, :2], y, {"patterns": ro.enumerate_patterns(X[:, :2])}),
    }


DEGENERATE = degenerate()


@pytest.mark.parametrize(
    ("loss", "intercept"),
    list(zip(("squared", *LOSSES), (True, False, True, False, True, True), strict=True)),
)
@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_data(name, loss, intercept):
    X, y, changes = DEGENERATE[name]
    if not ro.program.losses.get_loss(loss).scales:
        y = targets_of(loss, y - np.median(y))
        intercept = intercept and len(np.unique(y)) > 1
    certified(program(X, y, loss=loss, intercept=intercept, **changes))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ["relu", "gated"])
def test_features_on_very_different_scales(loss, activation):
    rng = np.random.default_rng(1)
    X = rng.standard_normal((30, 4)) * np.array([1e-6, 1e-2, 1e2, 1e6])
    y = rng.standard_normal(30)
    y = targets_of(loss, y)
    certified(program(X, y, loss=loss, activation=activation))


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("value", [0.0, 1.0, -1e3])
def test_constant_targets(intercept, value):
    X = np.random.default_rng(2).standard_normal((15, 3))
    prog = ro.ConvexProgram(
        X, np.full(15, value), 0.01, ro.sample_patterns(X, 10), intercept=intercept
    )
    sol = certified(prog)
    if intercept or not value:
        assert len(sol.network) == 0
        assert sol.network.intercept == pytest.approx(value)
        assert sol.objective == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("loss", ["logistic", "squared_hinge"])
def test_one_class(loss):
    X = np.random.default_rng(2).standard_normal((15, 3))
    for value in (1.0, -1.0):
        certified(program(X, np.full(15, value), loss=loss))


@pytest.mark.parametrize("activation", ["relu", "gated"])
@pytest.mark.parametrize("spread", [1e-3, 1e3, 1e6])
def test_very_unequal_sample_weights(activation, spread):
    rng = np.random.default_rng(3)
    X, y = rng.standard_normal((20, 3)), rng.standard_normal(20)
    weight = np.where(np.arange(20) % 4 == 0, spread, 1.0)
    certified(program(X, y, sample_weight=weight, activation=activation))


# -- the benchmarks of the theory --------------------------------------------------------


def test_the_diabetes_benchmark(benchmark_programs):
    sol = certified(benchmark_programs["diabetes"])
    assert sol.lower_bound <= 0.302023631196 * (1 + 1e-11)
    assert sol.objective == pytest.approx(0.302023631, rel=1e-8)


@pytest.mark.slow
def test_the_breast_cancer_benchmark(benchmark_programs):
    """The theory's 0.1004513832 lies below a proved lower bound; Clarabel agrees with ours."""
    prog = benchmark_programs["breast cancer"]
    sol = certified(prog, tol=1e-10)
    assert sol.lower_bound > 0.1004513832 * (1 + 1e-8)
    used = np.flatnonzero(sol.weights.any(axis=(0, 2)))
    gates = prog.patterns.gates[:, used]
    fewer = prog.with_patterns(ro.program.patterns_of_gates(prog.X, gates))
    assert ro.solve(fewer, "cvxpy").objective == pytest.approx(sol.objective, rel=1e-7)
    assert sol.lower_bound <= 0.100451385204 * (1 + 1e-11)
    assert sol.objective >= 0.100451385204 * (1 - 1e-11)
    assert sol.objective == pytest.approx(0.1004513852, rel=1e-8)


# -- limits ------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1e-9, 20.0])
def test_a_time_limit_returns_the_best_with_its_gap(benchmark_programs, limit, clock):
    prog = benchmark_programs["breast cancer"]
    sol = solve(prog, time_limit=limit, tol=1e-13)
    assert sol.stop is StopReason.TIME_LIMIT
    assert limit < sol.stats["seconds"]["solve"] <= limit + 10  # looks at the clock
    assert np.isfinite(sol.rel_gap)
    assert sol.objective <= np.log(2) + 0.5
    check_early_answer(prog, sol, 0.100451385204)


def check_early_answer(prog, sol, optimum):
    assert sol.certificate.verdict == ro.Verdict.NOT_CERTIFIED
    assert sol.lower_bound <= optimum * (1 + 1e-9)
    assert sol.objective >= optimum * (1 - 1e-9)
    zero = np.zeros(prog.weights_shape)
    assert sol.objective <= prog.objective(zero) * (1 + 1e-12)
    assert prog.cone_violation(sol.weights) <= 1e-9


@pytest.mark.parametrize("count", [1, 2, 4])
def test_an_iteration_limit_returns_the_best_with_its_gap(benchmark_programs, count):
    prog = benchmark_programs["diabetes"]
    sol = solve(prog, options={"max_iter": count}, tol=1e-13)
    assert sol.stop is StopReason.ITERATION_LIMIT
    assert sol.stats["backend_stats"]["iterations"] == count
    check_early_answer(prog, sol, 0.302023631196)


@pytest.mark.parametrize("after", [0, 1, 5])
def test_an_interrupt_returns_the_best_with_its_gap(benchmark_programs, after):
    prog, seen = benchmark_programs["diabetes"], []

    def interrupt(event):
        seen.append(event)
        if len(seen) == after + 1:
            raise KeyboardInterrupt

    with observe(interrupt):
        sol = solve(prog, tol=1e-13)
    assert sol.stop is StopReason.INTERRUPTED
    check_early_answer(prog, sol, 0.302023631196)


def test_progress_improves_and_ends_at_the_answer(benchmark_programs):
    events = []
    with observe(events.append):
        sol = certified(benchmark_programs["diabetes"])
    assert len(events) >= 3
    objectives = [event.objective for event in events]
    bounds = [event.bound for event in events]
    assert objectives == sorted(objectives, reverse=True)
    assert bounds == sorted(bounds)
    assert all(event.task == "solve" for event in events)
    assert events[-1].objective == pytest.approx(sol.objective, rel=1e-9)
    assert events[-1].rel_gap <= 1e-8


def test_a_loose_tolerance_stops_earlier(benchmark_programs):
    prog = benchmark_programs["diabetes"]
    loose, tight = solve(prog, tol=1e-2), solve(prog, tol=1e-10)
    assert loose.certificate.verdict == ro.Verdict.CERTIFIED
    assert 1e-10 < loose.rel_gap <= 1e-2
    iterations = [sol.stats["backend_stats"]["iterations"] for sol in (loose, tight)]
    assert iterations[0] < iterations[1]


# -- starts, seeds, threads --------------------------------------------------------------


@pytest.mark.parametrize(("loss", "activation", "intercept", "weighted"), CASES[::3])
def test_any_start_leads_to_the_same_optimum(make_program, loss, activation, intercept, weighted):
    prog = make_program(9, loss=loss, activation=activation, intercept=intercept, weighted=weighted)
    cold = certified(prog)
    rng = np.random.default_rng(0)
    starts = [
        cold,
        0 * cold.weights,
        10 * cold.weights[::-1],
        rng.standard_normal(cold.weights.shape),
        1e8 * rng.standard_normal(cold.weights.shape),
    ]
    for start in starts:
        warm = certified(prog, warm_start=start)
        assert warm.objective == pytest.approx(cold.objective, rel=3e-8)


def test_a_start_at_the_optimum_saves_work(benchmark_programs):
    prog = benchmark_programs["diabetes"]
    cold = certified(prog)
    warm = certified(prog, warm_start=cold)
    iterations = [sol.stats["backend_stats"]["iterations"] for sol in (cold, warm)]
    assert iterations[1] <= iterations[0]


def test_a_start_is_never_made_worse(benchmark_programs):
    """The start is an answer already, whenever the search stops."""
    prog = benchmark_programs["diabetes"]
    good = solve(prog, tol=1e-4)
    again = solve(prog, warm_start=good, tol=1e-13, options={"max_iter": 1})
    assert again.objective <= good.objective * (1 + 1e-12)
    timed = solve(prog, warm_start=good, tol=1e-13, time_limit=1e-9)
    assert timed.objective <= good.objective * (1 + 1e-12)


def test_the_same_run_gives_the_same_bits(make_program):
    prog = make_program(5, n=30, d=4, p=30)
    one, two = solve(prog), solve(prog)
    np.testing.assert_array_equal(one.weights, two.weights)
    np.testing.assert_array_equal(one.nu, two.nu)


def test_threads_do_not_change_the_answer(make_program):
    prog = make_program(5, n=30, d=4, p=30)
    one, two = certified(prog, options={"threads": 1}), certified(prog, options={"threads": 2})
    assert one.objective == pytest.approx(two.objective, rel=1e-8)


def test_input_is_not_written_to(make_program):
    prog = make_program(5)
    start = np.ones(prog.weights_shape)
    before = [np.array(array) for array in (prog.X, prog.y, prog.patterns.packed, start)]
    solve(prog, warm_start=start)
    after = (prog.X, prog.y, prog.patterns.packed, start)
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)


def test_it_says_what_it_can_do(registry):
    info = registry.find("native")
    assert {Feature.WARM_START, Feature.TIME_LIMIT, Feature.DUALS} <= info.features
    assert info.free
    with pytest.raises(ro.errors.OptionError, match="Did you mean 'max_iter'"):
        ro.solve(tiny(), backend="native", options={"max_iters": 3})


def tiny():
    return ro.ConvexProgram([[1.0], [2.0]], [1.0, 2.0], 0.1, ro.sample_patterns([[1.0], [2.0]], 2))


# -- real data ---------------------------------------------------------------------------

UCI = (
    "breast-cancer",
    "fertility",
    "hepatitis",
    "mammographic",
    "monks-1",
    "parkinsons",
    "pima",
    "spectf",
)


def uci_program(folder, name, gates=500, lam=1e-3):
    """All rows of a data set, its labels as −1 and +1, and a column of ones."""
    files = sorted((folder / "uci").glob(f"{name}*.csv"))
    rows = np.vstack([np.loadtxt(file, delimiter=",") for file in files])
    labels = np.unique(rows[:, -1])
    assert len(labels) == 2
    X = np.c_[rows[:, :-1], np.ones(len(rows))]
    y = np.where(rows[:, -1] == labels[1], 1.0, -1.0)
    return ro.ConvexProgram(X, y, lam, ro.sample_patterns(X, gates, seed=0))


@pytest.mark.slow
@pytest.mark.parametrize("name", UCI)
def test_uci_files_with_500_gates(shared_data, name):
    certified(uci_program(shared_data, name))


@pytest.mark.parametrize("name", ["fertility", "hepatitis"])
def test_uci_files_with_few_gates(shared_data, name):
    prog = uci_program(shared_data, name, gates=15)
    peer = ro.solve(prog, "cvxpy")
    assert certified(prog).objective == pytest.approx(peer.objective, rel=1e-6)


@pytest.mark.parametrize(("loss", "activation", "intercept", "weighted"), CASES)
def test_many_samples_take_the_route_through_gram_matrices(
    make_program, monkeypatch, loss, activation, intercept, weighted
):
    from relu_opt.solving.column_generation import master

    prog = make_program(4, loss=loss, activation=activation, intercept=intercept, weighted=weighted)
    direct = certified(prog)
    monkeypatch.setattr(master, "DENSE_SAMPLES", 0)
    assert certified(prog).objective == pytest.approx(direct.objective, rel=3e-8)
