"""The Pyomo backend: its models, its answers, and what it makes of Pyomo's solvers."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.metadata import version
from types import SimpleNamespace

import cvxpy as cp
import highspy
import numpy as np
import pyomo.environ as pyo
import pytest
from pyomo.contrib.solver.common.factory import SolverFactory as NewFactory
from pyomo.contrib.solver.common.results import SolutionStatus, TerminationCondition
from pyomo.opt import TerminationCondition as OldCondition
from scipy.optimize import LinearConstraint, linprog, milp
from scipy.sparse import csc_array
from stopping import calls_of, with_incumbent

import relu_opt as ro
import relu_opt_pyomo
from relu_opt.errors import BackendUnavailable, OptionError, SolveFailed, UnsupportedProgram
from relu_opt.optimality import measure
from relu_opt.plugins.types import Feature, SolveOptions, State, StopReason
from relu_opt.program.conic import Cones, ConicProgram
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.linear import LinearProgram, QuadraticProgram
from relu_opt.proof.verdict import Verdict
from relu_opt_pyomo import attempt as attempt_module
from relu_opt_pyomo.backend import PyomoBackend
from relu_opt_pyomo.interfaces import STOPS, Answer
from relu_opt_pyomo.model import build_model
from relu_opt_pyomo.quadratic import boxed
from relu_opt_pyomo.settings import KNOWN, read_settings, solver_settings

INF = np.inf


def solve(program, **options):
    names = ("solver", "solver_options")
    extra = {name: options.pop(name) for name in names if name in options}
    return PyomoBackend().solve(program, SolveOptions(**options, extra=extra))


def random_lp(seed, curved=False, offset=3.0):
    """Feasible and bounded, with every kind of row and bound."""
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((7, 6)) * (rng.random((7, 6)) < 0.7)
    inside = rng.uniform(-1, 1, 6)
    rows = A @ inside
    width = np.array([0, 0.5, 0.5, 1, 0.3, 0.1, 1])
    row_lower = np.where([1, 1, 0, 0, 1, 0, 0], rows - width, -INF)
    row_upper = np.where([1, 0, 1, 0, 1, 1, 0], rows + width, INF)
    lower = np.where([1, 1, 1, 1, 0, 0], inside - rng.uniform(0, 1, 6), -INF)
    upper = np.where([1, 1, 0, 0, 1, 0], inside + rng.uniform(0, 1, 6), INF)
    lower[5], upper[5] = -4.0, 4.0
    lower[4], upper[2:4] = -3.0, 3.0
    common = {
        "c": rng.standard_normal(6), "A": A, "row_lower": row_lower, "row_upper": row_upper,
        "lower": lower, "upper": upper, "offset": offset,
    }  # fmt: skip
    if not curved:
        return LinearProgram(**common)
    root = rng.standard_normal((3, 6))
    return QuadraticProgram(P=root.T @ root, **common)


def by_scipy(program):
    """The optimum of a linear program, of two-sided rows, by scipy."""
    A = program.A.toarray()
    above, below = np.isfinite(program.row_upper), np.isfinite(program.row_lower)
    found = linprog(
        program.c,
        np.vstack([A[above], -A[below]]),
        np.r_[program.row_upper[above], -program.row_lower[below]],
        bounds=np.c_[program.lower, program.upper],
    )
    assert found.status == 0
    return found.fun + program.offset


def by_cvxpy(program):
    """The optimum of a quadratic program by Clarabel."""
    x = cp.Variable(program.columns)
    cost = 0.5 * cp.quad_form(x, cp.psd_wrap(program.P.toarray())) + program.c @ x
    rows = program.A.toarray()
    sides = [(rows @ x, program.row_lower, program.row_upper), (x, program.lower, program.upper)]
    constraints = []
    for values, low, high in sides:
        below, above = np.flatnonzero(np.isfinite(low)), np.flatnonzero(np.isfinite(high))
        constraints += [values[below] >= low[below], values[above] <= high[above]]
    problem = cp.Problem(cp.Minimize(cost), constraints)
    problem.solve(solver=cp.CLARABEL)
    return problem.value + program.offset


# min 3x₀ subject to x₁ + 2x₂ ≥ 3 and ‖(x₁, x₂)‖ ≤ x₀: the distance of a line from 0, 3/√5.
SOCP = ConicProgram(
    np.array([3.0, 0, 0]),
    csc_array([[0, -1.0, -2], [-1, 0, 0], [0, -1, 0], [0, 0, -1]]),
    np.array([-3.0, 0, 0, 0]),
    Cones(nonnegative=1, second_order=(3,)),
    offset=1.0,
)
# min x₀ + 2x₁ with x₀ + x₁ = 3, x ≥ 0 as zero and nonnegative cones.
LINEAR_CONES = ConicProgram(
    np.array([1.0, 2.0]),
    csc_array([[1.0, 1.0], [-1, 0], [0, -1]]),
    np.array([3.0, 0, 0]),
    Cones(zero=1, nonnegative=2),
    offset=-1.0,
)
KNAPSACK = LinearProgram(
    c=[-5.0, -4, -3],
    A=[[2.0, 3, 1], [4, 1, 2], [3, 4, 2]],
    row_upper=[5.0, 11, 8],
    lower=0.0,
    integrality=np.array([True, True, False]),
)
INFEASIBLE = LinearProgram(
    c=[1.0, 1], A=[[1.0, 1], [1, 1]], row_lower=[1, -INF], row_upper=[INF, 0]
)
UNBOUNDED = LinearProgram(c=[1.0, -1], A=[[1.0, 1]], row_lower=1.0, lower=0.0)
# Two-sided, so that HiGHS says "infeasible or unbounded".
UNBOUNDED_INTEGERS = LinearProgram(
    c=[-1.0, -1], A=[[2.0, -2]], row_upper=5.0, lower=0.0, integrality=np.array([True, True])
)
INFEASIBLE_INTEGERS = LinearProgram(
    c=[1.0, 1], A=[[2.0, 2]], row_lower=5.0, row_upper=5.0, lower=0.0, upper=9.0,
    integrality=np.array([True, True]),
)  # fmt: skip
SIMPLE_QP = QuadraticProgram(
    P=[[2.0, 0.5], [0.5, 2]], c=[-1.0, 0], A=[[1.0, 1]], row_lower=1.0, lower=0.0, offset=1.0
)


# The models.


def set_values(variables, values):
    for variable, value in zip(variables.values(), values, strict=True):
        variable.set_value(value, skip_validation=True)


@pytest.mark.parametrize("curved", [False, True])
def test_the_model_is_the_program(curved):
    program = random_lp(0, curved)
    model = build_model(program)
    x = np.random.default_rng(1).standard_normal(6)
    set_values(model.x, x)
    assert pyo.value(model.cost) == pytest.approx(program.objective(x), abs=1e-12)
    assert model.cost.sense == pyo.minimize
    bodies = {i: pyo.value(row.body) for i, row in model.rows.items()}
    assert sorted(bodies) == [0, 1, 2, 4, 5]  # the others have no bounds
    assert bodies == pytest.approx({i: (program.A @ x)[i] for i in bodies})
    for i, row in model.rows.items():
        assert (row.lb, row.ub) == tuple(
            side if np.isfinite(side) else None
            for side in (program.row_lower[i], program.row_upper[i])
        )
    assert model.rows[0].equality
    assert [v.lb for v in model.x.values()][:4] == pytest.approx(program.lower[:4])
    assert not any(v.is_integer() for v in model.x.values())


def test_the_model_of_a_program_with_integers():
    model = build_model(KNAPSACK)
    assert [v.is_integer() for v in model.x.values()] == [True, True, False]
    assert [v.bounds for v in model.x.values()] == [(0.0, None)] * 3


def test_the_model_of_a_conic_program():
    rng = np.random.default_rng(2)
    cones = Cones(zero=2, nonnegative=1, second_order=(1, 3, 2))
    program = ConicProgram(
        rng.standard_normal(4), csc_array(rng.standard_normal((9, 4))), rng.standard_normal(9),
        cones, offset=2.0,
    )  # fmt: skip
    model = build_model(program)
    x, s = rng.standard_normal(4), rng.standard_normal(6)
    set_values(model.x, x)
    set_values(model.s, s)
    rows = program.A @ x
    assert pyo.value(model.cost) == pytest.approx(program.objective(x))
    for i in (0, 1):
        assert pyo.value(model.zero[i].body) == pytest.approx(rows[i])
        assert model.zero[i].ub == model.zero[i].lb == program.b[i]
    assert pyo.value(model.nonnegative[2].body) == pytest.approx(rows[2])
    assert (model.nonnegative[2].lb, model.nonnegative[2].ub) == (None, program.b[2])
    for i in range(3, 9):
        assert pyo.value(model.links[i].body) == pytest.approx(rows[i] + s[i - 3])
        assert model.links[i].ub == model.links[i].lb == program.b[i]
    assert [i for i, v in model.s.items() if v.lb == 0.0] == [3, 4, 7]
    assert sorted(model.soc) == [1, 2]  # a cone of one row is its bound
    assert pyo.value(model.soc[1].body) == pytest.approx(s[2] ** 2 + s[3] ** 2 - s[1] ** 2)
    assert pyo.value(model.soc[2].body) == pytest.approx(s[5] ** 2 - s[4] ** 2)
    assert (model.soc[1].lb, model.soc[1].ub) == (None, 0.0)


def read_by_highs(path):
    """Objective of a file's optimum, by HiGHS without Pyomo."""
    highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    assert highs.readModel(str(path)) == highspy.HighsStatus.kOk
    highs.run()
    assert highs.getModelStatus() == highspy.HighsModelStatus.kOptimal
    return highs.getInfo().objective_function_value


