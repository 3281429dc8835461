"""What an answer to a linear, quadratic or conic program is worth."""

from __future__ import annotations

import pickle
from fractions import Fraction

import numpy as np
import pytest
from scipy.optimize import linprog
from scipy.sparse import csc_array, diags_array

import relu_opt as ro
from relu_opt.errors import DataError, SolveFailed
from relu_opt.optimality import Form, measure, prove
from relu_opt.optimality.implied import implied_bounds
from relu_opt.optimality.least_squares import shortest
from relu_opt.optimality.measures import lower_bound
from relu_opt.optimality.rays import (
    descent_for_ever,
    elastic,
    proves_infeasible,
    proves_unbounded,
    recession,
)
from relu_opt.plugins.near_first import near_first
from relu_opt.plugins.types import RawSolution, SolveOptions, StopReason
from relu_opt.program.convexity import dent
from relu_opt.program.far_bounds import without_far_bounds
from relu_opt.proof.verdict import Verdict

BACKENDS = ("auto", "native", "highs", "clarabel", "cvxpy")
FAR = (1e6, 1e9, 1e12, 1e15)


def half_norm(far=np.inf, rows=1):
    """min ½‖x‖², x₁ + x₂ ≥ 1: 0.25 at (½, ½)."""
    A = np.ones((rows, 2))
    return ro.QuadraticProgram(P=np.eye(2), c=np.zeros(2), A=A, row_lower=1.0, upper=far)


# -- sizes ---------------------------------------------------------------------


@pytest.mark.parametrize("far", FAR)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_bound_that_holds_nothing_changes_nothing(backend, far):
    found = ro.solve_program(half_norm(far), backend).require()
    assert found.objective == pytest.approx(0.25, rel=1e-8)


@pytest.mark.parametrize("far", FAR)
def test_zero_is_no_answer_beside_a_far_bound(far):
    zero = np.zeros(2)
    found = prove(half_norm(far), zero, np.zeros(1), 1e-8)
    assert found.verdict is Verdict.NOT_CERTIFIED
    assert found.residuals.primal > 0.1


@pytest.mark.parametrize("far", FAR)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_contradiction_beside_a_far_bound(backend, far):
    program = ro.LinearProgram(
        c=[0.0, 0.0],
        A=[[1.0, 1.0], [1.0, 1.0]],
        row_lower=[1.0, -np.inf],
        row_upper=[np.inf, 0.0],
        upper=far,
    )
    with pytest.raises(SolveFailed) as caught:
        ro.solve_program(program, backend)
    assert caught.value.fields["stop"] is StopReason.INFEASIBLE
    assert caught.value.fields["proved"]


def test_units_are_those_of_each_variable():
    """A capacitance of picofarads beside a current: what meets the one may miss the other."""
    program = ro.LinearProgram(c=[1.0, 1.0], A=np.eye(2), row_lower=[1e-12, 1.0], upper=1e9)
    assert ro.solve_program(program).require().x == pytest.approx([1e-12, 1.0], rel=1e-9)
    missed = measure(program, np.array([0.0, 1.0]), np.array([-1.0, -1.0]))
    assert missed.primal == pytest.approx(0.5)


def test_a_large_x_excuses_nothing():
    """The rows' own sizes count, and not those of a point that is far away."""
    program = ro.LinearProgram(
        c=np.zeros(3), A=[[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]], row_lower=[1.0, -np.inf]
    )
    assert measure(program, np.array([1e12, -1e12 + 0.5, 1e12]), np.zeros(2)).primal > 0.1


def test_rounding_in_the_data_is_no_size():
    """Sides and entries of 10⁻¹⁷, where zero was meant, make no variable tiny."""
    A = [[1.0, 1.0, 1e-17], [1.0, -1.0, 2e-17], [3e-17, 0.0, 1.0]]
    program = ro.LinearProgram(
        c=[0.0, 0.0, 1.0],
        A=A,
        row_lower=[1.0, 1e-17, -1e-17],
        row_upper=[1.0, 1e-17, np.inf],
        lower=0.0,
    )
    assert (Form.of(program).units > 1e-3).all()
    assert ro.solve_program(program).require().objective == pytest.approx(0.0, abs=1e-12)


