"""The mosek backend. Without a licence the model is proved by other solvers, from its files.

The optimum of a known program is put into a real task in MOSEK's convention, and MOSEK itself says
what it is worth (`getsolutioninfonew` needs no licence): so the signs of the multipliers and the
orders of the cones are checked by MOSEK. Real solves run where there is a licence.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import product

import cbf
import cvxpy as cp
import highspy
import mosek
import numpy as np
import pytest
from scipy.optimize import linprog, milp
from scipy.sparse import csc_array

import relu_opt as ro
import relu_opt_mosek
from relu_opt.errors import (
    BackendUnavailable,
    DataError,
    OptionError,
    SolveFailed,
    UnsupportedProgram,
)
from relu_opt.optimality import measure
from relu_opt.plugins.types import Feature, SolveOptions, State, StopReason
from relu_opt.program.conic import Cones, ConicProgram, split_rows, symmetric, triangle
from relu_opt.program.linear import LinearProgram, QuadraticProgram
from relu_opt.program.lowering import lower_to_conic
from relu_opt_mosek import licence, status, write_task
from relu_opt_mosek.backend import MosekBackend
from relu_opt_mosek.settings import parameters
from relu_opt_mosek.status import Outcome, settled
from relu_opt_mosek.task import build_task

FOUND = licence.probe()
needs_licence = pytest.mark.skipif(
    FOUND.state is not State.READY, reason=f"needs a MOSEK licence: {FOUND.reason}"
)
without_licence = pytest.mark.skipif(
    FOUND.state is State.READY, reason="there is a MOSEK licence, and this is about having none"
)
INF = np.inf


# Programs whose optimum is known: x and the multipliers are chosen, and c follows from them.


def known_linear(curved=False):
    """Each kind of row and of bound, each with each sign that its multiplier may have."""
    rng = np.random.default_rng(7)
    A = rng.standard_normal((9, 7))
    A[rng.random(A.shape) < 0.2] = 0.0
    x = np.array([0.5, -1.0, 2.0, 0.3, 1.2, 0.0, -4.0])
    # equations, upper, lower, range at its upper, range at its lower, inside a range, free
    y = np.array([1.5, -0.7, 2.0, -1.0, 0.4, -0.6, 0.0, 0.0, 0.3])
    below = np.array([0, 0, -INF, 0, -1, 0, -0.5, -INF, -INF])
    above = np.array([0, 0, 0, INF, 0, 2, 0.5, INF, 0])
    # at the lower, free, at the upper, fixed (twice), inside, at the upper of a negative range
    z = np.array([-0.8, 0.0, 0.9, 1.1, -1.3, 0.0, 0.2])
    lower = np.array([0.5, -INF, 1.0, 0.3, 1.2, -1.0, -INF])
    upper = np.array([INF, INF, 2.0, 0.3, 1.2, 1.0, -4.0])
    sides = {"row_lower": A @ x + below, "row_upper": A @ x + above, "lower": lower, "upper": upper}
    if not curved:
        return LinearProgram(c=-A.T @ y - z, A=A, offset=3.25, **sides), x, y
    L = rng.standard_normal((3, 7))
    P = L.T @ L  # of rank 3
    return QuadraticProgram(P=P, c=-P @ x - A.T @ y - z, A=A, offset=-1.5, **sides), x, y


def complementary(rng, order, rank):
    """Two positive semidefinite matrices whose product is zero."""
    Q = np.linalg.qr(rng.standard_normal((order, order)))[0]
    sizes = rng.uniform(0.5, 2.0, order)
    first, second = np.where(np.arange(order) < rank, [sizes, 0 * sizes], [0 * sizes, sizes])
    return (Q * first) @ Q.T, (Q * second) @ Q.T


def known_conic():
    """All cones, each binding; of the semidefinite ones also the matrices of the multipliers."""
    rng = np.random.default_rng(5)
    orders = (3, 1, 4)
    cones = Cones(2, 4, (3, 1, 4, 3), 2, orders)
    pairs = [complementary(rng, order, rank) for order, rank in zip(orders, (1, 0, 2), strict=True)]
    slack = np.r_[0.0, 0, 0, 1, 0, 3]
    slack = np.r_[slack, 5, -3, -4, 0, 2, -2, 0, 0, 1, 0, 1, 2, 1, np.exp(2), 0, 1, 1]
    dual = np.r_[1.0, -2, 1, 0, 2, 0]
    dual = np.r_[dual, 5, 3, 4, 3, 1, 1, 0, 0, 1, 0, -1, -1, 1, np.exp(-2), -2, -2, 2]
    slack = np.r_[slack, np.concatenate([triangle(S) for S, _ in pairs])]
    dual = np.r_[dual, np.concatenate([triangle(Z) for _, Z in pairs])]
    assert slack @ dual == pytest.approx(0.0, abs=1e-12)
    A = rng.standard_normal((cones.rows, 9))
    x = rng.standard_normal(9)
    program = ConicProgram(-A.T @ dual, csc_array(A), A @ x + slack, cones, offset=7.0)
    assert max(program.residuals(x, dual)) <= 1e-12
    return program, x, dual


def integers(free=False):
    """A mixed-integer program with ranges, an equation, and integers of either sign.

    `free` has an integer without bounds and one with a fractional bound, which HiGHS does not read
    from MPS files as MOSEK writes them.
    """
    rng = np.random.default_rng(2)
    A = rng.integers(-4, 6, (4, 6)).astype(float)
    A[3] = [1, 0, 0, 2, 0, 3]
    lower = np.array([-3.0, 0, 0, -2, -INF if free else -9, 0])
    upper = np.array([4.0, 1, INF, 2.5 if free else 2, INF if free else 9, 1.5])
    return LinearProgram(
        c=rng.integers(-5, 6, 6) + 0.25,
        A=np.r_[A, np.eye(6)[[2, 4]], -np.eye(6)[[4]]],
        row_lower=np.r_[-INF, -7.0, -6, 1.5, -INF, -INF, -INF],
        row_upper=np.r_[11.0, 13, INF, 1.5, 7.7, 8.8, 6.6],
        lower=lower,
        upper=upper,
        integrality=np.array([True, True, True, True, True, False]),
        offset=10.0,
    )


def milp_optimum(program):
    """By scipy."""
    A = program.A.toarray()
    found = milp(
        program.c,
        integrality=program.integrality.astype(int),
        bounds=(program.lower, program.upper),
        constraints=(A, program.row_lower, program.row_upper),
        options={"mip_rel_gap": 0.0},
    )
    assert found.status == 0
    return found.fun + program.offset


# The model, read back and solved by others.


def solve_mps(path):
    """The optimum of an MPS file, by HiGHS."""
    solver = highspy.Highs()
    solver.silent()
    solver.setOptionValue("mip_rel_gap", 0.0)
    assert solver.readModel(str(path)) == highspy.HighsStatus.kOk
    solver.run()
    assert solver.getModelStatus() == highspy.HighsModelStatus.kOptimal
    return solver.getObjectiveValue()


def solve_cbf(path, whole=False):
    """The optimum of a CBF file, by Clarabel, or by HiGHS if it has integers."""
    problem, x = cbf.read(path)
    if whole:
        problem.solve(solver=cp.HIGHS)
    else:
        tight = dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), 1e-9)
        problem.solve(solver=cp.CLARABEL, **tight)
    assert problem.status == cp.OPTIMAL
    return problem.value, x.value


@pytest.fixture
def written(tmp_path):
    """Writes a program to a file of some ending."""

    def write(program, ending):
        path = tmp_path / f"model{ending}"
        write_task(program, path)
        return path

    return write


def test_linear_programs_keep_their_optimum(written):
    program, x, y = known_linear()
    optimum = program.objective(x)
    assert program.dual_objective(x, y) == pytest.approx(optimum, abs=1e-12)
    rows, sides = program.A.toarray(), (program.row_lower, program.row_upper)
    finite = [np.isfinite(side) for side in sides]
    again = linprog(
        program.c,
        np.r_[rows[finite[1]], -rows[finite[0]]],
        np.r_[sides[1][finite[1]], -sides[0][finite[0]]],
        bounds=np.c_[program.lower, program.upper],
    )
    assert again.fun + program.offset == pytest.approx(optimum, rel=1e-9)
    assert solve_mps(written(program, ".mps")) == pytest.approx(optimum, rel=1e-9)
    assert solve_cbf(written(program, ".cbf"))[0] == pytest.approx(optimum, rel=1e-8)


def test_programs_without_rows_or_without_bounds(written):
    box = LinearProgram(c=[1.0, -2.0], lower=-3.0, upper=[4.0, 5.0])
    assert solve_mps(written(box, ".mps")) == pytest.approx(-13.0, abs=1e-12)
    free = LinearProgram(c=[1.0, 2.0], A=[[1.0, 2.0]], row_lower=-4.0)
    assert solve_cbf(written(free, ".cbf"))[0] == pytest.approx(-4.0, abs=1e-8)
    bare = QuadraticProgram(P=[[2.0, 1.0], [1.0, 2.0]], c=[-3.0, 0.0])
    assert solve_mps(written(bare, ".mps")) == pytest.approx(-3.0, abs=1e-6)


def test_one_row_of_each_format(written):
    """A program that every format of linear programs holds, in MOSEK's own words."""
    program = LinearProgram(c=[1.0, -2.0], A=[[1.0, 3.0]], row_upper=6.0, lower=0.0, offset=4.0)
    assert "x0 - 2 x1 + 4" in written(program, ".lp").read_text()
    assert "r0:  + x0 + 3 x1 <= 6" in written(program, ".lp").read_text()
    assert "r0 [-inf;6] + x0 + 3 x1" in written(program, ".ptf").read_text()
    assert solve_mps(written(program, ".mps")) == solve_mps(written(program, ".lp")) == 0.0
    assert solve_cbf(written(program, ".cbf"))[0] == pytest.approx(0.0, abs=1e-7)
    with mosek.Env() as env, env.Task() as task:
        task.readdata(str(written(program, ".task")))
        assert list(task.getc()) == [1.0, -2.0]
        assert task.getcfix() == 4.0