@pytest.mark.parametrize("labels", [False, True])
@pytest.mark.parametrize("program", [random_lp(3), KNAPSACK, random_lp(4, curved=True), SIMPLE_QP])
def test_a_model_survives_its_lp_file(tmp_path, program, labels):
    model = build_model(program)
    model.write(str(tmp_path / "a.lp"), io_options={"symbolic_solver_labels": labels})
    assert read_by_highs(tmp_path / "a.lp") == pytest.approx(solve(program).objective, abs=1e-6)


def test_a_model_can_be_changed_by_hand(tmp_path):
    program = LinearProgram(c=[-1.0, -2], A=[[1.0, 1]], row_upper=4.0, lower=0.0)
    model = build_model(program)
    model.write(str(tmp_path / "before.lp"))
    model.cap = pyo.Constraint(expr=model.x[1] <= 1)
    model.write(str(tmp_path / "after.lp"))
    assert read_by_highs(tmp_path / "before.lp") == pytest.approx(-8.0)
    assert read_by_highs(tmp_path / "after.lp") == pytest.approx(-5.0)
    pyo.SolverFactory("appsi_highs").solve(model)
    assert [v.value for v in model.x.values()] == pytest.approx([3.0, 1.0])


@pytest.mark.parametrize("program", [random_lp(3), SIMPLE_QP, SOCP])
def test_a_model_can_be_written_as_an_nl_file(tmp_path, program):
    build_model(program).write(str(tmp_path / "a.nl"))
    head = (tmp_path / "a.nl").read_text().splitlines()
    assert head[0].startswith("g3")
    variables, rows = (int(word) for word in head[1].split()[:2])
    assert variables >= len(program.c)
    assert rows >= 1


