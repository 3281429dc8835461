"""The named programs of the conformance kit: every stored answer against something independent."""

from __future__ import annotations

import itertools
import math

import cvxpy as cp
import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, linprog, milp

import relu_opt as ro
from relu_opt.program.conic import split_rows, symmetric, triangle_size
from relu_opt.testing import conic_programs, linear_programs, quadratic_programs
from relu_opt.testing.capture import arrays_of
from relu_opt.testing.programs import LARGE, PROGRAMS

KINDS = {
    "lp": ro.LinearProgram,
    "milp": ro.LinearProgram,
    "qp": ro.QuadraticProgram,
    "conic": ro.ConicProgram,
    "socp": ro.ConicProgram,
    "exp": ro.ConicProgram,
    "sdp": ro.ConicProgram,
    "mixed": ro.ConicProgram,
    "net": ro.ConvexProgram,
}


def cases(*families, outcome=None):
    """The programs of some families, as parameters."""
    chosen = [
        case
        for case in PROGRAMS.values()
        if case.family in families and outcome in (None, case.outcome)
    ]
    assert chosen
    return pytest.mark.parametrize("case", chosen, ids=lambda case: case.name)


# -- all ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*PROGRAMS, *LARGE])
def test_names_types_and_notes(name):
    case = {**PROGRAMS, **LARGE}[name]
    assert case.name == name
    assert KINDS.get(case.family, case.kind) is case.kind
    assert type(case.make()) is case.kind
    assert case.note.endswith(".")
    assert len(case.note) > 15
    if case.outcome != "optimal":
        assert case.objective is None
        assert case.x is None


@pytest.mark.parametrize("case", PROGRAMS.values(), ids=lambda case: case.name)
def test_programs_are_small_and_made_anew(case):
    first, second = arrays_of(case.make()), arrays_of(case.make())
    assert first.keys() == second.keys()
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name])
        assert not np.shares_memory(array, second[name]), name
    assert max(array.size for array in first.values()) <= 100
    if case.kind is ro.ConvexProgram:
        program = case.make()
        assert program.n <= 20
        assert len(program.patterns) <= 12


@pytest.mark.parametrize(
    "case", [case for case in PROGRAMS.values() if case.x is not None], ids=lambda case: case.name
)
def test_a_stored_point_has_the_stored_objective(case):
    program = case.make()
    assert program.objective(case.x) == pytest.approx(case.objective, rel=1e-12, abs=1e-12)
    assert not case.x.flags.writeable


def test_every_feature_of_a_program_is_there():
    nets = [case.make() for case in PROGRAMS.values() if case.family == "net"]
    losses = {"squared", "huber", "logistic", "squared_hinge", "hinge"}
    assert {net.loss.name for net in nets} == losses
    assert {net.activation for net in nets} == {"relu", "gated"}
    assert {net.intercept for net in nets} == {True, False}
    assert any(net.sample_weight is not None for net in nets)
    assert any(net.n < net.d for net in nets)
    conic = [case.make().cones for case in PROGRAMS.values() if case.kind is ro.ConicProgram]
    assert {1, 2, 3, 4} <= {size for cones in conic for size in cones.second_order}
    assert {1, 2, 3} <= {order for cones in conic for order in cones.semidefinite}
    for families in (["lp", "milp"], ["qp"], ["conic", "socp", "exp", "sdp", "mixed"]):
        found = {case.outcome for case in PROGRAMS.values() if case.family in families}
        assert found == {"optimal", "infeasible", "unbounded"}


# -- linear programs ---------------------------------------------------------------------


def rows_of(program):
    """Inequalities Gx ≤ h and equations Ex = e of the rows."""
    A = program.A.toarray()
    equal = program.row_lower == program.row_upper
    above = np.isfinite(program.row_upper) & ~equal
    below = np.isfinite(program.row_lower) & ~equal
    G = np.vstack([A[above], -A[below]])
    h = np.r_[program.row_upper[above], -program.row_lower[below]]
    return {
        "A_ub": G if len(h) else None,
        "b_ub": h if len(h) else None,
        "A_eq": A[equal] if equal.any() else None,
        "b_eq": program.row_upper[equal] if equal.any() else None,
        "bounds": np.c_[program.lower, program.upper],
    }


