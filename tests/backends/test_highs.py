"""The backend `highs`, beside what the conformance kit checks of every backend."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace

import highspy
import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, linprog, milp, nnls
from stopping import with_incumbent

import relu_opt as ro
from relu_opt.errors import OptionError, SolveFailed, UnsupportedProgram
from relu_opt.optimality import measure
from relu_opt.plugins import SolveOptions, StopReason
from relu_opt.program import LinearProgram, QuadraticProgram
from relu_opt_highs import library, linear, polish, quadratic, refuses
from relu_opt_highs.backend import HighsBackend
from relu_opt_highs.scaling import Scaled

INF = np.inf


def solve(program, tol=1e-8, **options):
    known = ("time_limit", "threads", "seed", "verbose", "warm_start", "state")
    common = {name: options.pop(name) for name in known if name in options}
    return HighsBackend().solve(program, SolveOptions(tol=tol, extra=options, **common))


def count(found, name="simplex_iteration_count"):
    return found.stats.get(name, 0)


def polytope(seed, m=40, k=70):
    """A bounded program whose rows are equations, inequalities and ranges."""
    rng = np.random.default_rng(seed)
    A, inside = rng.standard_normal((m, k)), rng.uniform(0.5, 1.5, k)
    kind, at = rng.integers(0, 4, m), A @ inside
    lower = np.choose(kind, [at, at - 0.5, np.full(m, -INF), at - 0.5])
    upper = np.choose(kind, [at, np.full(m, INF), at + 0.5, at + 0.5])
    c = rng.standard_normal(k)
    return LinearProgram(c=c, A=A, row_lower=lower, row_upper=upper, lower=0.0, upper=3.0)


# -- linear programs -------------------------------------------------------------


@pytest.mark.parametrize("solver", ["choose", "simplex", "ipm", "pdlp"])
def test_linear_programs_against_scipy(solver):
    for seed in range(3):
        program = polytope(seed, 12, 20)
        A, equal = program.A.toarray(), program.row_lower == program.row_upper
        above = np.isfinite(program.row_upper) & ~equal
        below = np.isfinite(program.row_lower) & ~equal
        theirs = linprog(
            program.c,
            np.vstack([A[above], -A[below]]),
            np.r_[program.row_upper[above], -program.row_lower[below]],
            A[equal],
            program.row_upper[equal],
            bounds=(0, 3),
        )
        found = solve(replace(program, offset=5.0), solver=solver)
        assert found.stop is StopReason.CONVERGED
        assert found.objective == pytest.approx(theirs.fun + 5.0, rel=1e-7)
        y = np.zeros(program.rows)
        y[equal] = -theirs.eqlin.marginals
        y[above] -= theirs.ineqlin.marginals[: above.sum()]
        y[below] += theirs.ineqlin.marginals[above.sum() :]
        np.testing.assert_allclose(found.duals, y, atol=1e-5)


@pytest.mark.parametrize(
    ("lower", "upper", "cost", "y"),
    [(-INF, 1.0, -2.0, 2.0), (1.0, INF, 2.0, -2.0), (1.0, 1.0, 2.0, -2.0), (1.0, 1.0, -2.0, 2.0),
     (-1.0, 1.0, -2.0, 2.0), (-1.0, 1.0, 2.0, -2.0), (-5.0, 5.0, -2.0, 0.0)],
)  # fmt: skip
def test_the_sign_of_a_dual(lower, upper, cost, y):
    """min cost·x over one row and −2 ≤ x ≤ 2: cost + y + z = 0."""
    rows = {"A": [[1.0]], "row_lower": [lower], "row_upper": [upper], "lower": -2.0, "upper": 2.0}
    for program in (LinearProgram(c=[cost], **rows), QuadraticProgram(P=[[0.0]], c=[cost], **rows)):
        assert solve(program).duals == pytest.approx([y])
    curved = QuadraticProgram(P=[[0.5]], c=[cost], **rows)
    found = solve(curved)
    z = curved.bound_multipliers(found.x, found.duals)
    assert found.duals[0] * y >= 0
    assert 0.5 * found.x + cost + found.duals + z == pytest.approx(0)
    assert measure(curved, found.x, found.duals).rel_gap == pytest.approx(0, abs=1e-12)


def test_related_programs_take_far_fewer_iterations_than_cold_solves():
    base = polytope(0)
    hot = cold = 0
    state = None
    for step in range(200):
        program = base.with_cost(base.c + 0.1 * np.cos(step / 10 + np.arange(base.columns)))
        started, fresh = solve(program, state=state), solve(program)
        state = started.state
        assert started.stop is fresh.stop is StopReason.CONVERGED
        assert started.objective == pytest.approx(fresh.objective, rel=1e-9, abs=1e-9)
        assert started.stats["start"] == ("costs changed" if step else "cold")
        hot, cold = hot + count(started), cold + count(fresh)
    assert hot < 0.1 * cold


def test_a_state_gives_the_same_whatever_happened_since():
    base = polytope(1)
    first = solve(base)
    other = base.with_cost(-base.c)
    once = solve(other, state=first.state)
    solve(base.with_cost(np.roll(base.c, 1)), state=once.state)  # moves the live solver on
    again = solve(other, state=first.state)
    assert count(once) == count(again) > 0
    np.testing.assert_allclose(once.x, again.x, rtol=1e-9, atol=1e-9)
    offset = solve(replace(base, offset=7.0), state=again.state)
    assert offset.stats["start"] == "costs changed"
    assert offset.objective == pytest.approx(first.objective + 7.0)


def test_a_state_for_other_constraints():
    base = polytope(2)
    state = solve(base).state
    moved = replace(base, row_upper=base.row_upper + 1e-3)
    found, fresh = solve(moved, state=state), solve(moved)
    assert found.stats["start"] == "basis"
    assert count(found) < 0.2 * count(fresh)
    assert found.objective == pytest.approx(fresh.objective, rel=1e-9)
    for other, options in (
        (polytope(2, 41), {"state": state}),  # of another size
        (base, {"state": state, "solver": "ipm"}),  # a method without a basis
        (base, {"state": "what another backend left"}),
    ):
        assert solve(other, **options).stats["start"] == "cold"


def test_limits_do_not_add_up_over_hot_starts():
    """HiGHS' clock and limits go on from run to run."""
    base = polytope(3, 150, 400)
    first = solve(base)
    spent = first.state.live.highs.getRunTime()
    nearby = base.with_cost(base.c + 0.05 * np.cos(np.arange(base.columns)))
    again = solve(nearby, state=first.state, time_limit=600.0)
    assert again.stop is StopReason.CONVERGED
    assert 0 < spent < again.state.live.highs.getRunTime()
    assert again.state.live.highs.getOptionValue("time_limit")[1] == spent + 600.0
    assert count(again) > 0
    short = solve(base.with_cost(-base.c), state=first.state, max_iter=1)
    assert short.stop is StopReason.ITERATION_LIMIT
    assert solve(base.with_cost(-base.c), state=short.state).stop is StopReason.CONVERGED