def test_what_has_no_model_is_refused():
    one, b = csc_array(np.ones((3, 1))), np.zeros(3)
    with pytest.raises(UnsupportedProgram, match=r"no semidefinite cones.*clarabel"):
        build_model(ConicProgram(np.ones(1), one, b, Cones(semidefinite=(2,))))
    with pytest.raises(UnsupportedProgram, match="no exponential cones"):
        solve(ConicProgram(np.ones(1), one, b, Cones(exponential=1)), solver="scip_direct")
    with pytest.raises(UnsupportedProgram, match="without variables"):
        build_model(LinearProgram(c=[]))


def test_products_of_dense_quadratic_programs_are_not_built_one_by_one():
    W = np.random.default_rng(0).standard_normal((300, 200))
    program = QuadraticProgram(P=W.T @ W, c=np.ones(200), lower=0.0)
    model = build_model(program)
    assert calls_of(lambda: build_model(program)) < 40_000  # the products
    x = np.random.default_rng(1).standard_normal(200)
    set_values(model.x, x)
    assert pyo.value(model.cost) == pytest.approx(program.objective(x))


# The answers.


@pytest.mark.parametrize("seed", range(6))
def test_linear_programs_with_every_kind_of_row(seed):
    program = random_lp(seed)
    found = solve(program)
    assert found.stop is StopReason.CONVERGED
    residuals = measure(program, found.x, found.duals)
    assert abs(residuals.rel_gap) <= 1e-9
    assert max(residuals.primal, residuals.dual) <= 1e-9
    assert found.objective == pytest.approx(by_scipy(program), abs=1e-7)
    assert found.bound is None


@pytest.mark.parametrize("seed", range(6))
def test_quadratic_programs_with_every_kind_of_row(seed):
    program = random_lp(seed, curved=True)
    found = solve(program)
    assert found.stop is StopReason.CONVERGED
    residuals = measure(program, found.x, found.duals)
    assert abs(residuals.rel_gap) <= 1e-8
    assert max(residuals.primal, residuals.dual) <= 1e-8
    assert program.objective(found.x) == pytest.approx(by_cvxpy(program), abs=1e-6)


@pytest.mark.parametrize("curved", [False, True])
def test_signs_of_duals_by_hand(curved):
    """Each of three variables is held by its own row: above, below, and as an equation."""
    rows = {
        "A": np.eye(3), "row_lower": [-INF, 2.0, 1], "row_upper": [1.0, INF, 1],
        "c": [-3.0, 4, 5],
    }  # fmt: skip
    if curved:
        program = QuadraticProgram(P=np.eye(3), **rows)
        expected = [2.0, -6.0, -6.0]  # −(Px + c) at x = (1, 2, 1)
    else:
        program, expected = LinearProgram(**rows), [3.0, -4.0, -5.0]
    found = solve(program)
    assert found.x == pytest.approx([1, 2, 1], abs=1e-9)
    assert found.duals == pytest.approx(expected, abs=1e-8)


