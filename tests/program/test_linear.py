"""Linear and quadratic programs: what they hold, their bounds, and their conic form."""

from __future__ import annotations

import clarabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from scipy.optimize import linprog

from relu_opt.errors import DataError, UnsupportedProgram
from relu_opt.program.embedding import as_conic, as_quadratic, factor
from relu_opt.program.linear import LinearProgram, QuadraticProgram


def example(**changes):
    """Rows of every kind, variables with every kind of bounds."""
    values = {
        "c": [1.0, -2.0, 0.5, 0.0],
        "A": np.array(
            [
                [1.0, 1.0, 0.0, 1.0],
                [1.0, -1.0, 2.0, 0.0],
                [0.0, 1.0, 1.0, 1.0],
                [1.0, 0, 0, -1.0],
            ]
        ),
        "row_lower": [-np.inf, -1.0, 0.5, 0.25],
        "row_upper": [4.0, np.inf, 2.5, 0.25],
        "lower": [0.0, -np.inf, -1.0, -np.inf],
        "upper": [np.inf, 3.0, 1.0, np.inf],
        "offset": 10.0,
        **changes,
    }
    kind = QuadraticProgram if "P" in values else LinearProgram
    return kind(**values)


def random_program(seed, curved):
    """A feasible, bounded program with a known interior point."""
    rng = np.random.default_rng(seed)
    k, m = rng.integers(1, 6), rng.integers(0, 6)
    A = rng.integers(-3, 4, (m, k)).astype(float)
    inside = rng.integers(-2, 3, k).astype(float)
    at = A @ inside
    down, up = (np.where(rng.random(m) < 0.3, np.inf, rng.uniform(0, 2, m)) for _ in range(2))
    equal = rng.random(m) < 0.3
    down[equal] = up[equal] = 0.0
    limits = {"lower": inside - rng.uniform(0, 3, k), "upper": inside + rng.uniform(0, 3, k)}
    data = {"A": A, "row_lower": at - down, "row_upper": at + up, "c": rng.standard_normal(k)}
    if curved:
        L = rng.standard_normal((rng.integers(1, k + 1), k))
        return QuadraticProgram(P=L.T @ L, **data, **limits, offset=1.0)
    return LinearProgram(**data, **limits, offset=1.0)


def solve_quadratic(program):
    """The optimal value of a quadratic program by Clarabel, with P in the objective."""
    A = program.A.toarray()
    sides = [(A, program.row_upper), (-A, -program.row_lower)]
    eye = np.eye(program.columns)
    sides += [(eye, program.upper), (-eye, -program.lower)]
    kept = [(M[np.isfinite(b)], b[np.isfinite(b)]) for M, b in sides]
    G, h = np.vstack([M for M, _ in kept]), np.concatenate([b for _, b in kept])
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-11
    P = sparse.csc_matrix(sparse.triu(program.P))
    cones = [clarabel.NonnegativeConeT(len(h))]
    found = clarabel.DefaultSolver(P, program.c, sparse.csc_matrix(G), h, cones, settings).solve()
    assert str(found.status) in ("Solved", "AlmostSolved")
    return found.obj_val + program.offset


def solve_linear(program):
    """The optimal value of a linear program by scipy."""
    A = program.A.toarray()
    upper, lower = np.isfinite(program.row_upper), np.isfinite(program.row_lower)
    found = linprog(
        program.c,
        np.vstack([A[upper], -A[lower]]),
        np.concatenate([program.row_upper[upper], -program.row_lower[lower]]),
        bounds=np.column_stack([program.lower, program.upper]),
    )
    assert found.status == 0
    return found.fun + program.offset


# -- what they hold ----------------------------------------------------------------------


def test_defaults_are_a_free_program_without_rows():
    program = LinearProgram(c=[1.0, 2.0])
    assert (program.rows, program.columns, program.A.shape) == (0, 2, (0, 2))
    assert (program.lower == -np.inf).all()
    assert (program.upper == np.inf).all()
    assert not program.is_mixed_integer


