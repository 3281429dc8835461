"""The cvxpy backend, called as the core calls it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import warnings
from itertools import product

import cvxpy as cp
import numpy as np
import pytest
from scipy.sparse import csc_array
from sklearn.datasets import load_diabetes
from sklearn.preprocessing import StandardScaler

import relu_opt_cvxpy
from relu_opt.errors import DataError, OptionError, SolveFailed, UnsupportedProgram
from relu_opt.plugins.types import Feature, SolveOptions, State, StopReason
from relu_opt.program.conic import Cones, ConicProgram
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.losses import Huber, Squared
from relu_opt.program.lowering import lower_to_conic
from relu_opt.program.patterns import patterns_of_gates, sample_patterns
from relu_opt_cvxpy import backend as backend_module
from relu_opt_cvxpy.backend import CvxpyBackend
from relu_opt_cvxpy.convex import ConvexModel
from relu_opt_cvxpy.settings import solver_settings

LOSSES = ("squared", Huber(0.4), "squared_hinge", "logistic")
CASES = list(product(LOSSES, ("relu", "gated"), (False, True), (False, True)))


def make(loss="squared", activation="relu", intercept=False, weighted=False, lam=0.02, n=12):
    rng = np.random.default_rng(3)
    X = rng.standard_normal((n, 3))
    X[2, :2] = 0.0
    y = rng.standard_normal(n) + 0.3
    if loss in ("squared_hinge", "logistic"):
        y = np.sign(y)
    weight = rng.uniform(0.2, 3.0, n) if weighted else None
    return ConvexProgram(X, y, lam, sample_patterns(X, 8), loss, activation, weight, intercept)


def diabetes(**changes):
    """The problem of theory.md, section 7."""
    raw = load_diabetes()
    n, d = raw.data.shape
    X = np.c_[StandardScaler().fit_transform(raw.data), np.ones(n)] / np.sqrt(d)
    y = (raw.target - raw.target.mean()) / raw.target.std()
    gates = np.random.default_rng(123).standard_normal((d + 1, 50))
    return ConvexProgram(X, y, 0.01, patterns_of_gates(X, gates), **changes)


def solve(program, **options):
    extra = {name: options.pop(name) for name in ("solver", "max_iter") if name in options}
    return CvxpyBackend().solve(program, SolveOptions(**options, extra=extra))


def check_gap(prog, weights, nu, tol):
    """Weak duality, with nothing of the solver's trusted: the objective, cones, ν and its gap."""
    correlations = prog.correlations(nu)
    if prog.activation == "relu":
        correlations = prog.project(correlations, np.arange(2 * len(prog.patterns))).points
    assert np.linalg.norm(correlations, axis=1).max() <= prog.lam * (1 + 1e-6)
    if prog.intercept:
        assert abs(nu.sum()) <= 1e-14 * np.abs(nu).sum()
    if prog.activation == "relu":
        weights = np.stack(
            [prog.project(part, np.arange(len(prog.patterns))).points for part in weights]
        )
        assert prog.cone_violation(weights) <= 1e-12
    objective = prog.objective(weights, prog.best_intercept(prog.fits(weights)))
    assert prog.dual_objective(nu) == pytest.approx(objective, rel=tol)
    return objective


@pytest.mark.parametrize(("loss", "activation", "intercept", "weighted"), CASES)
def test_both_routes_close_the_gap_and_agree(loss, activation, intercept, weighted):
    prog = make(loss, activation, intercept, weighted)
    own = solve(prog, tol=1e-8)
    assert own.x.shape == prog.weights_shape
    objective = check_gap(prog, own.x, own.duals, 1e-6)
    assert own.objective == pytest.approx(objective, rel=1e-6)

    lowering = lower_to_conic(prog)
    lowered = solve(lowering.program, tol=1e-8)
    assert max(lowering.program.residuals(lowered.x, lowered.duals)) <= 1e-6
    weights, _, nu = lowering.recover(lowered.x, lowered.duals)
    assert check_gap(prog, weights, nu, 1e-6) == pytest.approx(objective, rel=1e-6)
    for found in (own, lowered):
        assert found.stop in (StopReason.CONVERGED, StopReason.CONVERGED_LOOSE)
        assert found.stats["solver"] == "CLARABEL"
        assert found.stats["iterations"] > 0


def test_the_benchmark_of_the_theory():
    prog = diabetes()
    found = solve(prog)
    assert check_gap(prog, found.x, found.duals, 1e-8) == pytest.approx(0.3020236310, rel=1e-8)
    assert found.stop is StopReason.CONVERGED


def test_noise_in_idle_blocks_is_removed():
    prog = make()
    active = solve(prog).x.any(axis=2).sum()
    assert 0 < active < 2 * len(prog.patterns)


