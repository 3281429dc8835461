"""Lowering 2: networks trained by column generation with solvers of quadratic programs alone."""

from __future__ import annotations

from itertools import pairwise, product

import clarabel
import numpy as np
import pytest
from scipy import sparse
from stopping import Clock

import relu_opt as ro
from relu_opt.errors import ContractViolation, SolveFailed
from relu_opt.plugins import (
    Availability,
    BackendInfo,
    Feature,
    RawSolution,
    State,
    StopReason,
    hookimpl,
)
from relu_opt.plugins.manager import observe
from relu_opt.plugins.routes import Route, find_route
from relu_opt.program import QuadraticProgram
from relu_opt.program.losses import Huber

LOSSES = ("squared", Huber(0.4), "squared_hinge", "logistic", "poisson")
CASES = list(product(LOSSES, ("relu", "gated"), (False, True), (False, True)))


class InteriorPoint:
    """Clarabel on master problems alone: min ½xᵀPx + cᵀx over x ≥ 0."""

    def __init__(self, **changes):
        self.changes, self.seen = changes, []

    def solve(self, program, options):
        self.seen.append((program, options))
        k = program.columns
        settings = clarabel.DefaultSettings()
        settings.verbose = False
        settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = options.tol
        P, G = sparse.csc_matrix(sparse.triu(program.P)), sparse.csc_matrix(-np.eye(k))
        cones = [clarabel.NonnegativeConeT(k)]
        found = clarabel.DefaultSolver(P, program.c, G, np.zeros(k), cones, settings).solve()
        x = np.array(found.x)
        x = self.changes.get("x", lambda x: x)(x)
        stop = self.changes.get("stop", StopReason.CONVERGED)
        return RawSolution(stop, x, raw_status=self.changes.get("said", "done"))

    @hookimpl
    def relu_opt_backends(self):
        ready = Availability(State.READY)
        takes = frozenset({QuadraticProgram})
        features = self.changes.get("features", frozenset())
        return [BackendInfo("inner", lambda: self, lambda: ready, takes, features)]


@pytest.fixture
def install(registry):
    """Register a solver of quadratic programs that the test describes."""

    def add(**changes):
        backend = InteriorPoint(**changes)
        registry.add("inner", "test", lambda: backend)
        return backend

    return add


@pytest.mark.parametrize(("loss", "activation", "intercept", "weighted"), CASES)
def test_every_program_is_trained(
    install, make_program, independent_optimum, loss, activation, intercept, weighted
):
    backend = install()
    options = {"intercept": intercept, "weighted": weighted}
    prog = make_program(2, n=12, d=3, p=6, loss=loss, activation=activation, **options)
    assert find_route(ro.plugins.manager.registry().infos()["inner"], prog) is Route.COLUMNS
    sol = ro.solve(prog, "inner", tol=1e-6)
    assert sol.certificate.verdict == ro.Verdict.CERTIFIED
    assert sol.objective == pytest.approx(independent_optimum(prog), rel=2e-6)
    assert sol.stats["route"] == Route.COLUMNS.value
    assert backend.seen


def test_master_problems_are_small_and_well_scaled(install, make_program):
    backend = install()
    for scale in (1e-6, 1.0, 1e5):
        prog = make_program(5, n=30, d=3, p=40)
        prog = ro.ConvexProgram(
            scale * prog.X, prog.y, scale * prog.lam, prog.patterns, sample_weight=None
        )
        assert ro.solve(prog, "inner", tol=1e-6).rel_gap <= 1e-6
    assert len(backend.seen) > 3
    for program, _ in backend.seen:
        assert program.rows == 0
        assert (program.lower == 0).all()
        assert np.isinf(program.upper).all()
        assert program.columns < 4 * 40  # of 2 · 40 blocks of 3 features
        np.testing.assert_allclose(program.P.diagonal(), 1.0)
        assert 1e-3 < np.abs(program.c).max() <= 1 + 1e-12


def test_limits_and_starts_are_the_core_s(install, make_program):
    """A backend without TIME_LIMIT and WARM_START has both here, and never hears of them."""
    backend = install()
    prog = make_program(1, n=40, d=4, p=30, lam_share=0.02)
    early = ro.solve(prog, "inner", time_limit=1e-9)
    assert early.stop is StopReason.TIME_LIMIT
    assert early.certificate.verdict == ro.Verdict.NOT_CERTIFIED
    sol = ro.solve(prog, "inner", tol=1e-6, time_limit=60)
    cold = len(backend.seen)
    again = ro.solve(prog, "inner", tol=1e-6, warm_start=sol)
    assert again.rel_gap <= 1e-6
    assert len(backend.seen) - cold < cold / 2
    assert all(options.time_limit is None for _, options in backend.seen)
    assert all(options.warm_start is None for _, options in backend.seen)


def test_a_backend_with_a_time_limit_is_told_what_is_left(install, make_program):
    backend = install(features=frozenset({Feature.TIME_LIMIT}))
    ro.solve(make_program(1), "inner", tol=1e-6, time_limit=50)
    left = [options.time_limit for _, options in backend.seen]
    assert all(0 < b <= a <= 50 for a, b in pairwise(left))