def test_numbers_stand_for_vectors_and_nothing_can_be_changed():
    program = LinearProgram(c=[1, 2], A=[[1, 1], [0, 1]], row_upper=3, lower=0)
    assert program.row_upper.tolist() == [3.0, 3.0]
    assert program.lower.tolist() == [0.0, 0.0]
    for array in (program.c, program.row_upper, program.lower, program.A.data):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 7.0


def test_the_caller_keeps_its_arrays():
    c, A = np.array([1.0, 2.0]), sparse.csc_array(np.eye(2))
    program = LinearProgram(c=c, A=A)
    c[0], A.data[0] = 9.0, 9.0
    assert program.c[0] == program.A.toarray()[0, 0] == 1.0


def test_another_cost_shares_the_constraints():
    program = example()
    other = program.with_cost([0.0, 1.0, 0.0, 0.0])
    assert other.A is program.A
    assert other.row_upper is program.row_upper
    assert other.upper is program.upper
    assert other.c.tolist() == [0.0, 1.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"c": [1.0, np.nan, 0.0, 0.0]}, "c holds NaN"),
        ({"c": [1.0, np.inf, 0.0, 0.0]}, "c holds NaN or infinite"),
        ({"c": [[1.0]]}, r"c has shape \(1, 1\)"),
        ({"c": ["a"]}, "c has dtype <U1, and real numbers"),
        ({"c": [1.0, 2.0]}, "A has shape"),
        ({"A": np.full((4, 4), np.nan)}, "A holds NaN"),
        ({"A": "text"}, "A is no matrix"),
        ({"row_lower": [0.0]}, r"row_lower has shape \(1,\)"),
        ({"row_lower": [np.nan] * 4}, "row_lower holds NaN at index 0"),
        ({"row_lower": [5.0, 0, 0, 0]}, "bounds of row 0 are 5 and 4"),
        ({"lower": [0.0, 4.0, 0, 0]}, "bounds of variable 1 are 4 and 3"),
        ({"lower": [np.inf, 0, 0, 0]}, "bounds of variable 0"),
        ({"upper": [-np.inf, 0, 1, 1]}, "bounds of variable 0"),
        ({"offset": np.nan}, "offset is nan"),
        ({"integrality": [True]}, "integrality has shape"),
        ({"integrality": [1, 0, 1, 0]}, "a boolean array"),
        ({"P": np.eye(3)}, r"P has shape \(3, 3\), and 4 rows and 4 columns"),
        ({"P": np.triu(np.ones((4, 4)))}, "P is not symmetric"),
        ({"P": np.nan * np.eye(4)}, "P holds NaN"),
    ],
)
def test_what_is_no_program_is_refused(changes, message):
    with pytest.raises(DataError, match=message):
        example(**changes)


# -- bounds ------------------------------------------------------------------------------


def test_violations_by_hand():
    program = example()
    x = np.array([0.25, 0.75, 0.0, 0.0])
    assert program.violation(x) == 0.0
    assert program.objective(x) == pytest.approx(10 + 0.25 - 1.5)
    assert program.violation(x + np.array([0, 0, 1.5, 0])) == pytest.approx(0.5)  # its upper bound
    assert program.violation(x + np.array([0, 0, 0, -0.5])) == pytest.approx(0.5)  # the equation
    assert np.isnan(program.violation(np.full(4, np.nan)))
    whole = example(integrality=[True, False, False, True])
    assert whole.violation(x) == pytest.approx(0.25)


def test_multipliers_by_hand():
    """min x + 2y, x + y ≥ 3, x ≤ 2, y ≥ 0: at (2, 1) the row has y = −2 and x ≤ 2 has z = 1."""
    program = LinearProgram(
        c=[1, 2], A=[[1, 1]], row_lower=3, lower=[-np.inf, 0], upper=[2, np.inf]
    )
    x, y = np.array([2.0, 1.0]), np.array([-2.0])
    assert program.bound_multipliers(x, y).tolist() == [1.0, 0.0]
    assert program.dual_objective(x, y) == program.objective(x) == 4.0
    assert program.dual_violation(x, y) == 0.0
    # The wrong sign asks for an upper bound of the row, which is not there.
    assert program.dual_violation(x, -y) == 3.0
    assert np.isnan(program.dual_violation(x, np.array([np.nan])))