def test_quadratic_programs_keep_their_optimum(written):
    program, x, y = known_linear(curved=True)
    optimum = program.objective(x)
    assert program.dual_objective(x, y) == pytest.approx(optimum, rel=1e-12)
    assert solve_mps(written(program, ".mps")) == pytest.approx(optimum, rel=1e-6)


def test_mixed_integer_programs_keep_their_optimum(written):
    program = integers()
    optimum = milp_optimum(program)
    relaxed = LinearProgram(
        **{name: getattr(program, name) for name in ("c", "A", "row_lower", "row_upper")},
        lower=program.lower,
        upper=program.upper,
        offset=program.offset,
    )
    assert solve_mps(written(relaxed, ".mps")) < optimum - 0.1
    assert solve_mps(written(program, ".mps")) == pytest.approx(optimum, rel=1e-9)
    assert solve_cbf(written(program, ".cbf"), whole=True)[0] == pytest.approx(optimum, rel=1e-9)
    free = integers(free=True)
    value, _ = solve_cbf(written(free, ".cbf"), whole=True)
    assert value == pytest.approx(milp_optimum(free), rel=1e-9)


def test_conic_programs_keep_their_optimum(written):
    program, x, _ = known_conic()
    value, point = solve_cbf(written(program, ".cbf"))
    assert value == pytest.approx(program.objective(x), rel=1e-7)
    assert program.residuals(point, np.zeros(len(program.b)))[0] <= 1e-6