@cases("lp")
def test_linear_programs(case):
    program = case.make()
    found = linprog(program.c, **rows_of(program), method="highs-ds")
    status = {"optimal": 0, "infeasible": 2, "unbounded": 3}[case.outcome]
    assert found.status == status
    if case.outcome == "optimal":
        assert found.fun + program.offset == pytest.approx(case.objective, rel=1e-9, abs=1e-9)


@cases("lp", outcome="optimal")
def test_points_of_linear_programs_are_unique(case):
    """Each coordinate's range over the optimal face."""
    program = case.make()
    rows = rows_of(program)
    face = program.c / max(1.0, np.abs(program.c).max())
    best = (case.objective - program.offset) / max(1.0, np.abs(program.c).max())
    rows["A_eq"] = face[None] if rows["A_eq"] is None else np.vstack([rows["A_eq"], face])
    rows["b_eq"] = np.r_[[] if rows["b_eq"] is None else rows["b_eq"], best]
    ranges = [
        linprog(sign * row, **rows).fun * sign
        for row in np.eye(program.columns)
        for sign in (1.0, -1.0)
    ]
    low, high = np.reshape(ranges, (-1, 2)).T
    if case.x is None:
        assert (high - low).max() > 0.5
    else:
        np.testing.assert_allclose(low, case.x, atol=1e-6, rtol=1e-6)
        np.testing.assert_allclose(high, case.x, atol=1e-6, rtol=1e-6)


BOUNDED = [
    name
    for name, case in PROGRAMS.items()
    if case.family == "milp" and name not in ("milp_infeasible_ray", "milp_unbounded")
]


@pytest.mark.parametrize("name", BOUNDED)
def test_integer_programs(name):
    case, program = PROGRAMS[name], PROGRAMS[name].make()
    found = milp(
        program.c,
        constraints=LinearConstraint(program.A.toarray(), program.row_lower, program.row_upper),
        bounds=Bounds(program.lower, program.upper),
        integrality=program.integrality.astype(int),
    )
    assert found.status == {"optimal": 0, "infeasible": 2}[case.outcome]
    relaxed = linprog(program.c, **rows_of(program))
    assert relaxed.status == 0
    if case.outcome == "optimal":
        assert found.fun + program.offset == pytest.approx(case.objective, abs=1e-9)
        np.testing.assert_allclose(found.x, case.x, atol=1e-7)
        assert relaxed.fun + program.offset < case.objective - 0.01


@pytest.mark.parametrize("name", [name for name in BOUNDED if name != "milp_mixed"])
def test_integer_programs_by_enumeration(name):
    case, program = PROGRAMS[name], PROGRAMS[name].make()
    ranges = [
        range(int(low), int(high) + 1)
        for low, high in zip(program.lower, program.upper, strict=True)
    ]
    points = [np.array(point, float) for point in itertools.product(*ranges)]
    values = sorted(program.objective(x) for x in points if program.violation(x) == 0)
    if case.outcome == "infeasible":
        assert not values
    else:
        assert values[0] == case.objective
        assert values[1] > values[0]


def test_rays():
    """Along a ray the cost falls; without a point, the program is infeasible all the same."""
    program, ray = PROGRAMS["milp_infeasible_ray"].make(), np.array([0.0, 0.0, 1.0])
    assert program.c @ ray < 0
    assert not (program.A @ ray).any()
    assert program.upper[2] == np.inf
    # 2x + 2y is even.
    np.testing.assert_array_equal(program.A.toarray(), [[2, 2, 0]])
    assert program.row_lower == program.row_upper == 3
    program = PROGRAMS["milp_unbounded"].make()
    for step in (0.0, 10.0, 1e6):
        assert program.violation(np.array([step, 0.0])) == 0
        assert program.objective(np.array([step, 0.0])) == -step


def test_multipliers_of_every_sign():
    """The optimality conditions, written out."""
    x, y, z = linear_programs.EVERY_X, linear_programs.EVERY_Y, linear_programs.EVERY_Z
    for name, root in (("lp", 0.0), ("qp", quadratic_programs.EVERY_ROOT)):
        program = PROGRAMS[f"{name}_every_sign"].make()
        curved = np.zeros(10) if name == "lp" else root.T @ (root @ x)
        np.testing.assert_allclose(curved + program.c + program.A.T @ y + z, 0.0, atol=1e-12)
        rows = program.A @ x
        for multiplier, at, low, high in (
            (y, rows, program.row_lower, program.row_upper),
            (z, x, program.lower, program.upper),
        ):
            np.testing.assert_array_equal(at[multiplier > 0], high[multiplier > 0])
            np.testing.assert_array_equal(at[multiplier < 0], low[multiplier < 0])
            assert (low <= at).all()
            assert (at <= high).all()
            assert (multiplier > 0).any()
            assert (multiplier < 0).any()
        equations = program.row_lower == program.row_upper
        assert sorted(np.sign(y[equations])) == [-1, 1]
        assert program.dual_objective(x, y) == pytest.approx(program.objective(x), rel=1e-12)


