"""The cvxpy backend, called as the core calls it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import warnings
from dataclasses import replace
from itertools import product

import cvxpy as cp
import numpy as np
import pytest
from scipy.optimize import linprog, milp
from scipy.sparse import csc_array
from sklearn.datasets import load_diabetes
from sklearn.preprocessing import StandardScaler
from stopping import with_incumbent
from targets import targets_of

import relu_opt as ro
import relu_opt_cvxpy
from relu_opt.clock import Clock
from relu_opt.errors import DataError, OptionError, SolveFailed, UnsupportedProgram
from relu_opt.optimality import prove
from relu_opt.plugins.types import Feature, SolveOptions, State, StopReason
from relu_opt.program.conic import Cones, ConicProgram, triangle, triangle_size
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.linear import LinearProgram, QuadraticProgram
from relu_opt.program.losses import Huber, Squared
from relu_opt.program.lowering import lower_to_conic
from relu_opt.program.patterns import patterns_of_gates, sample_patterns
from relu_opt_cvxpy import backend as backend_module
from relu_opt_cvxpy.answers import bound, raw_status
from relu_opt_cvxpy.backend import CvxpyBackend
from relu_opt_cvxpy.convex import ConvexModel
from relu_opt_cvxpy.settings import solver_settings

LOSSES = ("squared", Huber(0.4), "squared_hinge", "logistic", "poisson", "quantile")
CASES = list(product(LOSSES, ("relu", "gated"), (False, True), (False, True)))


def make(loss="squared", activation="relu", intercept=False, weighted=False, lam=0.02, n=12):
    rng = np.random.default_rng(3)
    X = rng.standard_normal((n, 3))
    X[2, :2] = 0.0
    y = rng.standard_normal(n) + 0.3
    y = targets_of(loss, y)
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


@pytest.mark.slow
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
    with pytest.raises(OptionError, match=rf"{option} for the solver SCIPY.*CLARABEL"):
        solve(make(), solver="SCIPY", **limit)


@pytest.mark.parametrize("solver", ["CLARABEL", "SCS"])
def test_a_time_limit_is_a_result(solver):
    found = solve(diabetes(), solver=solver, time_limit=1e-9)
    assert found.stop is StopReason.TIME_LIMIT
    assert "time" in found.raw_status.lower()


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


# -- linear and quadratic programs ----------------------------------------------------------

INF = np.inf
FOR_QUADRATIC = ("CLARABEL", "HIGHS", "OSQP", "SCS")


def random_linear(seed, kind=LinearProgram, rank=2, **changes):
    """A program with rows and bounds of every kind, and a known optimal value."""
    rng = np.random.default_rng(seed)
    k, m = 7, 9
    A = rng.standard_normal((m, k))
    x = rng.standard_normal(k)
    at = np.r_[x, A @ x]
    multipliers = np.abs(rng.standard_normal(k + m)) * np.resize([1, -1, 0, 0, 1, 0, -1], k + m)
    slack = rng.uniform(0.5, 2.0, k + m)
    upper = np.where(multipliers > 0, at, np.resize([INF, 1, 0.5, INF, INF], k + m) * slack + at)
    lower = np.where(multipliers < 0, at, np.resize([-INF, -1, -0.5, -INF], k + m) * slack + at)
    lower[-1] = upper[-1] = at[-1]
    L = rng.standard_normal((rank, k))
    P = L.T @ L if kind is QuadraticProgram else np.zeros((k, k))
    cost = {"P": P} if kind is QuadraticProgram else {}
    program = kind(
        c=-(P @ x + multipliers[:k] + A.T @ multipliers[k:]),
        A=A,
        row_lower=lower[k:],
        row_upper=upper[k:],
        lower=lower[:k],
        upper=upper[:k],
        offset=3.0,
        **cost,
        **changes,
    )
    return program, program.objective(x)


def check_optimal(program, found, value, tol=1e-6):
    assert found.stop in (StopReason.CONVERGED, StopReason.CONVERGED_LOOSE)
    measured = prove(program, found.x, found.duals, tol).residuals
    assert max(abs(measured.rel_gap), measured.primal, measured.dual) <= tol
    assert measured.objective == pytest.approx(value, abs=tol * max(1, abs(value)))
    assert found.objective == pytest.approx(measured.objective, abs=tol * max(1, abs(value)))


@pytest.mark.parametrize("solver", [None, "HIGHS", "OSQP", "SCS", "SCIPY"])
def test_linear_programs_against_linprog(solver):
    for seed in range(3):
        program, value = random_linear(seed)
        A, upper, lower = program.A.toarray(), program.row_upper, program.row_lower
        other = linprog(
            program.c,
            np.vstack([A[upper < INF], -A[lower > -INF]]),
            np.r_[upper[upper < INF], -lower[lower > -INF]],
            bounds=np.c_[program.lower, program.upper],
        )
        assert other.fun + 3.0 == pytest.approx(value, rel=1e-9)
        found = solve(program, solver=solver)
        check_optimal(program, found, value)
        assert found.stats["solver"] == solver or solver is None
        assert found.bound is None


@pytest.mark.parametrize("solver", FOR_QUADRATIC)
def test_quadratic_programs_that_are_flat_in_places(solver):
    for rank in (0, 2, 7):
        program, value = random_linear(rank, QuadraticProgram, rank)
        check_optimal(program, solve(program, solver=solver), value)


@pytest.mark.parametrize("solver", FOR_QUADRATIC)
@pytest.mark.parametrize(
    ("c", "lower", "upper", "y"),
    [
        (-3.0, -INF, 2.0, 2.0),
        (3.0, -2.0, INF, -2.0),
        (-3.0, -1.0, 2.0, 2.0),
        (3.0, -2.0, 1.0, -2.0),
        (-3.0, 2.0, 2.0, 2.0),
        (3.0, -2.0, -2.0, -2.0),
        (1.0, -9.0, 9.0, 0.0),
    ],
)
def test_signs_of_the_multipliers_of_every_kind_of_row(solver, c, lower, upper, y):
    """½x² + 2cx at lower ≤ x ≤ upper, written as a row 0.5·x of half the sides."""
    program = QuadraticProgram(
        P=np.eye(1), c=[2 * c], A=[[0.5]], row_lower=lower / 2, row_upper=upper / 2
    )
    found = solve(program, solver=solver)
    x = float(np.clip(-2 * c, lower, upper))
    assert found.x == pytest.approx(x, abs=1e-6)
    assert found.duals == pytest.approx(-(x + 2 * c) / 0.5, abs=1e-5)
    assert np.sign(np.round(found.duals, 4)) == np.sign(y)


@pytest.mark.parametrize("solver", FOR_QUADRATIC)
def test_projection_onto_the_simplex(solver):
    """The closed form: x = (a − θ)⁺ with Σx = 1, and θ is the multiplier of the row."""
    a = np.array([0.9, 0.5, -0.2, 0.4])
    theta = (0.9 + 0.5 + 0.4 - 1.0) / 3
    program = QuadraticProgram(
        P=np.eye(4), c=-a, A=np.ones((1, 4)), row_lower=1, row_upper=1, lower=0
    )
    found = solve(program, solver=solver)
    assert found.x == pytest.approx(np.maximum(a - theta, 0.0), abs=1e-6)
    assert found.duals == pytest.approx(theta, abs=1e-6)


def test_programs_without_rows_and_without_bounds():
    found = solve(LinearProgram(c=[1.0, -2.0], lower=-1, upper=3))
    assert found.x == pytest.approx([-1.0, 3.0], abs=1e-7)
    assert found.duals.shape == (0,)
    found = solve(QuadraticProgram(P=2 * np.eye(2), c=[2.0, -4.0]))
    assert found.x == pytest.approx([-1.0, 2.0])
    assert solve(LinearProgram(c=[])).x.shape == (0,)
    with pytest.raises(UnsupportedProgram, match=r"SCS cannot.*needs a constraint.*CLARABEL"):
        solve(QuadraticProgram(P=2 * np.eye(2), c=[2.0, -4.0]), solver="SCS")


@pytest.mark.parametrize("solver", ["CLARABEL", "HIGHS", "OSQP", "SCS"])
def test_linear_and_quadratic_programs_without_an_answer(solver):
    contradiction = {"A": [[1.0, 1.0]], "row_lower": 3.0, "lower": 0.0, "upper": 1.0}
    endless = {"A": [[1.0, -1.0]], "row_lower": -INF, "row_upper": 1.0, "lower": 0.0}
    for make_one in (
        lambda **rest: LinearProgram(c=[-1.0, -1.0], **rest),
        lambda **rest: QuadraticProgram(P=[[1.0, -1.0], [-1.0, 1.0]], c=[-1.0, -1.0], **rest),
    ):
        for rest, stop in (
            (contradiction, StopReason.INFEASIBLE),
            (endless, StopReason.UNBOUNDED),
        ):
            found = solve(make_one(**rest), solver=solver)
            assert found.stop is stop
            assert found.x is found.duals is found.objective is None
            assert found.raw_status


def test_the_core_certifies_what_comes_back():
    for kind in (LinearProgram, QuadraticProgram):
        program, value = random_linear(4, kind)
        sol = ro.solve_program(program, backend="cvxpy")
        assert sol.verdict is ro.Verdict.CERTIFIED
        assert sol.objective == pytest.approx(value)
        assert sol.stats["route"] == "as it is"
    sol = ro.solve_program(program, "cvxpy", tol=1e-6, options={"solver": "OSQP"})
    assert sol.require().stats["backend_stats"]["solver"] == "OSQP"


# -- integers -------------------------------------------------------------------------------


def knapsack(k=12, m=4, seed=0):
    rng = np.random.default_rng(seed)
    A = rng.integers(1, 60, (m, k)).astype(float)
    return LinearProgram(
        c=-rng.integers(1, 60, k).astype(float),
        A=A,
        row_lower=np.r_[0.2 * A[0].sum(), np.full(m - 1, -INF)],
        row_upper=0.45 * A.sum(axis=1),
        lower=np.r_[-1.5, np.zeros(k - 1)],
        upper=np.r_[0.75, np.full(k - 1, 2.5)],
        integrality=np.arange(k) % 4 != 0,
        offset=100.0,
    )


@pytest.mark.parametrize("solver", [None, "SCIP", "SCIPY"])
def test_mixed_integer_programs_against_milp(solver):
    program = knapsack()
    other = milp(
        program.c,
        integrality=program.integrality.astype(int),
        bounds=(program.lower, program.upper),
        constraints=(program.A, program.row_lower, program.row_upper),
    )
    found = solve(program, solver=solver)
    assert found.stop is StopReason.CONVERGED
    assert program.violation(found.x) <= 1e-6
    assert program.objective(found.x) == pytest.approx(other.fun + 100.0, rel=1e-6)
    assert found.objective == pytest.approx(other.fun + 100.0, rel=1e-6)
    assert found.bound == pytest.approx(found.objective, rel=1e-6)
    assert found.duals is None
    assert found.stats["solver"] == (solver or "HIGHS")
    every = LinearProgram(c=[-1.0, -1.0], upper=2.5, integrality=np.ones(2, dtype=bool))
    assert solve(every, solver=solver).x == pytest.approx([2.0, 2.0])


def test_integers_without_an_answer():
    integers = np.array([True, True])
    cut = {"A": [[1.0, -1.0]], "row_lower": 0.3, "row_upper": 0.7, "integrality": integers}
    infeasible = LinearProgram(c=[-1.0, 0.0], lower=-9, upper=9, **cut)
    found = solve(infeasible)
    assert (found.stop, found.x, found.bound) == (StopReason.INFEASIBLE, None, None)
    # HiGHS says of this one that it is unbounded or infeasible.
    endless = {"A": [[1.0, -1.0]], "row_lower": -INF, "row_upper": 0.0, "integrality": integers}
    found = solve(LinearProgram(c=[-1.0, 0.0], **endless))
    assert (found.stop, found.x, found.bound) == (StopReason.UNBOUNDED, None, None)
    assert found.raw_status == "kUnboundedOrInfeasible"
    request = backend_module._Request("HIGHS", SolveOptions(), Clock())
    assert backend_module._which(infeasible, request) is StopReason.INFEASIBLE
    assert backend_module._which(make(), request) is StopReason.UNKNOWN


def test_integers_at_a_time_limit():
    easy = knapsack(k=60, m=40)
    hard = replace(easy, lower=np.zeros(60), upper=np.ones(60), integrality=np.ones(60, dtype=bool))
    found = with_incumbent(lambda limit: solve(hard, time_limit=limit))
    assert found.stop is StopReason.TIME_LIMIT
    assert hard.violation(found.x) <= 1e-6
    assert found.bound < hard.objective(found.x)
    none = solve(knapsack(k=200, m=200), time_limit=1e-9)
    assert (none.stop, none.x, none.objective) == (StopReason.TIME_LIMIT, None, None)


def test_a_solver_that_does_not_fit_is_refused_with_one_that_does():
    with pytest.raises(UnsupportedProgram, match=r"CLARABEL cannot.*Use solver='HIGHS'"):
        solve(knapsack(), solver="CLARABEL")
    with pytest.raises(UnsupportedProgram, match=r"HIGHS cannot.*Use solver='CLARABEL'"):
        solve(smallest_eigenvalue(np.eye(2)), solver="HIGHS")


@pytest.mark.parametrize("solver", FOR_QUADRATIC)
def test_linear_and_quadratic_programs_at_an_iteration_limit(solver):
    rng = np.random.default_rng(0)
    rows = {"A": rng.standard_normal((80, 60)), "row_lower": -1.0, "lower": 0.0, "upper": 5.0}
    c, L = rng.standard_normal(60), rng.standard_normal((60, 60))
    for program in (LinearProgram(c=c, **rows), QuadraticProgram(P=L.T @ L, c=c, **rows)):
        found = solve(program, solver=solver, max_iter=2)
        assert found.stop is StopReason.ITERATION_LIMIT
        assert found.x.shape == (60,)


def test_threads_can_change_from_solve_to_solve():
    for threads in (1, 2, None, 1):
        assert solve(knapsack(), threads=threads).stop is StopReason.CONVERGED


# -- semidefinite cones ---------------------------------------------------------------------


def smallest_eigenvalue(C):
    """min ⟨C, X⟩ over tr X = 1 and X ⪰ 0, whose dual is max λ over C − λI ⪰ 0."""
    size = triangle_size(len(C))
    A = np.vstack([triangle(np.eye(len(C))), -np.eye(size)])
    cones = Cones(zero=1, semidefinite=(len(C),))
    return ConicProgram(triangle(C), csc_array(A), np.r_[1.0, np.zeros(size)], cones)


@pytest.mark.parametrize("solver", ["CLARABEL", "SCS"])
@pytest.mark.parametrize("order", [1, 2, 5])
def test_the_smallest_eigenvalue_and_its_dual(solver, order):
    C = np.random.default_rng(order).standard_normal((order, order))
    C = C + C.T
    program, values, vectors = smallest_eigenvalue(C), *np.linalg.eigh(C)
    found = solve(program, solver=solver)
    assert found.stop is StopReason.CONVERGED
    assert found.objective == pytest.approx(values[0], abs=1e-6)
    assert found.x == pytest.approx(triangle(np.outer(vectors[:, 0], vectors[:, 0])), abs=1e-4)
    assert found.duals[0] == pytest.approx(-values[0], abs=1e-6)
    assert found.duals[1:] == pytest.approx(triangle(C - values[0] * np.eye(order)), abs=1e-5)
    assert max(program.residuals(found.x, found.duals)) <= 1e-6


@pytest.mark.parametrize("solver", ["CLARABEL", "SCS"])
def test_semidefinite_cones_of_several_orders_beside_others(solver):
    rng = np.random.default_rng(6)
    cones = Cones(
        zero=1, nonnegative=2, second_order=(3,), exponential=1, semidefinite=(3, 1, 2, 2)
    )
    slack = [np.array([0.0, 2.0, 0.0, 5.0, 3.0, 4.0, 0.0, 1.0, 1.0])]
    dual = [np.array([1.5, 0.0, 3.0, 5.0, -3.0, -4.0, -2.0, -2.0, 2.0])]
    for order in cones.semidefinite:
        Q = np.linalg.qr(rng.standard_normal((order, order)))[0]
        kept = np.arange(order) < (order + 1) // 2
        slack.append(triangle(Q @ np.diag(np.where(kept, 2.0, 0.0)) @ Q.T))
        dual.append(triangle(Q @ np.diag(np.where(kept, 0.0, 3.0)) @ Q.T))
    slack, dual = np.concatenate(slack), np.concatenate(dual)
    A, x = rng.standard_normal((cones.rows, 7)), rng.standard_normal(7)
    program = ConicProgram(-A.T @ dual, csc_array(A), A @ x + slack, cones, offset=-1.0)
    assert max(program.residuals(x, dual)) <= 1e-12
    assert slack @ dual == pytest.approx(0.0, abs=1e-12)
    found = solve(program, solver=solver)
    assert max(program.residuals(found.x, found.duals)) <= 1e-5
    assert found.objective == pytest.approx(program.objective(x), abs=1e-5)
    assert program.dual_objective(found.duals) == pytest.approx(program.objective(x), abs=1e-5)


def test_semidefinite_programs_without_an_answer():
    size = triangle_size(2)
    A = np.vstack([triangle(np.diag([1.0, 0.0])), -np.eye(size)])
    for b, c, stop in (
        (-1.0, np.zeros(size), StopReason.INFEASIBLE),
        (1.0, triangle(np.diag([0.0, -1.0])), StopReason.UNBOUNDED),
    ):
        cones = Cones(zero=1, semidefinite=(2,))
        found = solve(ConicProgram(c, csc_array(A), np.r_[b, np.zeros(size)], cones))
        assert (found.stop, found.x, found.duals) == (stop, None, None)


# -- solvers' words and habits --------------------------------------------------------------


def test_quiet_solvers_are_quiet_from_the_first_solve_on():
    script = """