@pytest.mark.parametrize("kind", ["second_order", "exponential", "semidefinite"])
def test_each_cone_alone(written, kind):
    """Closed forms that another order of the rows would change."""
    c, offset = np.array([1.0]), 0.0
    if kind == "second_order":  # t ≥ ‖(3, 4)‖
        A, b, cones, optimum = [[-1.0], [0], [0]], [0, 3, 4], Cones(second_order=(3,)), 5.0
    elif kind == "exponential":  # 2 e^(3/2) ≤ t
        A, b, cones, optimum = [[0.0], [0], [-1]], [3, 2, 0], Cones(exponential=1), 2 * np.exp(1.5)
    else:  # M + tI ⪰ 0, M not invariant under any exchange of its entries
        M = np.array([[1.0, 2, 3], [2, 5, 0], [3, 0, -7]])
        A, b = -triangle(np.eye(3))[:, None], triangle(M)
        cones, optimum = Cones(semidefinite=(3,)), -np.linalg.eigvalsh(M)[0]
    program = ConicProgram(c, csc_array(A), np.array(b, float), cones, offset)
    assert solve_cbf(written(program, ".cbf"))[0] == pytest.approx(optimum, rel=1e-7)


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_training_programs_keep_their_optimum(written, make_program, independent_optimum, loss):
    program = make_program(loss=loss, intercept=True, n=10, p=5)
    lowering = lower_to_conic(program)
    value, _ = solve_cbf(written(lowering.program, ".cbf"))
    optimum = independent_optimum(program)
    assert value * lowering.units.cost == pytest.approx(optimum, rel=1e-6)


# Files that cannot be.


@pytest.mark.parametrize(
    ("make", "ending", "code"),
    [
        (known_linear, ".lp", 4002),  # ranges
        (lambda: known_linear(curved=True), ".cbf", 4010),
        (lambda: known_linear(curved=True), ".ptf", 4006),
        (known_conic, ".mps", 4012),
        (known_conic, ".lp", 4005),
    ],
)
def test_a_format_that_does_not_hold_the_program(tmp_path, make, ending, code):
    path = tmp_path / f"model{ending}"
    path.write_text("earlier")
    words = rf"error {code}, err_invalid_file.*\.task for every program"
    with pytest.raises(DataError, match=words) as caught:
        write_task(make()[0], path)
    assert isinstance(caught.value.__cause__, mosek.Error)
    assert caught.value.fields["code"] == code
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    assert path.read_text() == "earlier"
    write_task(make()[0], tmp_path / "model.task")


def test_places_and_programs_that_cannot_be_written(tmp_path, make_program):
    program, _, _ = known_linear()
    for name in ("model.foo", "model", "model.MPS"):
        with pytest.raises(DataError, match=r"which format.*\.mps for linear"):
            write_task(program, tmp_path / name)
    with pytest.raises(DataError, match="folder that exists"):
        write_task(program, tmp_path / "nowhere" / "model.mps")
    assert not list(tmp_path.iterdir())
    with pytest.raises(UnsupportedProgram, match=r"ConvexProgram.*lower_to_conic"):
        write_task(make_program(), tmp_path / "model.cbf")