def test_scaled_programs_are_the_plain_ones_in_other_units():
    for family in ("lp", "qp"):
        plain, scaled = PROGRAMS[f"{family}_unique"], PROGRAMS[f"{family}_scaled"]
        assert plain.objective == scaled.objective
        size = np.abs(scaled.make().A.toarray())
        assert size.max() / size[size > 0].min() >= 1e5
        assert scaled.x[1] / scaled.x[0] > 1e4


# -- quadratic programs ------------------------------------------------------------------


def quadratic_model(program):
    x = cp.Variable(program.columns)
    A, constraints = program.A.toarray(), []
    for row, low, high in zip(A, program.row_lower, program.row_upper, strict=True):
        constraints += [row @ x >= low] if np.isfinite(low) else []
        constraints += [row @ x <= high] if np.isfinite(high) else []
    for k, (low, high) in enumerate(zip(program.lower, program.upper, strict=True)):
        constraints += [x[k] >= low] if np.isfinite(low) else []
        constraints += [x[k] <= high] if np.isfinite(high) else []
    curved = cp.quad_form(x, cp.psd_wrap(program.P.toarray())) / 2
    return x, cp.Problem(cp.Minimize(curved + program.c @ x + program.offset), constraints)


@cases("qp")
def test_quadratic_programs(case):
    x, problem = quadratic_model(case.make())
    value = problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-10, tol_gap_rel=1e-10, tol_feas=1e-10)
    assert problem.status == case.outcome
    if case.outcome == "optimal":
        assert value == pytest.approx(case.objective, rel=1e-7, abs=1e-7)
        if case.x is not None:
            np.testing.assert_allclose(x.value, case.x, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "name", [name for name, case in PROGRAMS.items() if case.family == "qp" and case.x is not None]
)
def test_points_of_quadratic_programs_are_unique(name):
    """Px and cᵀx are the same at every optimum, so the optima are a polyhedron."""
    program, x = PROGRAMS[name].make(), PROGRAMS[name].x
    rows = rows_of(program)
    face = np.vstack([program.P.toarray(), program.c])
    face = face / np.maximum(1e-3, np.abs(face).max(axis=1, keepdims=True))
    rows["A_eq"] = face if rows["A_eq"] is None else np.vstack([rows["A_eq"], face])
    rows["b_eq"] = np.r_[[] if rows["b_eq"] is None else rows["b_eq"], face @ x]
    for row in np.eye(program.columns):
        for sign in (1.0, -1.0):
            assert sign * linprog(sign * row, **rows).fun == pytest.approx(row @ x, abs=1e-5)


def test_flat_quadratic_programs_have_several_optima():
    program = PROGRAMS["qp_nonunique"].make()
    assert program.objective(np.array([1.0, 0.0])) == program.objective(np.array([0.0, 1.0])) == 1
    master = PROGRAMS["qp_master"].make()
    assert np.linalg.matrix_rank(master.P.toarray()) == 3
    x = quadratic_programs.MASTER_X
    slope = master.gradient(x)
    assert (slope >= -1e-12).all()
    np.testing.assert_allclose(slope[x > 0], 0.0, atol=1e-12)
    assert master.objective(x) == pytest.approx(PROGRAMS["qp_master"].objective)


def test_a_constraint_that_is_weakly_active():
    program = PROGRAMS["qp_weakly_active"].make()
    x = PROGRAMS["qp_weakly_active"].x
    np.testing.assert_array_equal(program.gradient(x), 0.0)
    assert (program.A @ x)[0] == program.row_upper[0]


def test_equations_in_closed_form():
    case = PROGRAMS["qp_equations"]
    program = case.make()
    A = program.A.toarray()
    system = np.block([[program.P.toarray(), A.T], [A, np.zeros((2, 2))]])
    found = np.linalg.solve(system, np.r_[-program.c, program.row_upper])
    np.testing.assert_allclose(found[:3], case.x, atol=1e-12)
    assert found[3] > 0 > found[4]