def test_duals_of_a_program_without_rows_are_empty():
    for program in (
        LinearProgram(c=[1.0, -1], lower=-2.0, upper=3.0),
        QuadraticProgram(P=np.eye(2), c=[1.0, -9], lower=-2.0, upper=3.0),
    ):
        for solver in ("highs", "scip_direct"):
            found = solve(program, solver=solver)
            assert found.duals.shape == (0,)
            assert found.stop is StopReason.CONVERGED
            assert program.objective(found.x) == pytest.approx(
                -5.0 if isinstance(program, LinearProgram) else -23.0
            )


def test_a_degenerate_program():
    """More rows at the vertex than variables; one of them twice."""
    program = LinearProgram(
        c=[-1.0, -1],
        A=[[1.0, 0], [0, 1], [1, 1], [1, 1], [2, 1]],
        row_upper=[1.0, 1, 2, 2, 3],
        lower=0.0,
    )
    found = solve(program)
    assert found.x == pytest.approx([1, 1], abs=1e-9)
    residuals = measure(program, found.x, found.duals)
    assert abs(residuals.rel_gap) <= 1e-9
    assert residuals.dual <= 1e-9


def test_variables_and_rows_on_which_nothing_depends():
    program = LinearProgram(
        c=[1.0, 0, 0, 0],
        A=csc_array(([1.0], ([0], [0])), shape=(3, 4)),
        row_lower=[2.0, -1, -INF],
        row_upper=[INF, 1, INF],
        lower=[0.0, 5, -INF, -INF],
        upper=[INF, 6, -3, INF],
    )
    for solver in ("highs", "scip_direct", "appsi_highs"):
        found = solve(program, solver=solver)
        assert found.stop is StopReason.CONVERGED
        assert program.violation(found.x) <= 1e-9
        assert found.x[0] == pytest.approx(2.0)
    impossible = replace(program, row_lower=[2.0, 1, -INF])
    assert solve(impossible).stop is StopReason.INFEASIBLE


@pytest.mark.parametrize("solver", ["highs", "scip_direct", "appsi_highs"])
def test_programs_with_integers(solver):
    found = solve(KNAPSACK, solver=solver)
    expected = milp(
        KNAPSACK.c,
        constraints=LinearConstraint(KNAPSACK.A, ub=KNAPSACK.row_upper),
        integrality=KNAPSACK.integrality,
    )
    assert found.stop is StopReason.CONVERGED
    assert found.duals is None
    assert KNAPSACK.violation(found.x) <= 1e-9
    assert KNAPSACK.objective(found.x) == pytest.approx(expected.fun) == -13.0
    assert found.bound == pytest.approx(-13.0)


def test_linear_cones():
    found = solve(LINEAR_CONES)
    assert found.x == pytest.approx([3, 0], abs=1e-9)
    assert found.duals == pytest.approx([-1, 0, 1], abs=1e-9)
    assert max(LINEAR_CONES.residuals(found.x, found.duals)) <= 1e-9
    assert found.objective == pytest.approx(2.0)


def test_second_order_cones():
    found = solve(SOCP, solver="scip_direct")
    assert found.stop is StopReason.CONVERGED
    assert found.duals is None
    assert found.objective == pytest.approx(9 / np.sqrt(5) + 1, abs=1e-7)
    assert found.x[1:] == pytest.approx([0.6, 1.2], abs=1e-3)
    assert SOCP.residuals(found.x, np.zeros(4))[0] <= 1e-8


def test_the_core_has_no_proof_without_duals():
    found = ro.solve_program(SOCP, backend="pyomo", options={"solver": "scip_direct"})
    assert found.verdict is Verdict.INCONCLUSIVE
    assert ro.solve_program(LINEAR_CONES, backend="pyomo").verdict is Verdict.CERTIFIED


@pytest.mark.parametrize("solver", ["highs", "scip_direct", "appsi_highs"])
@pytest.mark.parametrize(
    ("program", "stop"),
    [
        (INFEASIBLE, StopReason.INFEASIBLE),
        (UNBOUNDED, StopReason.UNBOUNDED),
        (INFEASIBLE_INTEGERS, StopReason.INFEASIBLE),
        (UNBOUNDED_INTEGERS, StopReason.UNBOUNDED),
    ],
)
def test_infeasible_and_unbounded_are_told_apart(solver, program, stop):
    found = solve(program, solver=solver)
    assert found.stop is stop
    assert found.x is found.duals is found.objective is None
    assert found.raw_status


def test_highs_does_not_tell_the_integers_apart_by_itself():
    assert solve(UNBOUNDED_INTEGERS).raw_status == "infeasibleOrUnbounded, noSolution"


@pytest.mark.parametrize("solver", ["highs", "scip_direct"])
def test_infeasible_and_unbounded_quadratic_programs(solver):
    infeasible = replace(SIMPLE_QP, upper=np.full(2, 0.3))
    assert solve(infeasible, solver=solver).stop is StopReason.INFEASIBLE
    unbounded = QuadraticProgram(P=[[2.0, 0], [0, 0]], c=[-1.0, -1], lower=0.0)
    found = solve(unbounded, solver=solver)
    assert found.stop is StopReason.UNBOUNDED
    assert found.x is None