# Retrieval: MOSEK's vectors in a real task, its statuses pretended.


def halves(values):
    """Of multipliers in our sign, those of the lower and of the upper bounds, as MOSEK has them."""
    return np.maximum(-values, 0.0), np.maximum(values, 0.0)


def put_point(task, which, program, x, duals):
    """The optimum in MOSEK's convention.

    Its manual: Px + c = A'y + slx - sux + F'ydot and y = slc - suc, all slc, suc, slx, sux >= 0
    and ydot in the dual cone. Ours: Px + c + A'y + z = 0. So y is minus ours, suc is our y where
    positive and slc where negative; and as F = -A, ydot is ours, in MOSEK's order of the entries.
    """
    task.putxx(which, x)
    z = np.zeros(len(x))
    rows = duals
    if isinstance(program, ConicProgram):
        parts = split_rows(duals, program.cones)
        rows = np.r_[parts.zero, parts.nonnegative]
        pieces = [*parts.second_order, *(part[::-1] for part in parts.exponential)]
        for part in parts.semidefinite:
            Z = symmetric(part)
            order = len(Z)
            pieces.append(
                [
                    Z[i, j] * (1.0 if i == j else np.sqrt(2.0))
                    for j in range(order)
                    for i in range(j, order)
                ]
            )
        for cone, piece in enumerate(pieces):
            task.putaccdoty(which, cone, np.array(piece))
        activity = (program.A @ x)[: len(rows)]
    else:
        z = program.bound_multipliers(x, duals)
        activity = program.A @ x
    task.putxc(which, activity)
    task.puty(which, -rows)
    for put, part in zip((task.putslc, task.putsuc), halves(rows), strict=True):
        put(which, part)
    for put, part in zip((task.putslx, task.putsux), halves(z), strict=True):
        put(which, part)


KNOWN = {
    "linear": (known_linear, mosek.soltype.bas),
    "quadratic": (lambda: known_linear(curved=True), mosek.soltype.itr),
    "conic": (known_conic, mosek.soltype.itr),
}


@pytest.mark.parametrize("name", KNOWN)
def test_mosek_itself_calls_the_known_optimum_optimal(name):
    program, x, duals = KNOWN[name][0]()
    which = mosek.soltype.itr
    with mosek.Env() as env, build_task(env, program) as task:
        put_point(task, which, program, x, duals)
        primal, *violations, dual, dcon, dvar, dbar, dcone, dacc = task.getsolutioninfonew(which)
        assert max(*violations, dcon, dvar, dbar, dcone, dacc) <= 1e-12
        assert primal == pytest.approx(program.objective(x), rel=1e-12)
        assert dual == pytest.approx(primal, rel=1e-12)
        put_point(task, which, program, x, -duals)
        assert max(task.getsolutioninfonew(which)[-5:]) > 0.1


@pytest.fixture
def pretend(monkeypatch):
    """A licence, and answers of MOSEK: each run of `optimize` takes the next one."""

    def install(*runs):
        left, now = list(runs), {}

        def optimize(task):
            run = left.pop(0)
            now.clear()
            if run.which is not None:
                now[run.which] = run
            run.fill(task)
            return mosek.rescode(run.termination)

        patch = monkeypatch.setattr
        patch(mosek.Env, "checkoutlicense", lambda env, feature: None)
        patch(mosek.Task, "optimize", optimize)
        patch(mosek.Task, "solutiondef", lambda task, which: which in now)
        patch(mosek.Task, "getprosta", lambda task, which: mosek.prosta(now[which].problem))
        patch(mosek.Task, "getsolsta", lambda task, which: mosek.solsta(now[which].solution))
        return left

    return install


@dataclass(frozen=True)
class Run:
    """What MOSEK is to answer; without `which`, that it has no vectors."""

    which: object = None
    problem: str = "unknown"
    solution: str = "unknown"
    termination: str = "ok"
    fill: Callable[[object], None] = lambda task: None


ITR, BAS, ITG = mosek.soltype.itr, mosek.soltype.bas, mosek.soltype.itg


def solve(program, **options):
    known = ("max_iter", "mip_rel_gap", "write_to")
    extra = {name: options.pop(name) for name in known if name in options}
    return MosekBackend().solve(program, SolveOptions(**options, extra=extra))


