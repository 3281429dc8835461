"""The bounds of several outputs with their rounding: against rationals, in other units, far off."""

from fractions import Fraction

import numpy as np
import pytest

import relu_opt as ro
from relu_opt.train.several_outputs.definite import semidefinite
from relu_opt.train.several_outputs.lifted import lifted_bound
from relu_opt.train.several_outputs.problem import VectorProblem
from relu_opt.train.several_outputs.proof import dual_below, lower_bound, settled
from relu_opt.verify.lifted import lifted as re_lifted

LAM = 0.1


def data(n=8, offset=0.0):
    rng = np.random.default_rng(n)
    return np.c_[rng.standard_normal(n), np.ones(n)], offset + rng.standard_normal((n, 2))


@pytest.mark.parametrize(("x", "y"), [(5, 1), (-540, 4), (2, 200)])
def test_units_change_no_bit(x, y):
    X, Y = data()
    found = ro.several_outputs.train_vector(X, Y, LAM, tol=1e-4)
    other = ro.several_outputs.train_vector(
        np.ldexp(X, x), np.ldexp(Y, y), float(np.ldexp(LAM, x + y)), tol=1e-4
    )
    assert other.certificate.verdict == found.certificate.verdict == "certified"
    assert other.rel_gap == found.rel_gap
    np.testing.assert_array_equal(
        other.network.hidden, np.ldexp(found.network.hidden, (y - x) // 2)
    )
    assert other.objective == np.ldexp(found.objective, 2 * y)
    assert other.rounds[-1].lower == np.ldexp(found.rounds[-1].lower, 2 * y)
    assert ro.verify(other.certificate, np.ldexp(X, x), np.ldexp(Y, y)).valid


def test_the_search_alone_has_units_too():
    X, V = data()
    one = ro.several_outputs.vector_separation(X, V)
    other = ro.several_outputs.vector_separation(np.ldexp(X, -300), np.ldexp(V, 77))
    assert (other.lower, other.upper) == (np.ldexp(one.lower, -223), np.ldexp(one.upper, -223))
    np.testing.assert_array_equal(other.directions, one.directions)


@pytest.mark.parametrize("offset", [1e7, -1e9])
def test_targets_far_from_zero_are_certified(offset):
    X, Y = data(offset=offset)
    found = ro.several_outputs.train_vector(X, Y, LAM, intercept=True, tol=1e-5)
    checked = ro.verify(found.certificate, X, Y)
    assert found.certificate.verdict == checked.verdict == "certified"
    near = ro.several_outputs.train_vector(X, Y - offset, LAM, intercept=True, tol=1e-5)
    assert found.objective == pytest.approx(near.objective, rel=1e-4)


def test_columns_are_settled_and_the_dual_is_below_the_exact_one():
    X, Y = data(30, offset=1e8)
    problem = VectorProblem.of(X, Y, LAM, intercept=True)
    V = settled(np.random.default_rng(0).standard_normal(Y.shape) / 30)
    assert all(sum(map(Fraction, column)) == 0 for column in V.T.tolist())
    v, y = (list(map(Fraction, each.ravel().tolist())) for each in (V, Y))
    exact = sum(a * b for a, b in zip(v, y, strict=True)) - 15 * sum(a * a for a in v)
    assert 0 <= exact - Fraction(dual_below(problem, V)) <= abs(exact) * Fraction(1e-13)
    # A column that does not sum to zero proves nothing.
    V[0, 0] += 1e-9
    assert dual_below(problem, V) == -np.inf


def test_a_bound_of_which_nothing_is_known_is_zero():
    X, Y = data()
    problem = VectorProblem.of(X, Y, LAM)
    bound = lower_bound(problem, Y / len(Y), np.inf)
    assert bound.value == 0.0
    assert not bound.V.any()


def test_both_bounds_by_a_matrix_hold_and_agree():
    rng = np.random.default_rng(1)
    for n, d, c in [(9, 2, 2), (40, 5, 3)]:
        rows, omega = rng.standard_normal((n, d)), rng.standard_normal((n, c))
        bound = lifted_bound(rows, omega)
        u = rng.standard_normal((2000, d))
        u /= np.linalg.norm(u, axis=1, keepdims=True)
        reached = np.linalg.norm(np.maximum(u @ rows.T, 0.0) @ omega, axis=1).max()
        assert reached <= bound
        assert re_lifted(rows, omega, bound) == bound
        assert re_lifted(rows, omega) == pytest.approx(bound, rel=1e-9)


def test_semidefinite_matrices_need_room():
    M = np.array([[2.0, 1.0], [1.0, 2.0]])
    assert semidefinite(M, 0.99)
    assert not semidefinite(M, 1.0)
    assert not semidefinite(M - np.eye(2), 0.0)
    assert not semidefinite(np.full((2, 2), np.nan), 0.0)


def test_flats_are_found_and_the_search_shows_their_bound():
    X, V = data(6)
    flats = ro.several_outputs.vector_separation(X, V, "flats", tol=1e-7)
    assert flats.lower <= flats.upper <= flats.lower * (1 + 1.01e-7)
    assert "branch and bound" in flats.statement