def test_what_is_left_of_a_sum_is_no_side():
    """Rows of several terms with sides of 10⁻¹⁵ and 10⁻¹², and a bound of 10⁻¹⁶, beside ones."""
    program = ro.LinearProgram(
        c=[1.0, 1.0, 1.0],
        A=[[1.0, -0.3, 0.0], [0.0, 0.7, -1.0], [1.0, 1.0, 1.0]],
        row_lower=[4e-16, 1e-12, 1.0],
        row_upper=[4e-16, 1e-12, np.inf],
        lower=[0.0, 0.0, 2e-16],
    )
    assert (Form.of(program).units > 0.1).all()


def test_sides_that_are_meant_are_sizes():
    """One term and 10⁻¹² is no rounding, and neither is a program whose sides are all small."""
    alone = ro.LinearProgram(c=[1.0, 1.0], A=np.eye(2), row_lower=[1e-12, 1.0])
    np.testing.assert_allclose(Form.of(alone).units, [1e-12, 1.0])
    small = ro.LinearProgram(c=[1.0, 1.0], A=[[1.0, 1.0], [1.0, -1.0]], row_lower=[1e-14, 3e-15])
    np.testing.assert_allclose(Form.of(small).units, 3e-15)


def thirds(side, far):
    """3x₁ − x₂ − x₃ = side, from far out on a face that has no end."""
    program = ro.LinearProgram(
        c=[3.0, -1.0, -1.0], A=[[3.0, -1.0, -1.0]], row_lower=side, row_upper=side
    )
    x = np.array([0.0, far / 7, far / 11])
    x[0] = (side + x[1] + x[2]) / 3
    return program, x


@pytest.mark.parametrize("far", [1e3, 1e5, 3e6])
def test_rows_are_summed_exactly_where_rounding_matters(far):
    """No double is nearer to the row, and what a double is off by is no violation."""
    program, x = thirds(0.1, far)
    assert prove(program, x, np.array([-1.0]), 1e-8).verdict is Verdict.CERTIFIED
    off = x + np.array([1e-8, 0.0, 0.0])
    assert measure(program, off, np.array([-1.0])).primal > 1e-9


@pytest.mark.parametrize("far", [1e9, 1e12, 1e15])
def test_a_point_is_not_excused_for_being_far_out(far):
    """Doubles out there miss the row by more than a share of its own size."""
    program, x = thirds(0.1, far)
    exact = Fraction(3) * Fraction(x[0]) - Fraction(x[1]) - Fraction(x[2]) - Fraction(0.1)
    missing = abs(float(exact)) / (0.1 + Form.of(program).units @ [3.0, 1.0, 1.0])
    measured = measure(program, x, np.array([-1.0])).primal
    assert measured == pytest.approx(missing, abs=2e-9)


def test_sums_beyond_doubles_are_no_answer():
    program = ro.LinearProgram(c=np.zeros(2), A=[[10.0, -10.0]], row_lower=1.0)
    found = prove(program, np.array([1e308, 1e308]), np.zeros(1), 1e-8)
    assert found.verdict is Verdict.NOT_CERTIFIED


def test_violations_are_worth_their_multipliers():
    program = half_norm()
    found = measure(program, np.array([0.5, 0.5 - 2e-9]), np.array([-0.5]))
    assert found.worth == pytest.approx(0.5 * 2e-9 / 0.25, rel=1e-5)
    assert measure(program, np.array([0.5, 0.5]), np.array([-0.5])).worth == 0.0


@pytest.mark.parametrize("scale", [2.0**-40, 1.0, 2.0**40])
def test_units_of_cost_and_rows_change_no_verdict(scale):
    rng = np.random.default_rng(4)
    A, x = rng.integers(-4, 5, (3, 5)).astype(float), rng.integers(1, 5, 5).astype(float)
    y = np.array([2.0, -1.0, 0.0])
    c = -(A.T @ y)
    program = ro.LinearProgram(
        c=scale * c, A=scale * A, row_lower=scale * (A @ x), row_upper=scale * (A @ x), lower=0.0
    )
    found = measure(program, x, y)
    assert found.primal == 0.0
    assert abs(found.rel_gap) <= 1e-14


@pytest.mark.parametrize("infinite", [1e20, 1e30, np.inf])
@pytest.mark.parametrize("backend", BACKENDS)
def test_what_counts_as_infinite(backend, infinite):
    program = ro.LinearProgram(
        c=[1.0, -3.0],
        A=[[1.0, 1.0], [1.0, -1.0], [-1.0, 2.0]],
        row_lower=[-1.0, -3.0, -infinite],
        row_upper=[0.3, 2.0, 5.0],
        lower=-infinite,
        upper=infinite,
    )
    assert np.isinf(program.upper).all()
    assert ro.solve_program(program, backend).require().objective == pytest.approx(-6.3)


