"""Small quadratic programs by the native backend: against other solvers, and every ending."""

from __future__ import annotations

import logging
import sys
from dataclasses import replace
from types import SimpleNamespace

import daqp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linear_sum_assignment, linprog
from scipy.sparse import csc_array

import relu_opt as ro
import relu_opt_native
from relu_opt.errors import BackendUnavailable, DataError, UnsupportedProgram
from relu_opt.optimality import measure
from relu_opt.plugins.types import Feature, SolveOptions, StopReason
from relu_opt.program import ConvexProgram
from relu_opt.program.linear import LinearProgram, QuadraticProgram
from relu_opt_cvxpy.backend import CvxpyBackend
from relu_opt_native import small_qp
from relu_opt_native.backend import NativeBackend
from relu_opt_native.dense import DenseProgram

INF = np.inf


def solve(program, **options):
    return NativeBackend().solve(program, SolveOptions(extra={"max_iter": 500}, **options))


def check_optimal(program, found, value=None, tol=1e-9):
    """Feasible, complementary and without a gap, all of it measured by the core."""
    assert found.stop is StopReason.CONVERGED, (found.stop, found.raw_status)
    measured = measure(program, found.x, found.duals)
    assert measured.primal <= tol
    assert measured.dual <= tol
    assert abs(measured.rel_gap) <= 10 * tol
    assert found.objective == measured.objective
    if value is not None:
        assert abs(measured.objective - value) <= 100 * tol * max(1, abs(value))


# -- random programs ------------------------------------------------------------------------


def whole(shape, least=-3, most=3):
    return arrays(np.float64, shape, elements=st.integers(least, most).map(float))


@st.composite
def optimal_programs(draw, scaled=False):
    """A program of small integers with a known optimum: singular P, repeated rows, equations.

    Sides lie a slack of 0, 1 or 2 away, so that many are met without a multiplier.
    """
    k, m, rank = draw(st.integers(1, 6)), draw(st.integers(0, 8)), draw(st.integers(0, 4))
    A, L, x = draw(whole((m, k))), draw(whole((rank, k))), draw(whole(k))
    if m > 2 and draw(st.booleans()):
        A[m // 2 :] = draw(st.sampled_from([-1.0, 1.0, 2.0])) * A[: m - m // 2]
    multipliers, slack = draw(whole(k + m)), draw(whole(k + m, 0, 2))
    ends = draw(arrays(np.bool_, (2, k + m)))
    at = np.r_[x, A @ x]
    upper = np.where(multipliers > 0, at, np.where(ends[0], at + slack, INF))
    lower = np.where(multipliers < 0, at, np.where(ends[1], at - slack, -INF))
    P = L.T @ L
    c = -(P @ x + multipliers[:k] + A.T @ multipliers[k:])
    value = float(0.5 * x @ P @ x + c @ x)
    if scaled:
        columns, rows = (10.0 ** draw(whole(size)) for size in (k, m))
        cost = 10.0 ** draw(st.integers(-3, 3))
        P, c = cost * columns[:, None] * P * columns, cost * columns * c
        A, units = rows[:, None] * A * columns, np.r_[1 / columns, rows]
        value, lower, upper = cost * value, lower * units, upper * units
    sides = {"row_lower": lower[k:], "row_upper": upper[k:], "lower": lower[:k], "upper": upper[:k]}
    return QuadraticProgram(P=(P + P.T) / 2, c=c, A=A, **sides), value


@settings(max_examples=150)
@given(optimal_programs())
def test_programs_with_a_known_optimum(case):
    program, value = case
    found = solve(program)
    check_optimal(program, found, value)
    assert found.duals.shape == (program.rows,)


@settings(max_examples=150)
@given(optimal_programs(scaled=True))
def test_badly_scaled_programs_with_a_known_optimum(case):
    program, value = case
    check_optimal(program, solve(program), value)


@settings(max_examples=30)
@given(optimal_programs())
def test_programs_against_an_interior_point_method(case):
    program, _ = case
    other = CvxpyBackend().solve(program, SolveOptions(tol=1e-7))
    found = solve(program)
    assert other.stop is StopReason.CONVERGED
    assert found.objective == pytest.approx(other.objective, abs=1e-5)


@st.composite
def any_programs(draw):
    """A program that may well have no answer, of each kind."""
    program, _ = draw(optimal_programs())
    shift = draw(whole(program.rows))
    open_rows, open_columns = (draw(arrays(np.bool_, (2, size))) for size in program.A.shape)
    return replace(
        program,
        c=draw(whole(program.columns)),
        row_lower=np.where(open_rows[0], -INF, program.row_lower + shift),
        row_upper=np.where(open_rows[1], INF, program.row_upper + shift),
        lower=np.where(open_columns[0], -INF, program.lower),
        upper=np.where(open_columns[1], INF, program.upper),
    )


def truth(program):
    """The ending, from two linear programs: is there a point, and a way down without an end?"""
    A, P = program.A.toarray(), program.P.toarray()
    below, above = np.isfinite(program.row_lower), np.isfinite(program.row_upper)
    G, flat = np.vstack([A[above], -A[below]]), np.zeros(program.columns)
    h = np.r_[program.row_upper[above], -program.row_lower[below]]
    point = linprog(flat, G, h, bounds=np.c_[program.lower, program.upper])
    if point.status == 2:
        return StopReason.INFEASIBLE
    box = np.c_[-np.isinf(program.lower).astype(float), np.isinf(program.upper).astype(float)]
    ray = linprog(program.c, G, np.zeros(len(h)), P, flat, box)
    assert (point.status, ray.status) == (0, 0)
    return StopReason.UNBOUNDED if ray.fun < -1e-7 else StopReason.CONVERGED


@settings(max_examples=150)
@given(any_programs())
def test_every_ending_is_told(program):
    found = solve(program)
    assert found.stop is truth(program)
    if found.stop is StopReason.CONVERGED:
        check_optimal(program, found)
    else:
        assert found.x is found.duals is found.objective is None
        assert found.stop.value in found.raw_status


# -- programs with a name -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("c", "lower", "upper"),
    [(-3, -INF, 2), (3, -2, INF), (-3, -1, 2), (3, -2, 1), (-3, 2, 2), (3, -2, -2), (1, -9, 9)],
)
def test_signs_of_the_multipliers_of_every_kind_of_row(c, lower, upper):
    """½x² + cx at lower ≤ x ≤ upper, written as a row of half the sides."""
    rows = {"A": [[0.5]], "row_lower": lower / 2, "row_upper": upper / 2}
    found = solve(QuadraticProgram(P=np.eye(1), c=[c], **rows))
    x = np.clip(-c, lower, upper)
    assert found.x == pytest.approx(x, abs=1e-12)
    assert found.duals == pytest.approx(-2 * (x + c), abs=1e-12)