import numpy as np
from relu_opt.plugins.types import SolveOptions
from relu_opt.program.linear import LinearProgram, QuadraticProgram
from relu_opt_cvxpy.backend import CvxpyBackend
rest = dict(c=[1.0, -1.0], A=[[1.0, 2.0]], row_lower=-8.0, row_upper=9.0, lower=-1.0, upper=4.0)
whole = LinearProgram(**rest, integrality=np.array([True, False]))
for solver in ("HIGHS", "SCIP"):
    CvxpyBackend().solve(whole, SolveOptions(extra={"solver": solver}))
for solver in ("HIGHS", "OSQP", "SCS", "CLARABEL"):
    curved = QuadraticProgram(P=np.eye(2), **rest)
    CvxpyBackend().solve(curved, SolveOptions(extra={"solver": solver}))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_each_solvers_own_word_is_kept():
    program, _ = random_linear(0, QuadraticProgram)
    words = {solver: solve(program, solver=solver).raw_status for solver in FOR_QUADRATIC}
    assert words == {"CLARABEL": "Solved", "HIGHS": "kOptimal", "OSQP": "solved", "SCS": "solved"}
    assert raw_status((None, 0.0, -4, {})) == "exitflag -4"
    assert raw_status({"task": object()}) == raw_status(object()) == ""
    assert solve(knapsack(), solver="SCIP").raw_status == "optimal"
    assert "Optimal" in solve(knapsack(), solver="SCIPY").raw_status