@pytest.mark.parametrize("box", [1e8, 1e10, 1e12])
@pytest.mark.parametrize("backend", BACKENDS)
def test_wide_boxes(backend, box):
    program = ro.LinearProgram(
        c=[1.0, -3.0],
        A=[[1.0, 1.0], [1.0, -1.0], [-1.0, 2.0]],
        row_lower=[-1.0, -3.0, -np.inf],
        row_upper=[0.3, 2.0, 5.0],
        lower=-box,
        upper=box,
    )
    assert ro.solve_program(program, backend).require().objective == pytest.approx(-6.3)


# -- the bound -----------------------------------------------------------------


def test_the_bound_is_below_every_feasible_point():
    """Random multipliers of random programs, against HiGHS by way of scipy and random points."""
    rng = np.random.default_rng(0)
    shown = 0
    for _ in range(200):
        m, k = 3, 4
        A, x = rng.normal(size=(m, k)), rng.random(k)
        program = ro.LinearProgram(
            c=rng.normal(size=k), A=A, row_lower=A @ x - rng.random(m), lower=0.0, upper=2.0
        )
        form = Form.of(program)
        bound, _, _ = lower_bound(form, np.zeros(k), -rng.random(m))
        optimum = linprog(program.c, -A, -program.row_lower, bounds=(0, 2)).fun
        assert bound <= optimum + 1e-12
        shown += np.isfinite(bound)
    assert shown == 200


def test_stray_multipliers_are_charged_at_implied_bounds():
    """x₁ + x₂ ≤ 3 and x ≥ 0 imply x ≤ 3: −1 is a bound of −3, and without the row there is none."""
    row = ro.LinearProgram(c=[-1.0, 0.0], A=[[1.0, 1.0]], row_upper=3.0, lower=0.0)
    bound, stray, _ = lower_bound(Form.of(row), np.zeros(2), np.zeros(1))
    assert -3.0 - 1e-7 <= bound <= -3.0
    assert stray == 0.5  # of its cost, and of the price that its row may have
    free = ro.LinearProgram(c=[-1.0, 0.0], A=[[1.0, 1.0]], row_lower=3.0, lower=0.0)
    assert lower_bound(Form.of(free), np.zeros(2), np.zeros(1))[0] == -np.inf


def test_implied_bounds_hold_at_every_feasible_point():
    rng = np.random.default_rng(1)
    for _ in range(50):
        A = rng.integers(-3, 4, (4, 3)).astype(float)
        points = rng.uniform(-1, 1, (200, 3))
        sides = np.quantile(points @ A.T, 0.8, axis=0)
        program = ro.LinearProgram(c=np.zeros(3), A=A, row_upper=sides, lower=-1.0, upper=1.0)
        lower, upper = implied_bounds(Form.of(program))
        inside = points[(points @ A.T <= sides).all(axis=1)]
        assert (inside >= lower).all()
        assert (inside <= upper).all()


@pytest.mark.parametrize("slope", [1e-2, 1e-8, 1e-12])
def test_a_slope_without_an_end_is_no_optimum(slope):
    program = ro.LinearProgram(c=[slope, 1.0], lower=[-np.inf, 0.0])
    found = prove(program, np.zeros(2), np.zeros(0), 1e-8)
    assert found.verdict is Verdict.NOT_CERTIFIED
    with pytest.raises(SolveFailed, match="unbounded"):
        ro.solve_program(program, "native")


def test_noise_is_mended_and_lies_are_not():
    program = half_norm()
    noise = prove(program, np.array([0.5, 0.5 - 3e-9]), np.array([-0.5 + 2e-9]), 1e-8)
    assert noise.verdict is Verdict.CERTIFIED
    assert noise.x.sum() >= 1 - 1e-15
    lie = prove(program, np.array([0.5, 0.49]), np.array([-0.5]), 1e-8)
    assert lie.verdict is Verdict.NOT_CERTIFIED
    np.testing.assert_array_equal(lie.x, [0.5, 0.49])