# HiGHS and quadratic programs.


def singular_master(seed):
    """P = WᵀW of small rank over x ≥ 0, and its optimum."""
    rng = np.random.default_rng(seed)
    rank = int(rng.integers(2, 6))
    count = int(rng.integers(rank + 1, 4 * rank))
    W = rng.integers(-2, 4, (rank, count)).astype(float)
    x = np.zeros(count)
    x[rng.choice(count, 2, replace=False)] = rng.uniform(0.1, 1.0, 2)
    slope = np.where(x > 0, 0.0, rng.integers(0, 3, count) / 4)
    fits = W @ x
    return QuadraticProgram(P=W.T @ W, c=slope - W.T @ fits, lower=0.0), -0.5 * fits @ fits


@pytest.mark.parametrize("seed", range(25))
def test_the_quadratic_programs_of_column_generation(seed):
    """Singular ones, which HiGHS by itself gives up, or takes for unbounded (seed 2, say)."""
    program, optimum = singular_master(seed)
    found = solve(program)
    assert found.stop is StopReason.CONVERGED
    assert program.objective(found.x) == pytest.approx(optimum, rel=1e-9, abs=1e-9)
    assert program.violation(found.x) <= 1e-9


def test_solutions_outside_the_box_are_found():
    """x = 10⁴, where each variable alone would go to 1."""
    program = QuadraticProgram(P=[[1.0, -1], [-1, 1 + 1e-4]], c=[-1.0, 0], lower=0.0)
    assert boxed(program, 1e3).upper == pytest.approx([1e3, 1e3])
    found = solve(program)
    assert found.stop is StopReason.CONVERGED
    assert found.x == pytest.approx([1e4 + 1, 1e4], rel=1e-6)


def test_the_box_leaves_bounds_alone():
    program = QuadraticProgram(
        P=np.diag([2.0, 0, 1]), c=[-8.0, 1, 0], lower=[1e9, -INF, -1], upper=[INF, -5e8, 1]
    )
    box = boxed(program, 10.0)
    assert box.lower == pytest.approx([1e9, -5e8 - 40, -1])
    assert box.upper == pytest.approx([1e9 + 40, -5e8, 1])
    assert boxed(program, INF) is program


def test_an_optimal_point_that_is_not_is_found_out(monkeypatch):
    point = Answer.point

    def shifted(answer, spare):
        return point(answer, spare) + shift

    monkeypatch.setattr(Answer, "point", shifted)
    shift = 1e-5
    for program in (SIMPLE_QP, LinearProgram(c=[1.0], lower=1.0), KNAPSACK):
        assert solve(program).stop is StopReason.CONVERGED_LOOSE
    shift = -0.3
    for program in (SIMPLE_QP, LinearProgram(c=[1.0], lower=1.0), KNAPSACK):
        found = solve(program)
        assert found.stop is StopReason.NUMERICAL
        assert found.x is not None


def test_a_solver_with_the_other_sign_of_duals_is_put_right(monkeypatch):
    duals = Answer.duals
    monkeypatch.setattr(Answer, "duals", lambda answer, rows: -duals(answer, rows))
    program = random_lp(0)
    found = solve(program)
    assert found.stop is StopReason.CONVERGED
    assert measure(program, found.x, found.duals).dual <= 1e-9


def test_a_quadratic_program_never_goes_without_a_limit(monkeypatch):
    limits = []
    run = attempt_module.solve_new

    def watched(solver, model, order):
        limits.append(order.time_limit)
        return run(solver, model, order)

    monkeypatch.setattr(attempt_module, "solve_new", watched)
    solve(SIMPLE_QP)
    solve(SOCP, solver="scip_direct")
    solve(random_lp(0))
    assert 0 < limits[0] <= 600.0
    assert 0 < limits[1] <= 600.0
    assert limits[2] is None


# Limits.


def hard_knapsacks():
    """A market-split program: no solver here ends it soon."""
    rng = np.random.default_rng(0)
    A = rng.integers(0, 100, (5, 40)).astype(float)
    half = np.floor(A.sum(axis=1) / 2)
    slack = np.hstack([np.eye(5), -np.eye(5)])
    return LinearProgram(
        c=np.r_[np.zeros(40), np.ones(10)],
        A=np.hstack([A, slack]),
        row_lower=half,
        row_upper=half,
        lower=0.0,
        upper=np.r_[np.ones(40), np.full(10, INF)],
        integrality=np.arange(50) < 40,
    )