def test_bounds_that_say_nothing_are_left_out():
    assert bound({"mip_dual_bound": 2.0}, 1.0) == 3.0
    for value in (None, np.nan, -INF, -1e20):
        assert bound({"mip_dual_bound": value}, 1.0) is None
    assert bound((), 1.0) is None


def test_an_answer_that_cvxpy_cannot_read_is_an_error(monkeypatch):
    from cvxpy.reductions.solvers.conic_solvers.clarabel_conif import CLARABEL

    def broken(*arguments):
        raise KeyError("x")

    monkeypatch.setattr(CLARABEL, "invert", broken)
    with pytest.raises(SolveFailed, match=r"cannot read the answer.*KeyError") as caught:
        solve(make())
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_status_that_cvxpy_does_not_know_is_unknown(monkeypatch):
    from cvxpy.reductions.solvers.conic_solvers.highs_conif import HIGHS

    monkeypatch.delitem(HIGHS.STATUS_MAP, "kOptimal")
    found = solve(knapsack())
    assert (found.stop, found.x, found.raw_status) == (StopReason.UNKNOWN, None, "kOptimal")


def test_mosek_knows_the_names_of_its_settings():
    mosek = pytest.importorskip("mosek")
    settings = solver_settings("MOSEK", 1e-8, 5.0, 7, 2, 3)["mosek_params"]
    assert len(settings) > 8
    with mosek.Task() as task:
        for name, value in settings.items():
            (task.putnaintparam if "_IPAR_" in name else task.putnadouparam)(name, value)