@pytest.mark.parametrize("name", KNOWN)
def test_points_and_multipliers_come_back_in_our_signs_and_order(pretend, name):
    make, which = KNOWN[name]
    program, x, duals = make()
    fill = partial(put_point, which=which, program=program, x=x, duals=duals)
    pretend(Run(which, "prim_and_dual_feas", "optimal", fill=fill))
    solution = ro.solve_program(program, backend="mosek")
    np.testing.assert_array_equal(solution.x, x)
    np.testing.assert_allclose(solution.duals, duals, atol=1e-15)
    assert solution.require().stop is StopReason.CONVERGED
    assert abs(solution.rel_gap) <= 1e-12
    assert solution.stats["claimed_objective"] == pytest.approx(program.objective(x), rel=1e-12)
    raw_status = "rescode.ok, prosta.prim_and_dual_feas, solsta.optimal"
    assert solution.stats["raw_status"] == raw_status
    stats = solution.stats["backend_stats"]
    assert stats["mosek"] == FOUND.version
    assert stats["solution"] == repr(which)


def test_programs_with_integers_have_a_bound_and_no_duals(pretend, monkeypatch):
    program = integers()
    x = np.array([1.0, 0, 2, 0, -3, 0.5])
    numbers = {"mio_obj_bound_defined": 1, "mio_obj_bound": -12.5, "mio_num_branch": 7}
    monkeypatch.setattr(mosek.Task, "getintinf", lambda task, item: numbers.get(repr(item), 0))
    monkeypatch.setattr(mosek.Task, "getdouinf", lambda task, item: numbers[repr(item)])
    pretend(
        Run(ITG, "prim_feas", "integer_optimal", fill=lambda task: task.putxx(ITG, x)),
        Run(ITG, "prim_feas", "prim_feas", "trm_max_time", lambda task: task.putxx(ITG, x)),
        Run(ITG, "unknown", "unknown", "trm_max_time", lambda task: task.putxx(ITG, x)),
        Run(termination="trm_max_time"),
        Run(ITG, "prim_infeas", "unknown"),
    )
    best = solve(program)
    assert best.stop is StopReason.CONVERGED
    assert best.objective == pytest.approx(program.objective(x), rel=1e-12)
    assert best.stats["nodes"] == 7
    late = solve(program, time_limit=5.0)
    assert late.stop is StopReason.TIME_LIMIT
    for found in (best, late):
        np.testing.assert_array_equal(found.x, x)
        assert found.duals is None
        assert found.bound == -12.5
    for _ in range(2):  # no incumbent: what the vector holds is no point
        empty = solve(program, time_limit=5.0)
        assert (empty.x, empty.objective, empty.stop) == (None, None, StopReason.TIME_LIMIT)
        assert empty.bound == -12.5
    numbers["mio_obj_bound"] = INF
    none = solve(program)
    assert (none.x, none.bound, none.stop) == (None, None, StopReason.INFEASIBLE)


def test_a_limit_hands_on_the_last_point(pretend):
    program, x, duals = known_linear(curved=True)
    fill = partial(put_point, which=ITR, program=program, x=x + 0.1, duals=duals)
    pretend(*(Run(ITR, "unknown", "unknown", why, fill) for why in ("trm_max_time", "trm_stall")))
    found = solve(program, time_limit=5.0)
    assert found.stop is StopReason.TIME_LIMIT
    assert found.raw_status == "rescode.trm_max_time, prosta.unknown, solsta.unknown"
    np.testing.assert_array_equal(found.x, x + 0.1)
    np.testing.assert_allclose(found.duals, duals, atol=1e-15)
    assert found.bound is None
    assert solve(program).stop is StopReason.NUMERICAL


def test_of_two_solutions_the_complete_one_is_read(pretend, monkeypatch):
    program, x, duals = known_linear()
    states = {}
    fill = lambda task: [  # noqa: E731
        put_point(task, which, program, x + shift, duals) for which, shift in ((BAS, 0), (ITR, 1))
    ]
    pretend(*(Run(ITR, fill=fill) for _ in range(3)))
    monkeypatch.setattr(mosek.Task, "solutiondef", lambda task, which: which in states)
    monkeypatch.setattr(mosek.Task, "getprosta", lambda task, which: mosek.prosta.unknown)
    monkeypatch.setattr(mosek.Task, "getsolsta", lambda task, which: mosek.solsta(states[which]))
    for basic, interior, expected in (
        ("optimal", "optimal", x),
        ("unknown", "optimal", x + 1),
        ("unknown", "unknown", x + 1),
    ):
        states.update({BAS: basic, ITR: interior})
        np.testing.assert_array_equal(solve(program).x, expected)


def test_certificates_are_no_points(pretend):
    program, x, duals = known_linear()
    fill = partial(put_point, which=ITR, program=program, x=x, duals=duals)
    pretend(
        Run(ITR, "prim_infeas", "prim_infeas_cer", fill=fill),
        Run(ITR, "ill_posed", "prim_illposed_cer", fill=fill),
    )
    for stop in (StopReason.INFEASIBLE, StopReason.NUMERICAL):
        found = solve(program)
        assert found.stop is stop
        assert found.x is found.duals is found.objective is None