@pytest.mark.parametrize(
    ("stop", "expected"),
    [
        (StopReason.TIME_LIMIT, StopReason.TIME_LIMIT),
        (StopReason.ITERATION_LIMIT, StopReason.ITERATION_LIMIT),
        (StopReason.INTERRUPTED, StopReason.INTERRUPTED),
    ],
)
def test_a_master_problem_at_its_limit_ends_the_search(install, make_program, stop, expected):
    install(stop=stop, said="enough")
    sol = ro.solve(make_program(1), "inner")
    assert sol.stop is expected
    assert "enough" in sol.stats["raw_status"]
    assert sol.certificate.verdict == ro.Verdict.NOT_CERTIFIED


@pytest.mark.parametrize("stop", [StopReason.NUMERICAL, StopReason.UNBOUNDED, StopReason.UNKNOWN])
def test_a_master_problem_without_an_answer_ends_the_search(install, make_program, stop):
    install(stop=stop, x=lambda x: None, said="code 9")
    sol = ro.solve(make_program(1), "inner")
    assert sol.stop is StopReason.NUMERICAL
    assert "code 9" in sol.stats["raw_status"]
    assert sol.certificate.verdict == ro.Verdict.NOT_CERTIFIED


@pytest.mark.parametrize(
    "x",
    [lambda x: 0 * x, lambda x: x + 1.0, lambda x: -x, lambda x: 1e9 * x, lambda x: x[::-1].copy()],
    ids=["zero", "shifted", "negated", "huge", "reversed"],
)
def test_wrong_answers_to_master_problems_are_never_certified_wrongly(
    install, make_program, x, monkeypatch
):
    prog = make_program(3, n=20, d=3, p=20, lam_share=0.1)
    best = ro.solve(prog, "native", tol=1e-10)
    install(x=x)
    monkeypatch.setattr("time.perf_counter", Clock())
    sol = ro.solve(prog, "inner", time_limit=300.0)
    assert sol.objective >= best.lower_bound * (1 - 1e-9)
    assert sol.lower_bound <= best.objective * (1 + 1e-9)
    if sol.certificate.verdict == ro.Verdict.CERTIFIED:
        assert sol.objective == pytest.approx(best.objective, rel=1e-7)


def test_noise_of_half_the_tolerance_does_no_harm(install, make_program):
    """What an interior-point method leaves in idle neurons does not stay in the network."""
    prog = make_program(3, n=20, d=3, p=20, lam_share=0.1)
    exact = ro.solve(prog, "native", tol=1e-9)
    install(x=lambda x: x + 1e-9)
    sol = ro.solve(prog, "inner", tol=1e-6)
    assert sol.certificate.verdict == ro.Verdict.CERTIFIED
    assert len(sol.network) <= len(exact.network) + 1


def test_nan_is_a_breach(install, make_program):
    install(x=lambda x: np.nan * x)
    with pytest.raises(ContractViolation, match="NaN"):
        ro.solve(make_program(1), "inner")


def test_what_the_backend_raises_is_chained(install, make_program):
    install(x=lambda x: x[len(x)])
    with pytest.raises(SolveFailed, match="raised IndexError") as caught:
        ro.solve(make_program(1), "inner")
    assert isinstance(caught.value.__cause__, IndexError)


def test_progress_is_that_of_the_search(install, make_program):
    install()
    events = []
    with observe(events.append):
        sol = ro.solve(make_program(1), "inner", tol=1e-6)
    assert events
    assert events[-1].rel_gap <= 1e-6
    assert events[-1].objective == pytest.approx(sol.objective, rel=1e-6)


@pytest.mark.parametrize("backend", ["highs", "clarabel", "pyomo"])
def test_the_benchmark_of_the_theory(benchmark_programs, backend):
    """Diabetes through solvers that know nothing of networks, certified by the core."""
    sol = ro.solve(benchmark_programs["diabetes"], backend, tol=1e-6)
    assert sol.stats["route"] == Route.COLUMNS.value
    assert sol.certificate.verdict == ro.Verdict.CERTIFIED
    assert sol.rel_gap <= 1e-6
    assert sol.objective == pytest.approx(0.3020236312, rel=1e-6)


@pytest.mark.parametrize("loss", [Huber(0.1), "squared_hinge"])
@pytest.mark.parametrize("seed", [4, 8, 11, 17])
def test_losses_that_are_linear_somewhere(install, make_program, loss, seed):
    """Their quadratic models fall without end unless something keeps them bounded."""
    install()
    prog = make_program(seed, n=14, d=3, p=8, loss=loss, lam_share=0.05)
    sol = ro.solve(prog, "inner", tol=1e-6)
    assert sol.certificate.verdict == ro.Verdict.CERTIFIED
    assert sol.objective == pytest.approx(ro.solve(prog, "native").objective, rel=2e-6)