def linear(c, A, row_lower=-INF, row_upper=INF, lower=-INF, upper=INF):
    sides = {"row_lower": row_lower, "row_upper": row_upper, "lower": lower, "upper": upper}
    return QuadraticProgram(P=csc_array((len(c), len(c))), c=c, A=A, **sides)


@pytest.mark.parametrize("size", [3, 10, 15])
def test_assignment_is_solved_at_a_degenerate_vertex(size):
    cost = np.random.default_rng(size).integers(0, 10, (size, size)).astype(float)
    one, eye = np.ones(size), np.eye(size)
    A = np.vstack([np.kron(eye, one), np.kron(one, eye)])
    program = linear(cost.ravel(), A, 1, 1, 0)
    check_optimal(program, solve(program), cost[linear_sum_assignment(cost)].sum())


def test_the_cube_of_klee_and_minty():
    k = 8
    A = np.array(
        [[2.0 ** (i - j + 1) if j < i else float(i == j) for j in range(k)] for i in range(k)]
    )
    program = linear(
        -(2.0 ** np.arange(k - 1, -1, -1)), A, row_upper=5.0 ** np.arange(1, k + 1), lower=0
    )
    check_optimal(program, solve(program), -(5.0**k))


def test_the_program_of_beale_on_which_the_simplex_method_cycles():
    A = [[0.25, -60, -0.04, 9], [0.5, -90, -0.02, 3], [0, 0, 1, 0]]
    program = linear([-0.75, 150, -0.02, 6], A, row_upper=[0, 0, 1], lower=0)
    check_optimal(program, solve(program), -0.05)


def test_least_absolute_deviations():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((60, 5)), rng.standard_normal(60)
    A = np.block([[X, -np.eye(60)], [-X, -np.eye(60)]])
    program = linear(np.r_[np.zeros(5), np.ones(60)], A, row_upper=np.r_[y, -y])
    other = linprog(program.c, A, np.r_[y, -y], bounds=(None, None))
    check_optimal(program, solve(program), other.fun)


@pytest.mark.parametrize("rank", [40, 120])
def test_a_program_of_middle_size(rank):
    rng = np.random.default_rng(rank)
    L, A = rng.standard_normal((rank, 120)), rng.standard_normal((200, 120))
    program = QuadraticProgram(
        P=L.T @ L, c=rng.standard_normal(120), A=A, row_upper=1.0, row_lower=-3.0, lower=-1, upper=2
    )
    found = solve(program)
    check_optimal(program, found)
    other = CvxpyBackend().solve(program, SolveOptions())
    assert found.objective == pytest.approx(other.objective, rel=1e-7)