@pytest.mark.parametrize("tol", [1e-4, 1e-8])
def test_a_first_order_solver_reaches_the_tolerance_it_is_given(tol):
    prog = make()
    found = solve(prog, solver="scs", tol=tol)
    assert found.stop is StopReason.CONVERGED
    assert found.raw_status == "solved"
    assert found.stats["solver"] == "SCS"
    exact = solve(prog).objective
    assert abs(found.objective / exact - 1) <= tol


def test_unknown_solver_is_refused_with_the_near_match():
    with pytest.raises(OptionError, match=r"'CLARABLE'.*mean 'CLARABEL'") as caught:
        solve(make(), solver="CLARABLE")
    assert caught.value.fields["option"] == "solver"


def test_a_solver_without_the_cones_is_refused():
    with pytest.raises(UnsupportedProgram, match="OSQP") as caught:
        solve(make(), solver="OSQP")
    assert isinstance(caught.value.__cause__, cp.error.SolverError)


@pytest.mark.parametrize("limit", [{"time_limit": 5.0}, {"max_iter": 5}])
def test_a_limit_that_the_solver_cannot_be_told_is_refused(limit):
    option = next(iter(limit))
    with pytest.raises(OptionError, match=rf"{option} for the solver OSQP.*CLARABEL"):
        solve(make(), solver="OSQP", **limit)


@pytest.mark.parametrize("solver", ["CLARABEL", "SCS"])
def test_a_time_limit_is_a_result(solver):
    found = solve(diabetes(), solver=solver, time_limit=0.05)
    assert found.stop is StopReason.TIME_LIMIT
    assert "time" in found.raw_status.lower()
    assert found.stats["build_seconds"] + found.stats["solve_seconds"] < 10.0


@pytest.mark.parametrize(("solver", "count"), [("CLARABEL", 3), ("SCS", 20)])
def test_an_iteration_limit_is_a_result(solver, count):
    prog = make()
    found = solve(prog, solver=solver, max_iter=count)
    assert found.stop is StopReason.ITERATION_LIMIT
    assert found.stats["iterations"] == count
    assert found.x.shape == prog.weights_shape
    assert np.isfinite(prog.objective(found.x))


def linear(c, A, b, **cones):
    return ConicProgram(np.array(c, float), csc_array(A), np.array(b, float), Cones(**cones))


def test_infeasible_and_unbounded_programs_are_said_to_be_so():
    infeasible = solve(linear([1], [[1.0], [-1.0]], [-1, -1], nonnegative=2))
    assert infeasible.stop is StopReason.INFEASIBLE
    assert infeasible.x is None
    unbounded = solve(linear([1], [[1.0]], [0], nonnegative=1))
    assert unbounded.stop is StopReason.UNBOUNDED
    assert unbounded.x is None
    assert infeasible.objective is unbounded.objective is None


@pytest.mark.parametrize("solver", ["CLARABEL", "SCS"])
def test_duals_of_every_cone_are_in_the_order_of_its_rows(solver):
    """Cones of mixed sizes in one program, each binding."""
    rng = np.random.default_rng(5)
    cones = Cones(zero=2, nonnegative=4, second_order=(3, 3, 1, 4, 3), exponential=2)
    dual = np.r_[1.0, -2.0, 1, 0, 2, 0, 5, 3, 4, 5, -4, 3, 1, 2, 2, 0, 0, 1, 0, -1]
    dual = np.r_[dual, -1.0, 1.0, np.exp(-2.0), -2.0, -2.0, 2.0]
    slack = np.r_[0.0, 0.0, 0, 1, 0, 3, 5, -3, -4, 5, 4, -3, 0, 2, -2, 0, 0, 1, 0, 1]
    slack = np.r_[slack, 2.0, 1.0, np.exp(2.0), 0.0, 1.0, 1.0]
    assert slack @ dual == pytest.approx(0.0, abs=1e-12)
    A = rng.standard_normal((cones.rows, 6))
    x = rng.standard_normal(6)
    program = ConicProgram(-A.T @ dual, csc_array(A), A @ x + slack, cones, offset=7.0)
    assert max(program.residuals(x, dual)) <= 1e-12
    found = solve(program, solver=solver)
    assert max(program.residuals(found.x, found.duals)) <= 1e-5
    assert found.objective == pytest.approx(program.objective(x), abs=1e-5)
    assert program.dual_objective(found.duals) == pytest.approx(program.objective(x), abs=1e-5)