def test_the_shortest_solution():
    S = csc_array(np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]]))
    v = shortest(S, np.array([2.0, 3.0]), np.zeros(2))
    np.testing.assert_allclose(v, np.linalg.pinv(S.toarray()) @ [2.0, 3.0], atol=1e-12)
    assert not shortest(csc_array((2, 3)), np.ones(2), np.zeros(2)).any()


# -- convexity -----------------------------------------------------------------


@pytest.mark.parametrize("size", [3, 700, 3001])
def test_indefinite_at_any_size(size):
    P = diags_array(np.r_[-1.0, np.ones(size - 1)])
    with pytest.raises(DataError, match="not convex"):
        ro.solve_program(ro.QuadraticProgram(P=P, c=np.zeros(size), lower=-10, upper=10))


@pytest.mark.parametrize(
    "P", [np.diag([1e10, -1.0]), np.array([[0.0, 1.0], [1.0, 1e6]]), np.array([[1.0, 2], [2, 1]])]
)
def test_curvature_is_of_each_column(P):
    with pytest.raises(DataError, match="not convex"):
        dent(csc_array(P))


@pytest.mark.parametrize(("rank", "size"), [(2, 5), (30, 100), (100, 800)])
def test_semidefinite_is_convex(rank, size):
    L = np.random.default_rng(size).normal(size=(rank, size))
    assert dent(csc_array(L.T @ L)) == 0.0


def test_digits_that_p_lost_are_charged():
    P = csc_array(np.array([[1.0, 1.0], [1.0, 1 - 1e-11]]))
    assert 0 < dent(P) <= 1e-9
    program = ro.QuadraticProgram(P=P, c=np.zeros(2), lower=-1e6, upper=1e6)
    found = ro.solve_program(program)
    # The optimum is −5 in a corner.
    assert found.lower_bound <= -5.0 or found.verdict is not Verdict.CERTIFIED


# -- rays ----------------------------------------------------------------------


def test_rays_are_checked():
    empty = ro.LinearProgram(
        c=[1.0], A=[[1.0], [1.0]], row_lower=[1.0, -np.inf], row_upper=[np.inf, 1.0 - 2.0**-20]
    )
    assert proves_infeasible(empty, np.array([-1.0, 1.0])) is not None
    assert proves_infeasible(empty, np.array([-1.0, 1.0 + 1e-10])) is not None  # mended
    for wrong in ([1.0, -1.0], [0.0, 0.0]):
        assert proves_infeasible(empty, np.array(wrong)) is None
    full = ro.LinearProgram(c=[1.0], A=[[1.0], [1.0]], row_lower=[1.0, -np.inf], row_upper=[9, 1.0])
    assert proves_infeasible(full, np.array([-1.0, 1.0])) is None


def test_noise_in_a_ray_is_taken_out():
    """A multiplier of a row that nothing else answers, and such an entry of a direction."""
    empty = ro.LinearProgram(
        c=np.zeros(2),
        A=[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]],
        row_lower=[2, -np.inf, 0],
        row_upper=[np.inf, 1, np.inf],
    )
    ray = proves_infeasible(empty, np.array([-1.0, 1.0, -1e-17]))
    np.testing.assert_array_equal(ray, [-1.0, 1.0, 0.0])
    endless = ro.LinearProgram(
        c=[-1.0, 0.0, 0.0], A=[[1.0, -1.0, 0.0], [0.0, 0.0, 3.0]], row_lower=[0.0, 0.0]
    )
    direction = descent_for_ever(endless, np.array([1.0, 1.0 + 1e-11, -1e-12]))
    assert direction is not None
    assert direction[2] == 0.0
    assert direction[0] >= direction[1]


def test_directions_are_checked():
    program = ro.QuadraticProgram(
        P=np.diag([1.0, 0.0]), c=[0.0, 1.0], A=[[0.0, 1.0]], row_upper=4.0
    )
    down = np.array([0.0, -1.0])
    assert descent_for_ever(program, down) is not None
    assert descent_for_ever(program, down + np.array([1e-12, 0.0])) is not None  # mended
    assert descent_for_ever(program, -down) is None
    assert descent_for_ever(program, np.array([1.0, -1.0])) is None
    assert proves_unbounded(program, down, np.array([0.0, 5.0])) is None  # no feasible point
    held = ro.LinearProgram(c=[0.0, 1.0], A=[[0.0, 1.0]], row_lower=-1e10)
    assert descent_for_ever(held, down) is None