@pytest.mark.parametrize(
    ("second", "stop"),
    [
        (Run(ITG, "prim_feas", "integer_optimal"), StopReason.UNBOUNDED),
        (Run(ITG, "prim_infeas", "unknown"), StopReason.INFEASIBLE),
        (Run(termination="trm_max_time"), StopReason.TIME_LIMIT),
        (Run(ITG, "prim_infeas_or_unbounded"), StopReason.UNKNOWN),
    ],
)
@pytest.mark.parametrize("ray", [False, True])
def test_of_infeasible_and_unbounded_it_finds_out_which(pretend, second, stop, ray):
    """A ray alone does not say that there is a point: the program is solved without objective."""

    def check(task):
        assert not np.any(task.getc())
        assert task.getnumqobjnz() == 0
        assert 0 < task.getdouparam(mosek.dparam.optimizer_max_time) <= 5.0

    first = Run(ITG, "prim_infeas_or_unbounded", "unknown")
    program = integers()
    if ray:
        first, program = Run(ITR, "dual_infeas", "dual_infeas_cer"), known_linear(curved=True)[0]
    left = pretend(first, replace(second, fill=check))
    found = solve(program, time_limit=5.0)
    assert not left
    assert found.stop is stop
    assert found.x is found.duals is found.objective is found.bound is None
    assert found.raw_status.count("rescode.") == 2
    assert "; without the objective: rescode." in found.raw_status


def test_points_with_nan_are_not_handed_on(pretend):
    program, x, duals = known_linear()

    def fill(task):
        put_point(task, BAS, program, np.where(x > 1, np.nan, x), duals)

    pretend(Run(BAS, "prim_and_dual_feas", "optimal", fill=fill))
    found = solve(program)
    assert found.x is None
    np.testing.assert_allclose(found.duals, duals, atol=1e-15)


def test_programs_without_rows_have_empty_duals(pretend):
    program = QuadraticProgram(P=[[2.0]], c=[-2.0], lower=0.0)
    pretend(Run(ITR, "prim_and_dual_feas", "optimal", fill=lambda t: t.putxx(ITR, [1.0])))
    found = solve(program)
    assert found.duals.shape == (0,)
    assert found.objective == -1.0


def test_conic_programs_without_curved_cones_are_linear(pretend):
    program = ConicProgram(
        np.ones(2), csc_array([[1.0, -1.0], [-1.0, 0.0]]), np.array([1.0, 0.0]), Cones(1, 1)
    )
    x, duals = np.array([0.0, -1.0]), np.array([1.0, 2.0])
    assert max(program.residuals(x, duals)) == 0.0
    fill = partial(put_point, which=BAS, program=program, x=x, duals=duals)
    pretend(Run(BAS, "prim_and_dual_feas", "optimal", fill=fill))
    np.testing.assert_array_equal(solve(program).duals, duals)


# Statuses.


def names(members):
    return {repr(member) for member in members}


def test_statuses_are_mapped_in_full_and_only_optimal_converges():
    terminations = {n for n in dir(mosek.rescode) if n.startswith("trm_")}
    assert terminations <= set(status.TERMINATIONS)  # some are of later versions
    assert set(status.PROBLEMS) == names(mosek.prosta.members())
    assert {*status.CERTIFICATES, *status.POINTS} == names(mosek.solsta.members())
    for how, what, which in product(
        ("ok", *status.TERMINATIONS), status.PROBLEMS, names(mosek.solsta.members())
    ):
        found = Outcome(how, what, which)
        converged = which == "integer_optimal" or (which == "optimal" and how == "ok")
        assert (found.stop is StopReason.CONVERGED) is converged
        if found.stop is StopReason.INFEASIBLE or found.may_be_infeasible:
            assert not found.has_point(whole=False)
            assert not found.has_point(whole=True)
    for strange in (Outcome("new"), Outcome("ok", "new"), Outcome("ok", "unknown", "new")):
        assert strange.stop is StopReason.UNKNOWN
        assert not strange.has_point(whole=False)
    assert Outcome("trm_new", "prim_feas", "optimal").stop is StopReason.UNKNOWN


def test_why_it_stopped():
    feasible = "prim_and_dual_feas"
    assert Outcome("trm_stall", feasible, "optimal").stop is StopReason.CONVERGED_LOOSE
    assert Outcome("trm_max_time", feasible, "optimal").stop is StopReason.TIME_LIMIT
    assert Outcome("trm_stall", "prim_infeas", "prim_infeas_cer").stop is StopReason.INFEASIBLE
    assert Outcome("trm_max_iterations").stop is StopReason.ITERATION_LIMIT
    assert Outcome("trm_user_callback").stop is StopReason.INTERRUPTED
    assert Outcome("ok", "prim_infeas").stop is StopReason.INFEASIBLE
    assert Outcome("ok", "ill_posed").stop is StopReason.NUMERICAL
    assert Outcome("trm_max_time", "prim_infeas_or_unbounded").may_be_infeasible is False
    assert settled(StopReason.UNBOUNDED) is StopReason.UNKNOWN
    assert settled(StopReason.NUMERICAL) is StopReason.NUMERICAL