def test_a_solver_without_a_licence_fails_with_its_own_words(monkeypatch, tmp_path):
    mosek = pytest.importorskip("mosek")
    monkeypatch.setenv("MOSEKLM_LICENSE_FILE", str(tmp_path / "none.lic"))
    with pytest.raises(SolveFailed, match="MOSEK raised Error") as caught:
        solve(random_linear(0)[0], solver="MOSEK")
    assert isinstance(caught.value.__cause__, mosek.Error)


def test_statuses_are_mapped_in_full_and_only_optimal_converges():
    request = backend_module._Request("CLARABEL", SolveOptions(time_limit=1e9), Clock(1e9))

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
    request = backend_module._Request("CLARABEL", SolveOptions(time_limit=1e-9), Clock(1e-9))
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
    class Cubic(Squared):
        name = "cubic"

        def atoms(self, y):
            return ()

    with pytest.raises(UnsupportedProgram, match="cubic"):
        solve(make(Cubic()))


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
    highs = solver_settings("HIGHS", 1e-15, 5.0, 7, 2, seed=2**31 + 3)
    assert highs["mip_rel_gap"] == highs["primal_feasibility_tolerance"] == 1e-10
    assert highs["simplex_iteration_limit"] == highs["qp_iteration_limit"] == 7
    assert (highs["time_limit"], highs["threads"], highs["random_seed"]) == (5.0, 2, 3)
    assert solver_settings("OSQP", 1e-8, None, None, None)["max_iter"] == 100_000
    assert solver_settings("OSQP", 1e-8, None, 7, None)["max_iter"] == 7


def test_registration():
    (info,) = relu_opt_cvxpy.relu_opt_backends()
    assert info.name == "cvxpy"
    assert info.takes == {ConvexProgram, LinearProgram, QuadraticProgram, ConicProgram}
    assert info.features == set(Feature) - {Feature.WARM_START}
    options = {option.name: option for option in info.options}
    assert set(options) == {"solver", "max_iter"}
    assert options["solver"].default is None
    assert "HIGHS for integers, else CLARABEL" in options["solver"].help
    assert info.install_hint == "pip install 'relu-opt[cvxpy]'"
    assert isinstance(info.load(), CvxpyBackend)
    found = info.probe()
    assert found.state is State.READY
    assert found.version == cp.__version__


def test_probe_without_cvxpy(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    (info,) = relu_opt_cvxpy.relu_opt_backends()
    found = info.probe()
    assert found.state is State.NOT_INSTALLED
    assert "cvxpy is not installed" in found.reason


def test_registering_imports_no_solver():
    script = (
        "import sys, relu_opt_cvxpy; [info] = relu_opt_cvxpy.relu_opt_backends(); info.probe(); "
        "info.load(); print([m for m in ('cvxpy', 'clarabel', 'scs') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")