def test_a_point_to_start_from():
    base = polytope(4)
    cold = solve(base)
    beyond = np.where(cold.x == 3.0, 3.5, np.where(cold.x == 0.0, -0.5, cold.x))
    for point in (cold.x, beyond):
        started = solve(base, warm_start=point)
        assert started.stats["start"] == "point"
        assert started.objective == pytest.approx(cold.objective, rel=1e-9)
        assert count(started) < 0.1 * count(cold)


def test_limits_of_linear_programs_are_results():
    base = polytope(5, 200, 400)
    found = solve(base, max_iter=20)
    assert found.stop is StopReason.ITERATION_LIMIT
    assert count(found) == 20
    assert found.x.shape == (400,)
    assert solve(base, solver="ipm", max_iter=2).stop is StopReason.ITERATION_LIMIT
    large = polytope(6, 400, 1500)
    timed = solve(large, time_limit=1e-9, presolve="off")
    assert timed.stop is StopReason.TIME_LIMIT
    assert timed.raw_status == "Time limit reached"


CONTRADICTION = {"A": [[1.0, -1.0], [1.0, -1.0]], "row_lower": [-INF, 1.0], "row_upper": [0.0, INF]}


@pytest.mark.parametrize("whole", [False, True])
def test_infeasible_and_unbounded(whole):
    kind = {"integrality": np.full(2, whole)}
    for presolve in ("on", "off"):
        infeasible = solve(
            LinearProgram(c=[-1.0, 0.0], lower=0.0, **CONTRADICTION, **kind), presolve=presolve
        )
        assert infeasible.stop is StopReason.INFEASIBLE
        free = LinearProgram(c=[-1.0, 0.0], A=[[1.0, -1.0]], row_upper=[0.0], lower=0.0, **kind)
        unbounded = solve(free, presolve=presolve)
        assert unbounded.stop is StopReason.UNBOUNDED
        for found in (infeasible, unbounded):
            assert found.x is found.duals is found.objective is None