# Options, errors, output.


@pytest.mark.parametrize("tol", [1e-300, 1e-8, 1e-4, 1e3])
@pytest.mark.parametrize("make", [known_linear, known_conic])
def test_mosek_takes_every_parameter(tol, make):
    program = make()[0]
    extra = {"max_iter": 7, "mip_rel_gap": None}
    values = parameters(program, SolveOptions(tol=tol, threads=2, seed=2**40, extra=extra))
    with mosek.Env() as env, build_task(env, program) as task:
        for name, value in values.items():
            real = name.startswith("MSK_DPAR")
            (task.putnadouparam if real else task.putnaintparam)(name, value)
        get = task.getdouparam
        gap = get(mosek.dparam.intpnt_co_tol_rel_gap)
        assert gap == min(1.0, max(1e-12, 0.1 * tol))
        assert get(mosek.dparam.intpnt_tol_rel_gap) == get(mosek.dparam.intpnt_qo_tol_pfeas) == gap
        assert get(mosek.dparam.mio_tol_rel_gap) == tol
        assert 1e-9 <= get(mosek.dparam.mio_tol_abs_relax_int) <= 1e-5
        assert task.getintparam(mosek.iparam.intpnt_max_iterations) == 7
        assert task.getintparam(mosek.iparam.num_threads) == 2


def test_options_reach_the_task(pretend, tmp_path):
    program = integers()

    def check(task):
        assert task.getdouparam(mosek.dparam.mio_tol_rel_gap) == 0.05
        assert 1.0 < task.getdouparam(mosek.dparam.optimizer_max_time) <= 2.0
        assert task.getintparam(mosek.iparam.mio_seed) == 3

    left = pretend(Run(ITG, "prim_infeas", fill=check))
    solve(program, mip_rel_gap=0.05, time_limit=2.0, seed=3)
    assert not left


def test_iterations_of_programs_with_integers_are_refused():
    with pytest.raises(OptionError, match="max_iter limits the interior-point method") as caught:
        solve(integers(), max_iter=3)
    assert caught.value.fields["option"] == "max_iter"


def test_unknown_options_are_refused(pretend):
    pretend()
    with pytest.raises(OptionError, match="mean 'mip_rel_gap'"):
        ro.solve_program(integers(), backend="mosek", options={"mip_gap": 0.1})


def test_another_error_of_mosek_is_chained():
    """MOSEK refuses costs above 1e16 as it takes them."""
    program = LinearProgram(c=[1e17], lower=0.0)
    with pytest.raises(SolveFailed, match=r"error 1375, err_huge_c") as caught:
        solve(program)
    assert isinstance(caught.value.__cause__, mosek.Error)
    assert (caught.value.fields["code"], caught.value.fields["name"]) == (1375, "err_huge_c")


def test_quiet_means_quiet_and_verbose_does_not(pretend, capfd, tmp_path):
    program, _, _ = known_conic()

    def talk(task):
        task.analyzeproblem(mosek.streamtype.log)

    pretend(*(Run(ITR, "prim_infeas", "prim_infeas_cer", fill=talk) for _ in range(2)))
    solve(program, write_to=str(tmp_path / "model.cbf"))
    assert capfd.readouterr() == ("", "")
    solve(program, verbose=True)
    assert "Analyzing the problem" in capfd.readouterr().out


# The licence.


@without_licence
def test_without_a_licence_it_is_listed_with_the_reason(capfd):
    (listed,) = [each for each in ro.backends() if each.name == "mosek"]
    assert listed.availability.state is State.NO_LICENCE
    assert "1008, err_missing_license_file" in listed.availability.reason
    assert "A license cannot be located" in listed.availability.reason
    assert listed.availability.version == FOUND.version
    assert not listed.info.free
    assert capfd.readouterr() == ("", "")


@without_licence
def test_without_a_licence_it_is_refused_with_the_fix(make_program):
    for call, program in ((ro.solve, make_program()), (ro.solve_program, known_linear()[0])):
        with pytest.raises(BackendUnavailable, match=r"1008.*MOSEKLM_LICENSE_FILE") as caught:
            call(program, backend="mosek")
        assert caught.value.fields["state"] is State.NO_LICENCE
        assert "err_missing_license_file" in caught.value.fields["reason"]


@without_licence
def test_without_a_licence_the_file_is_there_all_the_same(tmp_path, capfd):
    program, x, _ = known_linear()
    path = tmp_path / "model.mps"
    with pytest.raises(BackendUnavailable, match=r"no licence.*error 1008.*write_task") as caught:
        solve(program, write_to=str(path))
    assert isinstance(caught.value.__cause__, mosek.Error)
    assert caught.value.fields["state"] is State.NO_LICENCE
    assert caught.value.fields["code"] == 1008
    assert "mosek.lic" in caught.value.fields["words"]
    assert solve_mps(path) == pytest.approx(program.objective(x), rel=1e-9)
    capfd.readouterr()  # HiGHS has a banner
    with pytest.raises(BackendUnavailable):
        solve(program)
    assert capfd.readouterr() == ("", "")
    assert [each.name for each in tmp_path.iterdir()] == ["model.mps"]