def test_bounds_that_are_far_away_do_not_spoil_the_scale():
    rng = np.random.default_rng(1)
    A, x = rng.standard_normal((5, 4)), rng.standard_normal(4)
    program = linear(A.sum(axis=0), A, A @ x, 1e8, -1e8, 1e8)
    check_optimal(program, solve(program, tol=1e-6), A.sum(axis=0) @ x, tol=1e-7)


def test_programs_without_rows_bounds_or_variables():
    found = solve(QuadraticProgram(P=2 * np.eye(2), c=[2.0, -4.0]))
    assert found.x == pytest.approx([-1.0, 2.0])
    assert found.duals.shape == (0,)
    assert solve(linear([], np.zeros((0, 0)))).stop is StopReason.CONVERGED
    assert solve(linear([], np.zeros((1, 0)), 1.0)).stop is StopReason.INFEASIBLE


def test_contradictions_are_found_before_ways_down():
    two = {"A": [[1.0, 1.0], [2.0, 2.0], [0.0, 0.0]], "c": [1.0, -1.0]}
    for sides in ([1, 3, 0], [1, 2, 0.5]):
        assert solve(linear(**two, row_lower=sides, row_upper=sides)).stop is StopReason.INFEASIBLE
    met = linear(**two, row_lower=[1, 2, 0], row_upper=[1, 2, 0])
    assert solve(met).stop is StopReason.UNBOUNDED


def test_a_cost_that_is_a_row_but_for_rounding_has_a_bound():
    rng = np.random.default_rng(2)
    row = rng.standard_normal(4) * 10.0 ** np.array([3, 3, 0, -1])
    program = linear(-0.1 * row / 0.3, row[None], row_upper=0.7)
    check_optimal(program, solve(program), -0.7 / 3)


def test_a_program_that_is_not_convex_is_refused():
    with pytest.raises(DataError, match="not convex"):
        solve(QuadraticProgram(P=np.diag([1.0, -1e-3]), c=[0.0, 0.0], lower=-1, upper=1))


# -- options --------------------------------------------------------------------------------