# -- conic programs ----------------------------------------------------------------------


def conic_model(program):
    """The program in cvxpy's own words."""
    x = cp.Variable(len(program.c))
    s, cones = program.b - program.A.toarray() @ x, program.cones
    constraints, first = [], cones.zero + cones.nonnegative
    if cones.zero:
        constraints.append(s[: cones.zero] == 0)
    if cones.nonnegative:
        constraints.append(s[cones.zero : first] >= 0)
    for size in cones.second_order:
        tail = cp.norm(s[first + 1 : first + size]) if size > 1 else 0.0
        constraints.append(tail <= s[first])
        first += size
    for _ in range(cones.exponential):
        constraints.append(cp.constraints.ExpCone(s[first], s[first + 1], s[first + 2]))
        first += 3
    for order in cones.semidefinite:
        matrix = cp.Variable((order, order), symmetric=True)
        places = [(row, column) for column in range(order) for row in range(column + 1)]
        for k, (row, column) in enumerate(places):
            root = 1.0 if row == column else math.sqrt(2.0)
            constraints.append(root * matrix[row, column] == s[first + k])
        constraints.append(matrix >> 0)
        first += triangle_size(order)
    return x, cp.Problem(cp.Minimize(program.c @ x + program.offset), constraints)


@cases("conic", "socp", "exp", "sdp", "mixed")
def test_conic_programs(case):
    x, problem = conic_model(case.make())
    value = problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-9, tol_gap_rel=1e-9, tol_feas=1e-9)
    assert problem.status == case.outcome
    if case.outcome == "optimal":
        assert value == pytest.approx(case.objective, rel=1e-6, abs=1e-7)
        # An interior-point method ends in the middle of the optima, so there is no other.
        np.testing.assert_allclose(x.value, case.x, atol=1e-3)


@cases("conic", "socp", "exp", "sdp", "mixed", outcome="optimal")
def test_points_of_conic_programs_are_in_their_cones(case):
    program = case.make()
    parts = split_rows(program.b - program.A @ case.x, program.cones)
    np.testing.assert_allclose(parts.zero, 0.0, atol=1e-12)
    assert (parts.nonnegative >= -1e-12).all()
    for part in parts.second_order:
        assert np.linalg.norm(part[1:]) <= part[0] + 1e-12
    for u, v, w in parts.exponential:
        assert v * math.exp(u / v) <= w + 1e-12
    for part in parts.semidefinite:
        assert np.linalg.eigvalsh(symmetric(part)).min() >= -1e-12


def test_closed_forms_of_conic_programs():
    C = conic_programs.MATRIX
    np.testing.assert_allclose(np.linalg.eigvalsh(C), [-2.0, 1.0, 4.0], atol=1e-12)
    X = symmetric(PROGRAMS["sdp_eigenvalue"].x)
    np.testing.assert_allclose(C @ X, -2.0 * X, atol=1e-12)
    assert np.trace(X) == pytest.approx(1.0)
    shares = PROGRAMS["exp_entropy"].x[:3]
    assert shares.sum() == pytest.approx(1.0)
    assert np.log(np.exp([1.0, 0.0, -1.0]).sum()) == pytest.approx(conic_programs.LOG_SUM)
    assert PROGRAMS["exp_euler"].objective == math.e
    point = np.array([1.0, 3.0, 4.0])
    nearest = PROGRAMS["socp_projection"].x[:3]
    apart = point - nearest
    assert np.linalg.norm(apart) == pytest.approx(PROGRAMS["socp_projection"].objective)
    # Moreau: what is left is orthogonal to the projection and in the polar cone.
    assert apart @ nearest == pytest.approx(0.0, abs=1e-12)
    assert np.linalg.norm(apart[1:]) == pytest.approx(-apart[0])


@pytest.mark.parametrize("name", [name for name in PROGRAMS if name.startswith("mixed_")])
def test_mixed_cones_each_bind(name):
    """The chosen multipliers are in the dual cones and orthogonal to the slacks."""
    program = PROGRAMS[name].make()
    s = program.b - program.A @ conic_programs.CHOSEN_X
    parts = [conic_programs.LINEAR_PART, conic_programs.BALL_PART]
    if program.cones.exponential:
        parts.append(conic_programs.EXP_PART)
    if program.cones.semidefinite:
        parts.append(conic_programs.PSD_PART)
    np.testing.assert_allclose(s, np.concatenate([part[0] for part in parts]), atol=1e-12)
    z = np.concatenate([part[1] for part in parts])
    assert max(program.residuals(conic_programs.CHOSEN_X, z)) <= 1e-12
    assert program.dual_objective(z) == pytest.approx(PROGRAMS[name].objective, rel=1e-12)
    for slack, multiplier in parts:
        assert np.dot(slack, multiplier) == pytest.approx(0.0, abs=1e-12)
        assert np.abs(multiplier).max() > 0.1