def test_statuses_are_mapped_in_full_and_only_optimal_converges():
    request = backend_module._Request("CLARABEL", SolveOptions(time_limit=1e9), 0.0)

    def stop(status, word=""):
        return backend_module._stop_reason(status, word, request)

    every = {*cp.settings.SOLUTION_PRESENT, *cp.settings.INF_OR_UNB, *cp.settings.ERROR}
    assert set(backend_module.STOPS) < every
    assert {status for status in every if stop(status) is StopReason.CONVERGED} == {"optimal"}
    assert stop("optimal_inaccurate") is StopReason.CONVERGED_LOOSE
    assert stop("optimal_inaccurate", "InsufficientProgress") is StopReason.NUMERICAL
    assert stop("infeasible_inaccurate") is StopReason.NUMERICAL
    assert stop("infeasible_or_unbounded") is StopReason.UNKNOWN
    assert stop("splendid") is StopReason.UNKNOWN
    assert stop("user_limit") is StopReason.ITERATION_LIMIT
    request = backend_module._Request("CLARABEL", SolveOptions(time_limit=1e-9), 0.0)
    assert backend_module._stop_reason("user_limit", "", request) is StopReason.TIME_LIMIT


def test_what_a_solver_raises_is_chained(monkeypatch):
    import clarabel

    def broken(*arguments):
        raise RuntimeError("out of luck")

    monkeypatch.setattr(clarabel, "DefaultSolver", broken)
    with pytest.raises(SolveFailed, match="CLARABEL raised RuntimeError: out of luck") as caught:
        solve(make())
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert caught.value.fields["solver"] == "CLARABEL"


def test_a_solver_that_fails_without_a_point_is_an_error(monkeypatch):
    from cvxpy.reductions.solvers.conic_solvers.clarabel_conif import CLARABEL

    monkeypatch.setitem(CLARABEL.STATUS_MAP, "Solved", cp.SOLVER_ERROR)
    with pytest.raises(SolveFailed, match="Solved and left no point") as caught:
        solve(make())
    assert caught.value.fields["stop"] is StopReason.NUMERICAL


def test_points_with_nan_are_not_handed_on(monkeypatch):
    recover = ConvexModel.recover

    def poisoned(model):
        weights, nu = recover(model)
        weights[0, 0, 0] = np.nan
        return weights, nu

    monkeypatch.setattr(ConvexModel, "recover", poisoned)
    found = solve(make())
    assert found.x is None
    assert found.duals is not None


def test_quiet_means_quiet_and_verbose_does_not(capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = solve(make(), max_iter=3)  # cvxpy warns of its accuracy
    assert found.stop is StopReason.ITERATION_LIMIT
    assert capfd.readouterr() == ("", "")
    solve(make(), verbose=True)
    assert "Clarabel" in capfd.readouterr().out


def test_a_loss_without_a_model_is_refused():
    class Stranger:
        name = "cubic"

        def __getattr__(self, name):
            return getattr(Squared(), name)

    with pytest.raises(UnsupportedProgram, match="cubic"):
        solve(make(Stranger()))


def test_programs_too_large_are_refused_before_they_are_built():
    X = np.random.default_rng(0).standard_normal((2000, 200))
    with pytest.raises(DataError, match=r"GiB.*fewer patterns.*native"):
        solve(ConvexProgram(X, X[:, 0], 0.1, sample_patterns(X, 100)))


def test_settings_use_each_solvers_own_names():
    assert solver_settings("CLARABEL", 1e-8, 5.0, 7, 2) == {
        "tol_gap_abs": pytest.approx(1e-9),
        "tol_gap_rel": pytest.approx(1e-9),
        "tol_feas": pytest.approx(1e-9),
        "time_limit": 5.0,
        "max_iter": 7,
        "max_threads": 2,
        "accept_unknown": True,
    }
    assert set(solver_settings("ECOS", 1e-8, None, None, None)) == {"abstol", "reltol", "feastol"}
    mosek = solver_settings("MOSEK", 1e-20, 5.0, None, None)["mosek_params"]
    assert mosek["MSK_DPAR_OPTIMIZER_MAX_TIME"] == 5.0
    assert mosek["MSK_DPAR_INTPNT_CO_TOL_REL_GAP"] == 1e-12
    assert solver_settings("OTHER", 1e-8, None, None, 2) == {}


def test_registration():
    (info,) = relu_opt_cvxpy.relu_opt_backends()
    assert info.name == "cvxpy"
    assert info.takes == {ConvexProgram, ConicProgram}
    assert info.features == {Feature.SOC, Feature.EXP, Feature.DUALS, Feature.TIME_LIMIT}
    assert {option.name for option in info.options} == {"solver", "max_iter"}
    assert info.install_hint == "pip install 'relu-opt[cvxpy]'"
    assert isinstance(info.load(), CvxpyBackend)
    found = info.probe()
    assert found.state is State.READY
    assert found.version == cp.__version__


def test_probe_without_cvxpy(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    found = relu_opt_cvxpy.probe()
    assert found.state is State.NOT_INSTALLED
    assert "cvxpy is not installed" in found.reason


def test_registering_imports_no_solver():
    script = (
        "import sys, relu_opt_cvxpy; [info] = relu_opt_cvxpy.relu_opt_backends(); info.probe(); "
        "info.load(); print([m for m in ('cvxpy', 'clarabel', 'scs') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")