@pytest.mark.parametrize("extra", [{}, {"solver": "ipm"}])
def test_unbounded_or_infeasible_is_settled(monkeypatch, extra):
    """By a solve without costs, whatever HiGHS says; its own words are kept."""
    real = linear.run

    def vague(highs, options, limit):
        outcome = real(highs, options, limit)
        if outcome.status not in ("kInfeasible", "kUnbounded") or (
            not np.any(highs.getLp().col_cost_)
        ):
            return outcome
        return replace(outcome, status="kUnboundedOrInfeasible", raw_status="either")

    monkeypatch.setattr(linear, "run", vague)
    free = solve(LinearProgram(c=[-1.0, 0.0], A=[[1.0, -1.0]], row_upper=[0.0], lower=0.0), **extra)
    assert (free.stop, free.raw_status) == (StopReason.UNBOUNDED, "either: Unbounded")
    empty = solve(LinearProgram(c=[-1.0, 0.0], lower=0.0, **CONTRADICTION), **extra)
    assert (empty.stop, empty.raw_status) == (StopReason.INFEASIBLE, "either: Infeasible")


def test_programs_without_variables_or_rows():
    nothing = LinearProgram(c=[], A=np.zeros((2, 0)), row_lower=[-1.0, 0.0], row_upper=1.0)
    found = solve(replace(nothing, offset=2.0))
    assert (found.stop, found.objective) == (StopReason.CONVERGED, 2.0)
    assert found.x.shape == (0,)
    assert found.duals.shape == (2,)
    assert solve(replace(nothing, row_lower=np.full(2, 0.5))).stop is StopReason.INFEASIBLE
    box = solve(LinearProgram(c=[1.0, -1.0], lower=-1.0, upper=2.0))
    assert box.x == pytest.approx([-1.0, 2.0])
    assert box.duals.shape == (0,)


def test_an_answer_that_does_not_hold_is_not_called_converged(monkeypatch):
    real, base = linear.run, polytope(7)

    def off(error):
        def lying(highs, options, limit):
            outcome = real(highs, options, limit)
            return replace(outcome, x=outcome.x + error)

        monkeypatch.setattr(linear, "run", lying)
        return solve(base)

    assert off(0.0).stop is StopReason.CONVERGED
    assert off(1e-6).stop is StopReason.CONVERGED_LOOSE
    liar = off(0.1)
    assert (liar.stop, liar.raw_status) == (StopReason.NUMERICAL, "Optimal")


# -- integers --------------------------------------------------------------------


def knapsack(seed=0, m=4, k=40):
    rng = np.random.default_rng(seed)
    weight = rng.integers(10, 100, (m, k)).astype(float)
    value = rng.integers(10, 100, k).astype(float)
    return LinearProgram(
        c=-value,
        A=weight,
        row_upper=weight.sum(axis=1) / 2,
        lower=0.0,
        upper=1.0,
        integrality=np.arange(k) < k - 3,
        offset=3.0,
    )