@pytest.mark.parametrize("solver", ["highs", "scip_direct", "appsi_highs"])
def test_a_time_limit_is_a_result_with_the_incumbent(solver):
    program = hard_knapsacks()
    found = with_incumbent(lambda limit: solve(program, solver=solver, time_limit=limit))
    assert found.stop is StopReason.TIME_LIMIT
    assert "maxTimeLimit" in found.raw_status
    assert program.violation(found.x) <= 1e-6
    assert found.bound <= program.objective(found.x)


def test_an_iteration_limit_is_a_result():
    found = solve(random_lp(0), solver_options="simplex_iteration_limit=1, presolve=off")
    assert found.stop is StopReason.ITERATION_LIMIT
    assert found.raw_status == "iterationLimit, noSolution"
    assert found.stats["simplex_iteration_count"] <= 1


# Options.


def test_an_unknown_solver_is_refused_with_the_near_match():
    with pytest.raises(OptionError, match=r"no solver 'hihgs'.*mean 'highs'") as caught:
        solve(SIMPLE_QP, solver="hihgs")
    assert caught.value.fields["option"] == "solver"


@pytest.mark.parametrize(
    ("solver", "missing"),
    [
        ("ipopt", "executable ipopt"),
        ("glpk", "executable glpsol"),
        ("gurobi_persistent", "package gurobipy"),
        ("cplex", "executable or Python package"),
    ],
)
def test_a_solver_that_is_not_here_is_said_to_be_so(monkeypatch, solver, missing):
    known = pyo.SolverFactory if solver in ("glpk", "cplex") else NewFactory
    monkeypatch.setattr(known.get_class(solver), "available", lambda *a, **k: False)
    with pytest.raises(BackendUnavailable, match=f"{solver}.*{missing}.*HiGHS"):
        solve(SIMPLE_QP, solver=solver)


@pytest.mark.parametrize("solver", ["highs", "appsi_highs"])
def test_cones_that_a_solver_does_not_take_are_refused(solver):
    with pytest.raises(UnsupportedProgram, match=r"second-order cones.*solver='scip_direct'"):
        solve(SOCP, solver=solver)


def test_integers_that_a_solver_would_leave_out_of_account_are_refused():
    with pytest.raises(UnsupportedProgram, match=r"ipopt.*integer.*solver='highs'"):
        solve(KNAPSACK, solver="ipopt")


def test_settings_of_the_solver():
    assert read_settings("") == {}
    assert read_settings(" a=1, b/c = 2.5 ,d=off,e=true") == {
        "a": 1,
        "b/c": 2.5,
        "d": "off",
        "e": True,
    }
    found = solve(random_lp(0), solver_options="presolve=off,simplex_strategy=4")
    assert found.stats["settings"]["presolve"] == "off"
    assert found.stats["settings"]["simplex_strategy"] == "4"
    assert found.stop is StopReason.CONVERGED


@pytest.mark.parametrize(
    ("solver", "text", "message"),
    [
        ("highs", "presolve", "name=value is needed"),
        ("highs", "=1", "name=value is needed"),
        ("highs", "presolv=off", "mean 'presolve'"),
        ("highs", "zzzz=1", "manual"),
        ("scip_direct", "limits/gapp=1", "mean 'limits/gap'"),
        ("highs", "presolve=3.5", "HiGHS refused.*presolve"),
    ],
)
def test_settings_that_will_not_do_are_refused(solver, text, message):
    with pytest.raises(OptionError, match=message) as caught:
        solve(random_lp(0), solver=solver, solver_options=text)
    assert caught.value.fields["option"] == "solver_options"


def test_what_a_solver_raises_is_chained():
    with pytest.raises(SolveFailed, match=r"'scip_direct' raised.*solver_options") as caught:
        solve(random_lp(0), solver="scip_direct", solver_options="limits/gap=soon")
    assert isinstance(caught.value.__cause__, ValueError)
    assert caught.value.fields["solver"] == "scip_direct"


def test_tolerances_have_each_solvers_own_names():
    options = SolveOptions(tol=1e-6, seed=7, threads=2)
    settings = solver_settings("highs", options, new=True)
    assert settings["primal_feasibility_tolerance"] == pytest.approx(1e-7)
    assert settings["mip_rel_gap"] == pytest.approx(1e-7)
    assert settings["random_seed"] == 7
    tightest = solver_settings("highs", replace(options, tol=1e-15), new=True)
    assert tightest["dual_feasibility_tolerance"] == 1e-10
    assert solver_settings("scip_direct", options, True)["numerics/feastol"] == pytest.approx(1e-7)
    assert "Threads" not in solver_settings("gurobi_persistent", options, new=True)
    assert solver_settings("gurobi", options, new=False)["Threads"] == 2
    assert solver_settings("ipopt", options, new=True)["tol"] == pytest.approx(1e-7)
    assert solver_settings("stranger", options, new=True) == {}
    known = {name for name in dir(highspy.HighsOptions) if name[0] != "_"}
    assert set(KNOWN["highs"].tolerances) < known


