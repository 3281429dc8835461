"""The backend `clarabel`, beside what the conformance kit checks of every backend."""

from __future__ import annotations

import clarabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog

import relu_opt as ro
from relu_opt.plugins import StopReason
from relu_opt.plugins.manager import registry
from relu_opt.plugins.routes import Route, find_route
from relu_opt.program import QuadraticProgram
from relu_opt.program.lowering import lower_to_conic
from relu_opt_clarabel import backend
from relu_opt_clarabel.backend import POINTLESS, STOPS


def box_program(seed):
    """A convex quadratic program over a box, its rows satisfied at a point inside."""
    rng = np.random.default_rng(seed)
    k, m = rng.integers(1, 7), rng.integers(0, 5)
    L, A = rng.standard_normal((rng.integers(1, k + 1), k)), rng.standard_normal((m, k))
    inside = rng.standard_normal(k)
    at = A @ inside
    return QuadraticProgram(
        P=L.T @ L,
        c=rng.standard_normal(k),
        A=A,
        row_lower=np.where(rng.random(m) < 0.5, -np.inf, at - rng.random(m)),
        row_upper=np.where(rng.random(m) < 0.3, at + 0.0, at + rng.random(m)),
        lower=inside - 2 * rng.random(k),
        upper=inside + 2 * rng.random(k),
        offset=3.0,
    )


@given(st.integers(0, 10_000))
def test_quadratic_programs_against_highs(seed):
    program = box_program(seed)
    mine = ro.solve_program(program, "clarabel", tol=1e-8)
    theirs = ro.solve_program(program, "highs", tol=1e-8)
    assert mine.objective == pytest.approx(theirs.objective, rel=1e-6, abs=1e-6)
    assert mine.residuals.primal <= 1e-7
    assert mine.residuals.dual <= 1e-7
    assert abs(mine.rel_gap) <= 1e-6


def test_a_quadratic_objective_tells_x_to_more_digits_than_a_cone():
    program = box_program(3)
    direct = ro.solve_program(program, "clarabel", tol=1e-9)
    (info,) = [s.info for s in ro.backends() if s.name == "clarabel"]
    assert find_route(info, program) is Route.DIRECT
    embedding = ro.program.embedding.as_conic(program)
    lowered = ro.solve_program(embedding.program, "clarabel", tol=1e-9)
    point, y = embedding.recover(lowered.x, lowered.duals)
    assert lowered.objective == pytest.approx(direct.objective, rel=1e-7)
    assert program.violation(point) <= 1e-7
    assert program.dual_objective(point, y) == pytest.approx(direct.objective, rel=1e-3)


def test_linear_programs_reach_it_lowered():
    c, A, b = [-1.0, -2.0, 1.0], [[1.0, 1.0, 1.0], [1.0, -1.0, 0.0]], [4.0, 2.0]
    program = ro.LinearProgram(c=c, A=A, row_upper=b, lower=0.0)
    found = ro.solve_program(program, "clarabel")
    assert found.stats["route"] == Route.QUADRATIC.value
    assert found.verdict is ro.Verdict.CERTIFIED
    assert found.objective == pytest.approx(linprog(c, A, b).fun, rel=1e-7)


@pytest.mark.parametrize("loss", ["squared", "huber", "squared_hinge", "logistic"])
def test_the_conic_form_of_training(make_program, loss):
    prog = make_program(2, loss=loss)
    lowering = lower_to_conic(prog)
    found = ro.solve_program(lowering.program, "clarabel", tol=1e-9)
    assert found.verdict is ro.Verdict.CERTIFIED
    weights, _, nu = lowering.recover(found.x, found.duals)
    best = ro.solve(prog, "native")
    assert prog.objective(weights) == pytest.approx(best.objective, rel=1e-7)
    np.testing.assert_allclose(nu, best.nu, atol=1e-4 * np.abs(best.nu).max())


def test_a_limit_of_iterations_returns_the_last_iterate():
    program = ro.program.embedding.as_conic(box_program(1)).program
    found = ro.solve_program(program, "clarabel", options={"max_iter": 2})
    assert found.stop is StopReason.ITERATION_LIMIT
    assert found.verdict is ro.Verdict.NOT_CERTIFIED
    assert found.stats["backend_stats"]["iterations"] == 2


def test_a_program_that_is_not_convex_is_refused():
    """Clarabel would call a stationary point of it solved, and the duals would seem to prove it."""
    box = {"c": [1.0, -1.0], "lower": -1.0, "upper": 1.0}
    with pytest.raises(ro.errors.DataError, match="eigenvalue -1"):
        ro.solve_program(QuadraticProgram(P=[[1.0, 2.0], [2.0, 1.0]], **box), "clarabel")
    rounding = QuadraticProgram(P=[[1.0, 2.0], [2.0, 4.0 - 1e-15]], **box)
    assert ro.solve_program(rounding, "clarabel").verdict is ro.Verdict.CERTIFIED


def test_the_benchmark_of_the_theory_by_column_generation(benchmark_programs):
    solution = ro.solve(benchmark_programs["diabetes"], "clarabel", tol=1e-8)
    assert solution.certificate.verdict is ro.Verdict.CERTIFIED
    assert solution.certificate.rel_gap <= 1e-8
    assert solution.objective == pytest.approx(0.3020236312, rel=1e-8)


def test_numbers_that_are_none_are_not_handed_on():
    assert backend._finite([1.0, np.nan]) is None
    assert backend._number(np.nan) is None
    assert backend._number(2.0) == 2.0


def test_every_status_has_a_reason():
    """A new status of Clarabel would be UNKNOWN; those of this version are all named."""
    members = {name for name in dir(clarabel.SolverStatus) if name[0].isupper()}
    assert members == set(STOPS)
    assert set(POINTLESS) <= members
    assert [name for name, stop in STOPS.items() if stop is StopReason.CONVERGED] == ["Solved"]


def test_options_reach_the_solver(capfd):
    program = ro.program.embedding.as_conic(box_program(1)).program
    plain = ro.solve_program(program, "clarabel", options={"equilibrate": False, "threads": 1})
    assert plain.verdict is ro.Verdict.CERTIFIED
    assert capfd.readouterr() == ("", "")
    ro.solve_program(program, "clarabel", options={"verbose": True})
    assert "Clarabel" in capfd.readouterr().out
    with pytest.raises(ro.errors.OptionError, match="Did you mean 'max_iter'"):
        ro.solve_program(program, "clarabel", options={"maxiter": 2})
    assert registry().find("clarabel").free