@pytest.mark.parametrize("solver", ["choose", "simplex", "ipm"])
def test_integers_against_scipy(solver):
    """Also with a method for linear programs named, for which HiGHS may leave integrality out."""
    for seed in range(3):
        program = knapsack(seed)
        theirs = milp(
            program.c,
            constraints=LinearConstraint(program.A, -INF, program.row_upper),
            bounds=Bounds(0, 1),
            integrality=program.integrality.astype(int),
            options={"mip_rel_gap": 0.0},
        )
        found = solve(program, solver=solver)
        assert found.stop is StopReason.CONVERGED
        assert found.duals is None
        assert program.objective(found.x) == pytest.approx(theirs.fun + 3.0, rel=1e-9)
        assert found.bound == pytest.approx(theirs.fun + 3.0, rel=1e-7)
        whole = found.x[program.integrality]
        np.testing.assert_array_equal(whole, np.rint(whole))
        assert program.violation(found.x) <= 1e-9


def test_a_gap_above_the_tolerance_is_loose():
    program = knapsack(1)
    best = solve(program)
    loose = solve(program, mip_rel_gap=0.05)
    assert loose.stop is StopReason.CONVERGED_LOOSE
    assert loose.raw_status == "Optimal"
    assert loose.bound <= best.objective <= program.objective(loose.x)
    assert solve(program, tol=0.05).stop is StopReason.CONVERGED


def test_limits_of_branch_and_bound_keep_the_incumbent():
    program = knapsack(2, 20, 100)
    for found, reason in (
        (solve(program, max_iter=1), StopReason.ITERATION_LIMIT),
        (with_incumbent(lambda limit: solve(program, time_limit=limit)), StopReason.TIME_LIMIT),
    ):
        assert found.stop is reason
        assert program.violation(found.x) <= 1e-9
        assert found.bound < program.objective(found.x) < 0
    nothing = solve(program, time_limit=1e-9)
    assert nothing.stop is StopReason.TIME_LIMIT


def test_an_incumbent_to_start_from():
    program = knapsack(3)
    best = solve(program)
    started = solve(program, warm_start=best.x, max_iter=1)
    assert started.stats["start"] == "point"
    assert program.objective(started.x) == pytest.approx(best.objective)


# -- quadratic programs ----------------------------------------------------------