def test_threads_may_change_from_solve_to_solve():
    for threads in (2, 1, None, 2):
        assert solve(random_lp(0), threads=threads).stop is StopReason.CONVERGED
        assert solve(SIMPLE_QP, threads=threads).stop is StopReason.CONVERGED


# Statuses.


def test_the_statuses_are_mapped_in_full():
    new = {condition.name for condition in TerminationCondition}
    old = {condition.value for condition in OldCondition}
    assert set(STOPS) == new | old
    converged = {name for name, stop in STOPS.items() if stop is StopReason.CONVERGED}
    assert converged == {
        "convergenceCriteriaSatisfied",
        "optimal",
        "locallyOptimal",
        "globallyOptimal",
    }
    assert Answer("splendid", "optimal").stop is StopReason.UNKNOWN
    for status in SolutionStatus:
        stop = Answer("convergenceCriteriaSatisfied", status.name, values=[1.0]).stop
        assert stop is {
            "optimal": StopReason.CONVERGED,
            "feasible": StopReason.CONVERGED_LOOSE,
            "unknown": StopReason.CONVERGED_LOOSE,
        }.get(status.name, StopReason.UNKNOWN)
    assert Answer("optimal", "feasible").stop is StopReason.UNKNOWN  # no point


class Scripted:
    """A solver that gives any answer."""

    def __init__(self, condition, status, x=(), duals=None, message=""):
        self.config = {}
        loader = SimpleNamespace(get_vars=lambda: self.values, get_duals=lambda: duals)
        self.x = x
        self.results = SimpleNamespace(
            termination_condition=TerminationCondition[condition],
            solution_status=SolutionStatus[status],
            solution_loader=loader,
            incumbent_objective=None,
            objective_bound=None,
            solver_log="",
            extra_info=SimpleNamespace(value=lambda: {"solver_message": message}),
        )

    def solve(self, model, **options):
        if isinstance(self.x, Exception):
            raise self.x
        variables = list(model.x.values())
        self.values = pyo.ComponentMap(zip(variables, self.x, strict=False))
        return self.results


@pytest.fixture
def scripted(monkeypatch):
    def script(*arguments, **named):
        solver = Scripted(*arguments, **named)
        monkeypatch.setattr(attempt_module, "find_solver", lambda name: (solver, True))
        return LinearProgram(c=[1.0, 1], lower=[1.0, -2], upper=[3.0, 4])

    return script


GOOD = "convergenceCriteriaSatisfied", "optimal"


def test_variables_that_a_solver_leaves_out_are_nearest_to_zero(scripted):
    found = solve(replace(scripted(*GOOD, x=[1.0]), c=[1.0, 0]), solver="stranger")
    assert found.x == pytest.approx([1.0, 0.0])
    assert found.stop is StopReason.CONVERGED


def test_points_with_nan_are_not_handed_on(scripted):
    found = solve(scripted(*GOOD, x=[np.nan, 1.0]), solver="stranger")
    assert found.x is None


def test_limits_of_ipopt_are_told_apart(scripted):
    said = ("iterationLimit", "unknown", [1.0, -2.0])
    program = scripted(*said, message="Maximum CPU time exceeded")
    assert solve(program, solver="ipopt").stop is StopReason.TIME_LIMIT
    program = scripted(*said, message="Maximum Number of Iterations Exceeded.")
    found = solve(program, solver="ipopt")
    assert found.stop is StopReason.ITERATION_LIMIT
    assert found.x == pytest.approx([1.0, -2.0])
    assert "Maximum Number of Iterations Exceeded" in found.raw_status


def test_the_acceptable_level_of_ipopt_is_looser(scripted):
    program = scripted(*GOOD, x=[1.0, -2.0], message="Solved To Acceptable Level.")
    assert solve(program, solver="ipopt").stop is StopReason.CONVERGED_LOOSE


def test_a_process_that_had_to_be_ended_is_at_its_time_limit(scripted):
    found = solve(scripted(*GOOD, x=subprocess.TimeoutExpired("ipopt", 1.0)), solver="ipopt")
    assert found.stop is StopReason.TIME_LIMIT
    assert found.x is None


def test_a_missing_licence_is_an_error(scripted):
    with pytest.raises(BackendUnavailable, match="'stranger' has no licence"):
        solve(scripted("licensingProblems", "noSolution"), solver="stranger")


def test_what_stays_open_is_unknown(scripted):
    """The second run, without the cost, says the same again."""
    found = solve(scripted("infeasibleOrUnbounded", "noSolution"), solver="stranger")
    assert found.stop is StopReason.UNKNOWN
    assert found.raw_status == "infeasibleOrUnbounded, noSolution"


# Manners.


def test_quiet_means_quiet(capfd):
    for solver in ("highs", "scip_direct", "appsi_highs"):
        for program in (random_lp(0), INFEASIBLE, UNBOUNDED_INTEGERS, KNAPSACK):
            solve(program, solver=solver)
    solve(SIMPLE_QP)
    solve(SOCP, solver="scip_direct")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("solver", ["highs", "scip_direct", "appsi_highs"])