@given(st.integers(0, 10_000), st.booleans(), st.integers(0, 10_000))
def test_weak_duality_for_any_multipliers(seed, curved, other):
    """With all bounds finite, or a residual of zero, no y gives more than the optimum."""
    program = random_program(seed, curved)
    optimum = solve_quadratic(program) if curved else solve_linear(program)
    rng = np.random.default_rng(other)
    x = rng.standard_normal(program.columns)
    y = rng.standard_normal(program.rows)
    y[(y > 0) & np.isinf(program.row_upper)] = 0.0
    y[(y < 0) & np.isinf(program.row_lower)] = 0.0
    assert program.dual_violation(x, y) == 0.0
    assert program.dual_objective(x, y) <= optimum + 1e-6 * max(1, abs(optimum))


# -- lowerings ---------------------------------------------------------------------------


@given(st.integers(0, 10_000), st.booleans())
def test_the_conic_form_has_the_same_optimum_and_multipliers(clarabel_solution, seed, curved):
    program = random_program(seed, curved)
    optimum = solve_quadratic(program) if curved else solve_linear(program)
    embedding = as_conic(program)
    x, z = clarabel_solution(embedding.program)
    assert embedding.program.objective(x) == pytest.approx(optimum, abs=1e-6)
    point, y = embedding.recover(x, z)
    assert program.objective(point) == pytest.approx(optimum, abs=1e-6)
    assert program.violation(point) <= 1e-7
    # The objective tells x only to the root of its accuracy where it is curved.
    accuracy = 1e-4 if curved else 1e-6
    assert program.dual_objective(point, y) == pytest.approx(optimum, rel=accuracy, abs=accuracy)
    assert program.dual_violation(point, y) <= 1e-7


def test_the_way_back_without_multipliers():
    embedding = as_conic(example())
    assert embedding.recover(np.arange(4.0)) == (pytest.approx(np.arange(4.0)), None)


def test_a_linear_program_as_a_quadratic_one():
    program = example()
    same = as_quadratic(program)
    x, y = np.arange(4.0), np.array([1.0, -2.0, 0.5, 3.0])
    assert same.P.nnz == 0
    assert same.objective(x) == program.objective(x)
    assert same.dual_objective(x, y) == program.dual_objective(x, y)
    assert same.violation(x) == program.violation(x)
    # Without curvature there is no second-order cone.
    assert as_conic(same).program.cones == as_conic(program).program.cones


def test_integers_have_no_lowering():
    program = example(integrality=[True, False, False, False])
    for lowering in (as_quadratic, as_conic):
        with pytest.raises(UnsupportedProgram, match="integer variables has no quadratic"):
            lowering(program)


@pytest.mark.parametrize("rank", [0, 1, 3, 4])
def test_the_factor_of_a_matrix(rank):
    L = np.random.default_rng(rank).standard_normal((rank, 4))
    found = factor(sparse.csc_array(L.T @ L))
    assert found.shape[0] == rank
    np.testing.assert_allclose((found.T @ found).toarray(), L.T @ L, atol=1e-12)
    diagonal = sparse.csc_array(np.diag([1.0, 0.0, 4.0]))
    np.testing.assert_allclose(factor(diagonal).toarray(), [[1, 0, 0], [0, 0, 2]])


def test_an_indefinite_matrix_has_no_conic_form():
    for P in (np.diag([1.0, -1.0, 0, 0]), np.ones((4, 4)) - 2 * np.eye(4)):
        with pytest.raises(DataError, match="not convex") as caught:
            as_conic(example(P=P))
        assert caught.value.fields["eigenvalue"] < -0.9