# -- training programs -------------------------------------------------------------------


@cases("net")
def test_training_programs_by_two_solvers(case, independent_optimum):
    program = case.make()
    assert independent_optimum(program) == pytest.approx(case.objective, rel=5e-7)
    found = ro.solve(program, "native" if program.loss.smooth else "clarabel", tol=1e-10)
    proof = ro.verify(found.certificate, program.X, program.y)
    assert proof.valid
    assert found.lower_bound - 1e-9 * case.objective <= case.objective
    assert case.objective <= found.objective + 1e-9 * case.objective
    if case.x is not None:
        np.testing.assert_allclose(found.weights, case.x, atol=1e-6)


def test_closed_forms_of_training_programs():
    # ½(2w − 3)² + ½w has the slope 4w − 6 + ½.
    w = (6.0 - 0.5) / 4.0
    assert PROGRAMS["net_one_sample"].x[0, 0, 0] == w
    assert PROGRAMS["net_one_sample"].objective == 0.5 * (2 * w - 3) ** 2 + 0.5 * w
    zero = PROGRAMS["net_zero"]
    program = zero.make()
    assert program.lam > program.lam_max
    assert zero.objective == pytest.approx(0.5 * np.mean(program.y**2))
    # Each block of the orthogonal design is y of its samples, shortened by nλ = 1.
    gated = PROGRAMS["net_gated_orthogonal"]
    np.testing.assert_allclose(gated.x[0, 0], np.array([3.0, 4.0]) * (1 - 1 / 5.0))
    objective = (0.5 * 1.0 + 0.5 * 0.25) / 4 + 0.25 * 4.0
    assert gated.objective == pytest.approx(objective)


def test_degenerate_training_programs_are_what_they_say():
    masks = PROGRAMS["net_shared_faces"].make().patterns.masks
    assert len(np.unique(masks, axis=1).T) == len(masks.T) // 2
    distances = (masks[:, :, None] != masks[:, None, :]).sum(axis=0)
    assert (distances == 1).any()
    plain, scaled = PROGRAMS["net_squared"], PROGRAMS["net_scaled"]
    assert scaled.objective == pytest.approx(1e-6 * plain.objective, rel=1e-9)
    huber = PROGRAMS["net_huber"].make()
    residuals = np.abs(ro.solve(huber, "native").network.predict(huber.X) - huber.y)
    assert (residuals > huber.loss.delta + 1e-3).any()
    assert (residuals < huber.loss.delta - 1e-3).any()
    hinge = PROGRAMS["net_squared_hinge"].make()
    margins = hinge.y * ro.solve(hinge, "native").network.predict(hinge.X)
    assert (margins > 1 + 1e-3).any()
    assert (margins < 1 - 1e-3).any()


# -- large programs ----------------------------------------------------------------------


def test_the_large_integer_program_has_the_optimum_zero():
    program = LARGE["large_milp"].make()
    x = np.r_[np.arange(45) % 2, np.zeros(10)]
    assert program.violation(x) == 0
    assert program.objective(x) == LARGE["large_milp"].objective == 0
    assert (program.c >= 0).all()
    assert (program.lower >= 0).all()


def test_large_programs_are_feasible_and_bounded():
    lp, qp, conic = (LARGE[f"large_{sort}"].make() for sort in ("lp", "qp", "conic"))
    for program in (lp, qp):
        assert program.violation(np.zeros(program.columns)) == 0
    assert np.isfinite(lp.upper).all()
    for x in np.random.default_rng(0).standard_normal((3, qp.columns)):
        assert qp.curvature(x) >= 0.005 * x @ x
    assert (conic.b >= 0).all()
    x = np.linspace(0.0, 0.01, lp.columns)
    assert conic.objective(x) == lp.objective(x)
    assert ((conic.b - conic.A @ x).min() >= 0) == (lp.violation(x) == 0)