def design(kind, k, seed):
    """Unit columns W and a target: min ½‖Wx − y‖² over x ≥ 0."""
    rng = np.random.default_rng([k, seed])
    n = {"full": 3 * k, "deficient": k // 2}.get(kind, 2 * k)
    W = rng.standard_normal((n, k))
    if kind in ("parallel", "same"):
        W = W[:, rng.integers(0, k // 4, k)]
        if kind == "parallel":
            W = W + 1e-4 * rng.standard_normal((n, k))
    return W / np.linalg.norm(W, axis=0), rng.standard_normal(n)


@pytest.mark.parametrize("kind", ["full", "deficient", "parallel", "same"])
@pytest.mark.parametrize("k", [20, 60, 200])
def test_nonnegative_least_squares_to_the_last_digits(kind, k):
    for seed in range(2):
        W, target = design(kind, k, seed)
        x, norm = nnls(W, target)
        half = 0.5 * float(target @ target)
        program = QuadraticProgram(P=W.T @ W, c=-W.T @ target, lower=0.0, offset=half)
        found = solve(program, tol=1e-11)
        assert found.stop is StopReason.CONVERGED
        assert found.duals.shape == (0,)
        assert found.objective - half == pytest.approx(0.5 * norm**2 - half, rel=1e-9)
        check = measure(program, found.x, found.duals)
        assert abs(check.objective - check.dual_objective) <= 1e-10
        assert check.primal == 0.0
        assert check.dual <= 1e-9
        np.testing.assert_allclose(W @ found.x, W @ x, atol=1e-6)


def curved(seed, k=25, m=12, rank=8):
    """Rows and bounds of every kind, P singular, and an optimum that is bounded."""
    rng = np.random.default_rng(seed)
    L, A = rng.standard_normal((rank, k)), rng.standard_normal((m, k))
    inside, kind, side = rng.standard_normal(k), rng.integers(0, 4, m), rng.integers(0, 3, k)
    at, reach = A @ inside, np.abs(inside) + 0.1
    upper = np.where(side == 1, inside + reach, INF)
    return QuadraticProgram(
        P=L.T @ L,
        c=L.T @ rng.standard_normal(rank) + np.where(side == 2, 0.5, 0.0),
        A=A,
        row_lower=np.choose(kind, [at, at - 0.1, np.full(m, -INF), at - 0.2]),
        row_upper=np.choose(kind, [at, np.full(m, INF), at + 0.1, at + 0.2]),
        lower=np.where(side > 0, inside - reach, -INF),
        upper=upper,
        offset=-1.0,
    )


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_rows_and_bounds_of_every_kind_in_any_units(size):
    for seed in range(6):
        one = curved(seed)
        names = ("c", "row_lower", "row_upper", "lower", "upper")
        program = replace(one, **{name: size * getattr(one, name) for name in names})
        found = solve(program)
        assert found.stop is StopReason.CONVERGED
        # A bound from below that the duals prove, so the objective needs no other witness.
        value, bound = program.objective(found.x), program.dual_objective(found.x, found.duals)
        assert value - bound <= 1e-10 * max(size**2, abs(value))
        assert program.violation(found.x) <= 1e-12 * size
        assert program.dual_violation(found.x, found.duals) <= 1e-10 * size


def test_variables_in_units_far_apart():
    one = curved(1)
    units = 10.0 ** np.random.default_rng(0).uniform(-4, 4, one.columns)
    program = QuadraticProgram(
        P=units[:, None] * one.P.toarray() * units,
        c=units * one.c,
        A=one.A.toarray() * units,
        row_lower=one.row_lower,
        row_upper=one.row_upper,
        lower=one.lower / units,
        upper=one.upper / units,
        offset=one.offset,
    )
    found = solve(program)
    assert found.objective == pytest.approx(solve(one).objective, rel=1e-9)
    np.testing.assert_allclose(
        found.duals @ program.A.toarray() / units, found.duals @ one.A.toarray(), atol=1e-8
    )


def test_programs_that_highs_calls_unbounded_and_are_not():
    """½(x₁ + 2x₂)² − 2x₁ − x₂ over x ≥ 0: the optimum is −2 at (2, 0)."""
    found = solve(QuadraticProgram(P=[[1.0, 2.0], [2.0, 4.0]], c=[-2.0, -1.0], lower=0.0))
    assert found.stop is StopReason.CONVERGED
    assert found.x == pytest.approx([2.0, 0.0], abs=1e-12)
    assert found.raw_status == "Optimal"
    rng = np.random.default_rng(0)
    for k in (5, 30, 80):
        L = rng.standard_normal((2 * k // 3, k))
        L[0] = 1.0
        program = QuadraticProgram(P=L.T @ L, c=-rng.uniform(0.1, 1.0, k), lower=0.0)
        found = solve(program)
        assert (found.stop, found.raw_status) == (StopReason.CONVERGED, "Optimal")
        assert measure(program, found.x, found.duals).rel_gap == pytest.approx(0, abs=1e-10)


def test_programs_that_highs_does_not_end_at():
    """A row of zeros makes its method go on for ever; the limit of iterations and polish do not."""
    program = QuadraticProgram(
        P=np.diag([1.0, 0.0]), c=[1.0, 0.0], A=[[0.0, 0.0]], row_upper=[1.0], lower=-9.0, upper=9.0
    )
    found = solve(program)
    assert found.stop is StopReason.CONVERGED
    assert found.objective == pytest.approx(-0.5, rel=1e-12)


@pytest.mark.parametrize(
    "program",
    [
        QuadraticProgram(P=np.diag([1.0, 0.0]), c=[0.0, -1.0], lower=0.0),
        QuadraticProgram(P=np.ones((2, 2)), c=[1.0, -1.0]),
        QuadraticProgram(P=np.ones((2, 2)), c=[1.0, -1.0], A=[[1.0, 1.0]], row_lower=[0.0]),
        QuadraticProgram(P=np.zeros((2, 2)), c=[1.0, -1.0], lower=0.0),
    ],
)
def test_unbounded_quadratic_programs(program):
    """At the third HiGHS stops far away and calls it optimal."""
    found = solve(program)
    assert found.stop is StopReason.UNBOUNDED
    assert found.x is found.duals is found.objective is None


def test_infeasible_quadratic_programs():
    found = solve(QuadraticProgram(P=np.eye(2), c=[1.0, -1.0], **CONTRADICTION))
    assert (found.stop, found.raw_status) == (StopReason.INFEASIBLE, "Infeasible")
    assert found.x is None


def test_limits_of_quadratic_programs_keep_a_feasible_point(monkeypatch):
    monkeypatch.setattr(polish, "LARGEST_SYSTEM", 0)  # which would finish the work
    monkeypatch.setattr(polish, "LATE_SYSTEM", 0)
    W, target = design("full", 300, 0)
    program = QuadraticProgram(P=W.T @ W, c=-W.T @ target, lower=0.0)
    best = program.objective(nnls(W, target)[0])
    for options, reason in (
        ({"max_iter": 3}, StopReason.ITERATION_LIMIT),
        ({"time_limit": 1e-9}, StopReason.TIME_LIMIT),
        ({"qp_time_limit": 1e-9}, StopReason.TIME_LIMIT),
    ):
        found = solve(program, **options)
        assert found.stop is reason
        assert found.stats["attempts"] == 1
        assert program.violation(found.x) == 0.0
        assert best < found.objective <= 0.0


def test_an_answer_that_cannot_be_polished_is_tried_again_and_called_what_it_is(monkeypatch):
    program = curved(2)

    def worse_by(error):
        def spoil(program, x, y, end):
            return x + error, y, error

        monkeypatch.setattr(quadratic, "polish", spoil)
        found = solve(program)
        assert found.stats["attempts"] == 3
        return found.stop

    assert worse_by(0.5) is StopReason.NUMERICAL
    assert worse_by(1e-5) is StopReason.CONVERGED_LOOSE


def ending(monkeypatch, status, after=0):
    """Let HiGHS end with this status, and disown its point, after so many runs."""
    real, calls = quadratic.run, []

    def ended(highs, options, limit):
        calls.append(limit)
        outcome = real(highs, options, limit)
        if len(calls) <= after:
            return outcome
        return replace(outcome, status=status, raw_status=status, x=None, y=None)

    monkeypatch.setattr(quadratic, "run", ended)


def test_a_point_that_highs_disowns_is_as_good_as_it_is(monkeypatch):
    program = curved(4, 80, 40, 20)
    best = solve(program)
    ending(monkeypatch, "kSolveError")
    found = solve(program)
    assert found.stop is StopReason.CONVERGED
    assert found.raw_status == "kSolveError"
    assert found.stats["attempts"] == 1
    assert found.objective == pytest.approx(best.objective, rel=1e-10)


def test_an_interrupted_quadratic_program_ends_training_too(monkeypatch, make_program):
    prog = make_program(3, n=30, p=20)
    whole = ro.solve(prog, "highs", tol=1e-8)
    ending(monkeypatch, "kInterrupt", after=3)
    assert solve(curved(1)).stop is StopReason.CONVERGED
    solution = ro.solve(prog, "highs", tol=1e-8)
    assert solution.stop is StopReason.INTERRUPTED
    assert solution.lower_bound <= whole.objective * (1 + 1e-9)
    assert solution.objective >= whole.objective * (1 - 1e-9)
    found = solve(curved(1))
    assert (found.stop, found.x is None) == (StopReason.INTERRUPTED, False)


def test_scaling_keeps_the_program():
    source = curved(3)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal(source.columns), rng.standard_normal(source.rows)
    inside = np.clip(x, source.lower, source.upper)
    plain = Scaled.of(source)
    for size in (*plain.likely_sizes(), 2.0**-20):
        scaled = plain.shrunk(size)
        mine, duals = inside / scaled.columns, y / scaled.rows
        back = scaled.recover(mine, duals)
        np.testing.assert_allclose(back[0], inside)
        np.testing.assert_allclose(back[1], y)
        ratio = (scaled.program.objective(mine)) / (source.objective(inside) - source.offset)
        z = scaled.program.bound_multipliers(mine, duals) / scaled.columns / ratio
        np.testing.assert_allclose(z, source.bound_multipliers(inside, y), rtol=1e-9)
        assert np.abs(scaled.program.P.diagonal()).max() <= 4.0


# -- training --------------------------------------------------------------------


@pytest.mark.parametrize("tol", [1e-6, 1e-8])
def test_the_benchmark_of_the_theory(benchmark_programs, tol):
    solution = ro.solve(benchmark_programs["diabetes"], "highs", tol=tol)
    assert solution.stop is StopReason.CONVERGED
    assert solution.certificate.verdict is ro.Verdict.CERTIFIED
    assert solution.certificate.rel_gap <= tol
    assert solution.objective == pytest.approx(0.3020236312, rel=1e-6)


@pytest.mark.parametrize("loss", ["squared", "huber", "squared_hinge", "logistic"])
def test_training_with_every_loss(make_program, loss):
    prog = make_program(1, loss=loss, intercept=True, weighted=True)
    solution = ro.solve(prog, "highs", tol=1e-8)
    assert solution.certificate.rel_gap <= 1e-8
    assert solution.objective == pytest.approx(ro.solve(prog, "native").objective, rel=1e-8)


# -- the solver as a guest -------------------------------------------------------


def test_statuses_are_mapped_in_full_and_only_optimal_converges():
    assert set(library.STOPS) >= set(highspy.HighsModelStatus.__members__)
    converged = {name for name, stop in library.STOPS.items() if stop is StopReason.CONVERGED}
    assert converged == {"kOptimal", "kModelEmpty"}
    outcome = library.Outcome("kSplendid", "Splendid", None, None, None, None, {})
    assert outcome.stop is StopReason.UNKNOWN


def test_points_with_nan_are_not_handed_on():
    assert library._finite([0.0, np.nan]) is None
    assert library._finite([0.0, INF]) is None
    assert library._finite([0.0, 2.0], sign=-1.0).tolist() == [0.0, -2.0]


def run(script):
    start = (
        "import numpy as np, relu_opt as ro, signal, threading, time\n"
        "from relu_opt.program import LinearProgram, QuadraticProgram\n"
    )
    return subprocess.run(
        [sys.executable, "-c", start + script], capture_output=True, text=True, timeout=600
    )


SOLVES = """
both = {{"A": [[1.0, 1.0]], "row_lower": [1.0], "lower": 0.0}}
options = {{"verbose": {verbose}}}
ro.solve_program(LinearProgram(c=[1.0, 2.0], **both), "highs", options=options)
whole = np.array([True, False])
ro.solve_program(LinearProgram(c=[1.0, 2.0], integrality=whole, **both), "highs", options=options)
ro.solve_program(QuadraticProgram(P=np.eye(2), c=[1.0, 2.0], **both), "highs", options=options)
"""


def test_quiet_means_quiet_and_verbose_does_not():
    """In a fresh process: HiGHS prints a line when its first solver is made."""
    quiet = run(SOLVES.format(verbose=False))
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")
    loud = run(SOLVES.format(verbose=True))
    assert all(re.search(rf"{kind} +has 1 row", loud.stdout) for kind in ("LP", "MIP", "QP"))


INTERRUPTED = """
import relu_opt_highs.interrupts as interrupts
rng = np.random.default_rng(0)
n, m = {shape}
w = rng.integers(1000, 10000, (m, n)).astype(float)
program = LinearProgram(
    c=-rng.integers(1000, 10000, n).astype(float), A=w, row_upper=w.sum(axis=1) / 2,
    lower=0.0, upper=1.0, integrality=np.full(n, {whole}),
)
look, sent = interrupts._look, []
def press_once(kind, message, told, answer, pressed):
    # While HiGHS runs, and has a point if the variables are whole.
    if not sent and (not {whole} or abs(told.mip_primal_bound) < 1e20):
        sent.append(threading.Thread(target=signal.raise_signal, args=(signal.SIGINT,)))
        sent[0].start()
    look(kind, message, told, answer, pressed)
interrupts._look = press_once
found = ro.solve_program(program, "highs", options={{"presolve": "off"}})
print(found.stop.name, len(sent), found.x is None or program.violation(found.x) < 1e-6)
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("as before")
"""


@pytest.mark.parametrize(("shape", "whole"), [((300, 40), True), ((4000, 1000), False)])
def test_ctrl_c_brings_what_there_is(shape, whole):
    done = run(INTERRUPTED.format(shape=shape, whole=whole))
    stop, sent, feasible, *rest = done.stdout.split()
    assert (stop, sent, rest) == ("INTERRUPTED", "1", ["as", "before"]), done.stderr
    assert feasible == "True" or not whole


def test_another_handler_of_the_signal_is_left_alone():
    script = (
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "ro.solve_program(LinearProgram(c=[1.0], lower=0.0), 'highs')\n"
        "print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)\n"
    )
    assert run(script).stdout == "True\n"


def test_the_number_of_threads_can_change():
    """HiGHS refuses to run when it is not what it was before."""
    for threads in (1, 2, None, 1):
        assert solve(polytope(8, 5, 8), threads=threads).stop is StopReason.CONVERGED
        assert solve(knapsack(1), threads=threads).stop is StopReason.CONVERGED
        assert solve(curved(1), threads=threads, seed=3).stop is StopReason.CONVERGED


def test_options_are_checked():
    program = polytope(9, 5, 8)
    with pytest.raises(OptionError, match=r"'simplx'.*'simplex'"):
        ro.solve_program(program, "highs", options={"solver": "simplx"})
    with pytest.raises(OptionError, match="max_iter"):
        ro.solve_program(program, "highs", options={"max_iter": 0})
    with pytest.raises(OptionError, match=r"HiGHS .* does not take splendour=1"):
        library.new_highs({"splendour": 1}, False)


def test_numbers_that_highs_would_take_for_infinite_are_refused():
    assert refuses(polytope(0)) == ""
    assert refuses(LinearProgram(c=[1.0], lower=-INF, upper=INF)) == ""
    coefficient = LinearProgram(c=[1.0], A=[[1e16]], row_lower=[1.0], lower=0.0)
    assert "coefficient of 1.0e+16" in refuses(coefficient)
    assert LinearProgram(c=[1.0], lower=-1e21).lower == -INF
    with pytest.raises(UnsupportedProgram, match="below 1e15"):
        ro.solve_program(coefficient, "highs")
    with pytest.raises(SolveFailed, match="did not take the LinearProgram"):
        solve(coefficient)


def test_what_highs_raises_is_chained(monkeypatch):
    class Broken:
        def __getattr__(self, name):
            return lambda *arguments: highspy.HighsStatus.kOk

        def getRunTime(self):  # noqa: N802
            return 0.0

        def run(self):
            raise RuntimeError("out of luck")

    monkeypatch.setattr(library.library(), "_Highs", Broken)
    with pytest.raises(SolveFailed, match="RuntimeError: out of luck") as caught:
        solve(polytope(0, 5, 8))
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_registering_imports_no_solver():
    script = (
        "import sys, relu_opt_highs; [info] = relu_opt_highs.relu_opt_backends(); info.probe(); "
        "info.load(); print(info.name, 'highspy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("highs False\n", "")