def middle(seed=0, k=40, m=60):
    rng = np.random.default_rng(seed)
    L, A = rng.standard_normal((k // 2, k)), rng.standard_normal((m, k))
    return QuadraticProgram(P=L.T @ L, c=rng.standard_normal(k), A=A, row_upper=1.0, lower=-2)


def test_a_start_saves_work_and_a_bad_one_does_no_harm():
    program = middle()
    cold = solve(program)
    warm = solve(program, warm_start=cold.x)
    check_optimal(program, warm, cold.objective)
    assert warm.stats["iterations"] < 0.1 * cold.stats["iterations"]
    for start in (np.full(40, 1e6), -np.full(40, 1e-9)):
        check_optimal(program, solve(program, warm_start=start), cold.objective)


def test_a_time_limit_is_a_result():
    found = solve(middle(k=300, m=900), time_limit=1e-9)
    assert found.stop is StopReason.TIME_LIMIT
    assert found.raw_status == "-7: time limit reached"
    assert found.x is found.duals is None
    assert solve(middle(), time_limit=60.0).stop is StopReason.CONVERGED


def test_quiet_means_quiet_and_verbose_is_a_line_in_the_log(capfd, caplog):
    with caplog.at_level(logging.INFO, "relu_opt.native"):
        solve(middle())
        assert not caplog.records
        solve(middle(), verbose=True)
    assert "1: optimal" in caplog.text
    assert capfd.readouterr() == ("", "")


# -- endings of daqp ------------------------------------------------------------------------


def stand_in(monkeypatch, change):
    """daqp, with `change(settings, x, flag)` applied to what it returns."""

    class Model:
        def __init__(self):
            self.model = daqp.Model()

        @property
        def settings(self):
            return self.model.settings

        @settings.setter
        def settings(self, values):
            self.model.settings = values

        def setup(self, *arrays, **start):
            return self.model.setup(*arrays, **start)

        def update(self, **arrays):
            return self.model.update(**arrays)

        def solve(self):
            x, value, flag, info = self.model.solve()
            return *change(self.settings, x, value, flag), info

    monkeypatch.setattr(small_qp, "_library", lambda: SimpleNamespace(Model=Model))


@pytest.mark.parametrize(
    ("flag", "stop"),
    [
        (2, StopReason.UNKNOWN),
        (-1, StopReason.NUMERICAL),
        (-2, StopReason.NUMERICAL),
        (-3, StopReason.NUMERICAL),
        (-4, StopReason.ITERATION_LIMIT),
        (-5, StopReason.NUMERICAL),
        (-6, StopReason.NUMERICAL),
        (-7, StopReason.TIME_LIMIT),
        (-8, StopReason.UNKNOWN),
        (99, StopReason.UNKNOWN),
    ],
)
def test_every_exit_flag_has_a_meaning_and_none_is_believed_alone(monkeypatch, flag, stop):
    stand_in(monkeypatch, lambda settings, x, value, _: (x, value, flag))
    found = solve(middle())
    assert found.stop is stop
    assert found.raw_status.startswith(f"{flag}: ")
    assert found.x is None


def test_a_wrong_claim_of_infeasibility_is_overruled_by_a_later_attempt(monkeypatch):
    def change(settings, x, value, flag):
        return x, value, flag if settings["primal_tol"] > 1e-8 else -1

    stand_in(monkeypatch, change)
    check_optimal(middle(), solve(middle()))
    found = solve(linear([0.0], [[1.0], [1.0]], [-INF, 2.0], [1.0, INF]))
    assert found.stop is StopReason.INFEASIBLE
    assert found.raw_status == "-1: infeasible; shown to be infeasible"


def test_a_point_that_is_not_optimal_is_not_called_so(monkeypatch):
    """Wrong points with wrong active sets: what comes back is measured, and says so."""

    def change(settings, x, value, flag):
        return x + 1.0, value, flag

    stand_in(monkeypatch, change)
    monkeypatch.setattr(DenseProgram, "exact", lambda self, x, multipliers: [])
    found = solve(middle())
    assert found.stop is StopReason.NUMERICAL
    assert measure(middle(), found.x, found.duals).rel_gap != pytest.approx(0.0, abs=1e-3)


def test_the_error_decides_between_the_endings():
    def stop(error, flag=small_qp.OPTIMAL, tol=1e-8):
        answer = small_qp.Answer(np.zeros(1), np.zeros(0), error)
        return small_qp._stop(small_qp.Found(answer, flag), tol)

    assert stop(1e-9) is stop(1e-9, flag=-2) is StopReason.CONVERGED
    assert stop(1e-7) is stop(1e-7, flag=-2) is StopReason.CONVERGED_LOOSE
    assert stop(1e-7, flag=-7) is StopReason.TIME_LIMIT
    assert stop(1e-3) is stop(np.inf) is StopReason.NUMERICAL
    assert stop(1e-3, tol=1e-2) is StopReason.CONVERGED


def test_points_with_nan_are_never_an_answer(monkeypatch):
    stand_in(monkeypatch, lambda settings, x, value, flag: (np.full(len(x), np.nan), value, flag))
    monkeypatch.setattr(DenseProgram, "exact", lambda self, x, multipliers: [])
    found = solve(middle())
    assert (found.stop, found.x, found.duals) == (StopReason.NUMERICAL, None, None)


def test_without_daqp_the_message_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "daqp", None)
    with pytest.raises(BackendUnavailable, match="pip install daqp") as caught:
        solve(middle())
    assert isinstance(caught.value.__cause__, ImportError)


# -- through the core -----------------------------------------------------------------------


def test_registration():
    (info,) = relu_opt_native.relu_opt_backends()
    assert info.takes == {ConvexProgram, QuadraticProgram}
    assert info.features == {Feature.DUALS, Feature.WARM_START, Feature.TIME_LIMIT}


def test_what_is_not_small_is_refused():
    (info,) = relu_opt_native.relu_opt_backends()

    def program(k, m):
        return linear(np.zeros(k), csc_array((m, k)), lower=0)

    assert info.refuses(program(300, 1000)) == ""
    for k, m in ((301, 0), (1, 1001)):
        assert f"it has {k} variables and {m} rows" in info.refuses(program(k, m))
        with pytest.raises(UnsupportedProgram, match="at most 300 and 1000"):
            ro.solve_program(program(k, m), backend="native")
        assert ro.solve_program(program(k, m)).backend != "native"


def test_the_core_certifies_what_comes_back():
    program = middle()
    sol = ro.solve_program(program)
    assert (sol.backend, sol.verdict) == ("native", ro.Verdict.CERTIFIED)
    again = ro.solve_program(program.with_cost(1.01 * program.c), "native", warm_start=sol)
    assert again.require().stats["route"] == "as it is"
    flat = LinearProgram(c=[1.0, 2.0], A=[[1.0, 1.0]], row_lower=1.0, lower=0.0, offset=4.0)
    sol = ro.solve_program(flat, backend="native").require()
    assert sol.stats["route"] == "as a quadratic program"
    assert (sol.objective, sol.duals) == (5.0, pytest.approx([-1.0]))