@pytest.mark.parametrize("backend", ["clarabel", "cvxpy", "highs", "native"])
def test_a_convex_program_with_a_far_side_is_not_unbounded(backend):
    program = ro.QuadraticProgram(P=np.eye(2), c=[1.0, -3.0], A=[[1.0, 1.0]], row_lower=-1e10)
    assert ro.solve_program(program, backend).require().objective == pytest.approx(-5.0)


def test_the_programs_that_look_for_rays_have_an_optimum():
    rng = np.random.default_rng(2)
    for _ in range(20):
        A = rng.integers(-3, 4, (4, 3)).astype(float)
        sides = rng.integers(-3, 4, 4).astype(float)
        program = ro.LinearProgram(c=rng.normal(size=3), A=A, row_upper=sides, lower=-5.0)
        empty = linprog(np.zeros(3), A, sides, bounds=(-5, None)).status == 2
        least = ro.solve_program(elastic(program)).require()
        assert (least.objective > 1e-9) == empty
        assert (proves_infeasible(program, least.duals) is not None) == empty
        steepest = ro.solve_program(recession(program)).require()
        bounded = linprog(program.c, A, 0 * sides, bounds=(0, 1)).fun > -1e-9
        assert (steepest.objective > -1e-9) == bounded


# -- integers ------------------------------------------------------------------


def test_a_tree_proves_what_enumeration_says():
    rng = np.random.default_rng(3)
    for _ in range(15):
        A, c = rng.integers(-4, 5, (3, 4)).astype(float), rng.integers(-5, 6, 4).astype(float)
        sides = rng.integers(0, 6, 3).astype(float)
        program = ro.LinearProgram(
            c=c, A=A, row_upper=sides, lower=0.0, upper=3.0, integrality=np.ones(4, dtype=bool)
        )
        points = np.stack(np.meshgrid(*[range(4)] * 4), -1).reshape(-1, 4).astype(float)
        best = min(c @ p for p in points if (A @ p <= sides).all())
        found = ro.solve_program(program).require()
        assert found.objective == pytest.approx(best)
        assert found.lower_bound <= best + 1e-9
        assert found.rel_gap <= 1e-8


def test_no_integer_point_is_proved_by_a_tree():
    """2x + 2y = 3 has points, and none of whole numbers."""
    program = ro.LinearProgram(
        c=[1.0, 1.0],
        A=[[2.0, 2.0]],
        row_lower=3.0,
        row_upper=3.0,
        lower=0.0,
        upper=9.0,
        integrality=np.array([True, True]),
    )
    with pytest.raises(SolveFailed, match="branching proves") as caught:
        ro.solve_program(program)
    assert caught.value.fields["proved"]
    assert caught.value.fields["ray"] is None


# -- far bounds, pickles ---------------------------------------------------------


def test_without_far_bounds():
    assert without_far_bounds(half_norm()) is None
    near = without_far_bounds(half_norm(1e9))
    assert np.isinf(near.upper).all()
    assert near.row_lower[0] == 1.0
    large = ro.LinearProgram(c=[1.0], A=[[1.0]], row_lower=2e9, row_upper=2e9)
    assert (without_far_bounds(large) or large).row_lower[0] == 2e9  # equations stay


def test_far_bounds_come_back_where_they_hold():
    program = ro.LinearProgram(c=[-1.0, 1.0], A=[[0.0, 1.0]], row_lower=1.0, lower=0.0, upper=1e9)
    asked = []

    def solve(each, options):
        asked.append(each)
        stop = StopReason.UNBOUNDED if np.isinf(each.upper).all() else StopReason.CONVERGED
        x = None if stop is StopReason.UNBOUNDED else np.array([1e9, 1.0])
        return RawSolution(stop, x)

    raw = near_first(program, SolveOptions(time_limit=5.0), solve)
    assert (raw.stop, len(asked)) == (StopReason.CONVERGED, 2)
    assert asked[1] is program


@pytest.mark.parametrize("backend", ["highs", "clarabel", "native"])
def test_answers_can_be_pickled(backend):
    found = ro.solve_program(half_norm(), backend)
    again = pickle.loads(pickle.dumps(found))
    assert (again.verdict, again.objective, again.state) == (found.verdict, found.objective, None)
    linear = ro.solve_program(ro.LinearProgram(c=[1.0], lower=1.0), "highs")
    warm = ro.solve_program(linear.program, "highs", warm_start=pickle.loads(pickle.dumps(linear)))
    assert warm.objective == 1.0