def test_verbose_does_not(capfd, solver):
    solve(KNAPSACK, solver=solver, verbose=True)
    word = "SCIP" if solver == "scip_direct" else "HiGHS"
    assert word in capfd.readouterr().out


def test_a_long_log_of_scip_does_not_stop_it():
    """Through a pipe that Pyomo reads it would: SCIP lets no other thread run."""
    script = (
        "import sys, numpy as np; from relu_opt.program.linear import QuadraticProgram\n"
        "from relu_opt.plugins.types import SolveOptions\n"
        "from relu_opt_pyomo.backend import PyomoBackend\n"
        "program = QuadraticProgram(P=np.diag([2e6, 2e-4]), c=[-2e3, -5e-2], lower=0.0,\n"
        "    A=[[10.0, -2e-4], [-1e3, -2e-2], [-1e5, 2.0]], row_lower=[-2e-2, -6.0, -2e2])\n"
        "extra = {'solver': 'scip_direct', 'solver_options': 'display/freq=1, limits/nodes=500'}\n"
        "options = SolveOptions(verbose=True, extra=extra)\n"
        "print('stop', PyomoBackend().solve(program, options).stop.name)"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert len(done.stdout) > 1 << 16
    assert done.stdout.rstrip().endswith("stop ITERATION_LIMIT")


def test_solves_in_several_threads():
    programs = [random_lp(seed, curved=seed % 2 == 1) for seed in range(12)]
    alone = [solve(program).x for program in programs]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(solve, programs))
    for program, x, found in zip(programs, alone, together, strict=True):
        assert found.stop is StopReason.CONVERGED
        assert program.objective(found.x) == pytest.approx(program.objective(x), abs=1e-9)


def test_no_files_are_left_behind(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for solver in ("highs", "scip_direct", "appsi_highs"):
        solve(KNAPSACK, solver=solver)
    solve(SIMPLE_QP)
    assert os.listdir(tmp_path) == []


def test_solving_twice_gives_the_same():
    for program, solver in ((SIMPLE_QP, "highs"), (KNAPSACK, "highs"), (SOCP, "scip_direct")):
        first, second = (solve(program, solver=solver, seed=3) for _ in range(2))
        assert np.array_equal(first.x, second.x)


# Training.


@pytest.mark.parametrize(
    "settings",
    [{}, {"loss": "squared_hinge"}, {"loss": "logistic", "intercept": True, "weighted": True}],
)
def test_training_by_column_generation(make_program, settings):
    program = make_program(**settings)
    solution = ro.solve(program, backend="pyomo", tol=1e-7)
    assert "column generation" in solution.stats["route"]
    assert solution.rel_gap <= 1e-7
    assert solution.objective == pytest.approx(ro.solve(program).objective, rel=1e-6)


def test_training_through_another_solver(make_program):
    program = make_program(n=8, p=4)
    options = {"solver": "scip_direct"}
    solution = ro.solve(program, backend="pyomo", tol=1e-6, options=options)
    assert solution.rel_gap <= 1e-6
    assert solution.objective == pytest.approx(ro.solve(program).objective, rel=1e-6)


def test_the_benchmark_of_the_theory(benchmark_programs):
    solution = ro.solve(benchmark_programs["diabetes"], backend="pyomo", tol=1e-6)
    assert solution.rel_gap <= 1e-6
    assert solution.certificate.verdict is Verdict.CERTIFIED
    assert solution.objective == pytest.approx(0.3020236310, rel=1e-6)


# Registration.


def test_registration():
    (info,) = relu_opt_pyomo.relu_opt_backends()
    assert info.name == "pyomo"
    assert info.takes == {LinearProgram, QuadraticProgram, ConicProgram}
    assert ConvexProgram not in info.takes
    assert info.features == {Feature.INTEGER, Feature.SOC, Feature.DUALS, Feature.TIME_LIMIT}
    assert {option.name for option in info.options} == {"solver", "solver_options"}
    assert info.install_hint == "pip install 'relu-opt[pyomo]'"
    assert isinstance(info.load(), PyomoBackend)
    found = info.probe()
    assert found.state is State.READY
    assert found.version == version("pyomo")


@pytest.mark.parametrize("missing", ["pyomo", "highspy"])
def test_probe_without_pyomo_or_its_solver(monkeypatch, missing):
    there = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == missing else there(name)
    )
    found = relu_opt_pyomo.probe()
    assert found.state is State.NOT_INSTALLED
    assert f"package {missing}" in found.reason


def test_registering_imports_no_solver():
    script = (
        "import sys, relu_opt_pyomo; [info] = relu_opt_pyomo.relu_opt_backends(); info.probe(); "
        "info.load(); print([m for m in ('pyomo', 'highspy', 'pyscipopt') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")