@pytest.mark.parametrize(
    ("code", "state"),
    [
        ("err_license_expired", State.NO_LICENCE),
        ("err_license_server", State.NO_LICENCE),
        ("err_license_version", State.NO_LICENCE),
        ("err_license_max", State.NO_LICENCE),
        ("err_platform_not_licensed", State.NO_LICENCE),
        ("err_space", State.BROKEN),
    ],
)
def test_probe_tells_other_faults(monkeypatch, code, state):
    def refuse(env, feature):
        raise mosek.Error(getattr(mosek.rescode, code), "")

    monkeypatch.setattr(mosek.Env, "checkoutlicense", refuse)
    found = relu_opt_mosek.probe()
    assert found.state is state
    assert f"{int(getattr(mosek.rescode, code))}, {code}: " in found.reason
    assert len(found.reason.rpartition(": ")[2]) > 5  # MOSEK's words


def test_probe_with_a_licence(pretend):
    pretend()
    assert relu_opt_mosek.probe() == ro.plugins.Availability(State.READY, "", FOUND.version)


def test_probe_without_the_package_and_with_a_broken_one(monkeypatch):
    def broken():
        raise ImportError("libmosek64.so.11.2: cannot open shared object file")

    monkeypatch.setattr(licence, "library", broken)
    found = relu_opt_mosek.probe()
    assert found.state is State.BROKEN
    assert "ImportError: libmosek64.so" in found.reason
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    found = relu_opt_mosek.probe()
    assert found.state is State.NOT_INSTALLED
    assert "mosek is not installed" in found.reason


def test_registration():
    (info,) = relu_opt_mosek.relu_opt_backends()
    assert info.name == "mosek"
    assert info.takes == {LinearProgram, QuadraticProgram, ConicProgram}
    assert info.features == {
        Feature.INTEGER, Feature.SOC, Feature.EXP, Feature.PSD, Feature.DUALS, Feature.TIME_LIMIT
    }  # fmt: skip
    assert {option.name for option in info.options} == {"max_iter", "mip_rel_gap", "write_to"}
    assert info.install_hint.startswith("pip install 'relu-opt[mosek]'")
    assert "~/mosek/mosek.lic" in info.install_hint
    assert not info.free
    assert isinstance(info.load(), MosekBackend)


def test_nothing_imports_mosek_before_it_is_used():
    script = (
        "import sys, relu_opt, relu_opt_mosek; [info] = relu_opt_mosek.relu_opt_backends(); "
        "info.load(); print('mosek' in sys.modules); info.probe(); print('mosek' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("False\nTrue\n", "")


# Real solves.


@needs_licence
@pytest.mark.parametrize("name", KNOWN)
def test_solves(name):
    program, x, _ = KNOWN[name][0]()
    solution = ro.solve_program(program, backend="mosek", tol=1e-6).require()
    assert solution.objective == pytest.approx(program.objective(x), rel=1e-5)
    assert measure(program, solution.x, solution.duals).dual <= 1e-5


@needs_licence
@pytest.mark.parametrize("free", [False, True])
def test_solves_programs_with_integers(free):
    program = integers(free)
    solution = ro.solve_program(program, backend="mosek")
    assert solution.objective == pytest.approx(milp_optimum(program), rel=1e-7)
    assert solution.claimed_bound == pytest.approx(solution.objective, rel=1e-7)
    assert solution.stop is StopReason.CONVERGED


@needs_licence
@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_trains(make_program, independent_optimum, loss):
    program = make_program(loss=loss, intercept=True, n=10, p=5)
    solution = ro.solve(program, backend="mosek", tol=1e-6)
    assert solution.objective == pytest.approx(independent_optimum(program), rel=1e-5)


@needs_licence
@pytest.mark.parametrize("whole", [False, True])
def test_says_infeasible_and_unbounded(whole):
    marks = {"integrality": np.array([True, True])} if whole else {}
    program = LinearProgram(c=[-1.0, 0.0], A=[[1.0, -1.0]], row_upper=0.5, lower=0.0, **marks)
    assert solve(program).stop is StopReason.UNBOUNDED
    upper = {"upper": np.array([INF, -1.0]), "lower": np.array([0.0, -2.0])}
    nothing = LinearProgram(c=[-1.0, 0.0], A=[[1.0, -1.0]], row_upper=0.5, **upper, **marks)
    assert solve(nothing).stop is StopReason.INFEASIBLE


@needs_licence
def test_stops_at_limits():
    program, _, _ = known_conic()
    found = solve(program, max_iter=2)
    assert found.stop is StopReason.ITERATION_LIMIT
    assert found.stats["iterations"] <= 2
    assert np.isfinite(found.x).all()
