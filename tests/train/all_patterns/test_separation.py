"""Bounds on max |νᵀ(Xu)₊|: by three oracles, against brute force, and against each other."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import relu_opt as ro
from relu_opt.errors import DataError
from relu_opt.plugins.types import StopReason
from relu_opt.verify.search import reach

TINY = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, -1.0]])
TARGETS = np.array([1.0, -1.0, 2.0, 0.5])


def brute_force(X, nu, count=200_000, seed=0):
    """The largest value on random directions and on those of all cells' projections."""
    units = np.random.default_rng(seed).standard_normal((count, X.shape[1]))
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    return float(np.abs(np.maximum(units @ X.T, 0.0) @ nu).max())


def by_cells(X, nu):
    """max over cells and signs of ‖P_K(±XᵀDν)‖, by scipy's NNLS."""
    from scipy.optimize import nnls

    best = 0.0
    for mask in ro.enumerate_patterns(X).masks.T:
        normals = (np.where(mask, 1.0, -1.0)[:, None] * X).T
        for sign in (1.0, -1.0):
            target = sign * (X.T @ (mask * nu))
            best = max(best, nnls(normals, -target)[1])
    return best


def data_of(seed, n, d, degenerate=False):
    rng = np.random.default_rng(seed)
    X, nu = rng.standard_normal((n, d)), rng.standard_normal(n)
    if degenerate:
        X = np.round(X)
        X[0] = 0.0
        X[1], X[2] = 2 * X[3], -X[3]
    return X, nu


@pytest.mark.parametrize("oracle", ["sphere", "cells", "mip"])
def test_the_tiny_example(oracle):
    """theory: M(y) = 3.5355339059 at u = (7, 1)/√50."""
    found = ro.all_patterns.separation(TINY, TARGETS, oracle, tol=1e-9)
    assert found.lower == pytest.approx(3.5355339059327378, rel=1e-9)
    assert found.upper == pytest.approx(3.5355339059327378, rel=1e-6)
    np.testing.assert_allclose(found.direction, np.array([7, 1]) / np.sqrt(50), atol=1e-6)


@pytest.mark.parametrize("degenerate", [False, True])
@pytest.mark.parametrize(("n", "d"), [(5, 1), (12, 2), (12, 3), (9, 4)])
def test_oracles_agree_with_each_other_and_with_nnls(n, d, degenerate):
    X, nu = data_of(n + d, n, d, degenerate)
    right = by_cells(X, nu)
    for oracle, exact in (("sphere", 1e-9), ("cells", 1e-9), ("mip", 1e-5)):
        found = ro.all_patterns.separation(X, nu, oracle, tol=1e-6 if oracle == "mip" else 1e-10)
        assert found.stop is StopReason.CONVERGED
        assert found.lower <= right * (1 + 1e-12) + 1e-12
        assert found.upper >= right * (1 - 1e-9)
        assert found.rel_gap <= exact
        value = nu @ np.maximum(X @ found.direction, 0.0)
        assert value == pytest.approx(found.values[0], rel=1e-13)
        assert abs(found.values[0]) == found.lower
        assert np.linalg.norm(found.direction) == pytest.approx(1.0, abs=1e-12)


def test_the_bound_is_above_every_direction():
    X, nu = data_of(1, 20, 3)
    found = ro.all_patterns.separation(X, nu, tol=1e-8)
    assert brute_force(X, nu) <= found.upper
    assert brute_force(X, nu) >= 0.99 * found.lower


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.integers(2, 9), st.integers(1, 3))
def test_small_integers_which_are_very_degenerate(seed, n, d):
    rng = np.random.default_rng(seed)
    X = rng.integers(-2, 3, (n, d)).astype(float)
    nu = rng.integers(-2, 3, n).astype(float)
    found = ro.all_patterns.separation(X, nu, "sphere", tol=1e-9)
    right = by_cells(X, nu) if X.any() else 0.0
    assert found.lower == pytest.approx(right, rel=1e-8, abs=1e-10)
    assert found.upper == pytest.approx(right, rel=1e-8, abs=1e-10)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6), st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
def test_scales_and_rotations(seed, of_X, of_nu):
    X, nu = data_of(seed, 8, 3)
    turn = np.linalg.qr(np.random.default_rng(seed).standard_normal((3, 3)))[0]
    order = np.random.default_rng(seed).permutation(8)
    plain = ro.all_patterns.separation(X, nu, tol=1e-9)
    other = ro.all_patterns.separation(of_X * (X @ turn)[order], of_nu * nu[order], tol=1e-9)
    assert other.upper == pytest.approx(of_X * of_nu * plain.upper, rel=1e-7)


def test_many_columns_of_low_rank():
    X, nu = data_of(4, 15, 3)
    # Few digits, so that the products are exact, and the rank is.
    wide = np.round(64 * X) @ np.random.default_rng(0).integers(-9, 10, (3, 40)) / 256
    found = ro.all_patterns.separation(wide, nu, tol=1e-9)
    assert found.oracle == "sphere"
    assert found.upper == pytest.approx(by_cells(wide, nu), rel=1e-7)


def by_arcs(X, nu):
    """The closed form in rank 2: on each arc the stationary direction, if it lies there, or an end.

    Section A2 of the companions: the arcs end where a row's product changes its sign.
    """
    breaks = np.sort((np.arctan2(X[:, 1], X[:, 0])[:, None] + [np.pi / 2, -np.pi / 2]).ravel())
    breaks = np.append(breaks, breaks[0] + 2 * np.pi)
    best = 0.0
    for start, end in itertools.pairwise(breaks):
        middle = np.array([np.cos((start + end) / 2), np.sin((start + end) / 2)])
        g = X.T @ (nu * (X @ middle > 0))
        for angle in (start, end):
            best = max(best, abs(g @ [np.cos(angle), np.sin(angle)]))
        for sign in (1.0, -1.0):
            turn = (np.arctan2(sign * g[1], sign * g[0]) - start) % (2 * np.pi)
            best = max(best, np.linalg.norm(g) if turn <= end - start else 0.0)
    return best


@pytest.mark.parametrize("n", [1, 2, 7, 100, 2000])
def test_rank_two_against_its_closed_form(n):
    rng = np.random.default_rng(n)
    X, nu = np.c_[rng.standard_normal(n), np.ones(n)], rng.standard_normal(n)
    found = ro.all_patterns.separation(X, nu, tol=1e-10)
    assert found.upper == pytest.approx(by_arcs(X, nu), rel=1e-9)
    assert found.work < 1000


def test_a_target_ends_the_search_early():
    X, nu = data_of(2, 40, 4)
    exact = ro.all_patterns.separation(X, nu, tol=1e-9)
    easy = ro.all_patterns.separation(X, nu, target=1.5 * exact.upper)
    assert exact.upper <= easy.upper <= 1.5 * exact.upper
    assert easy.work < exact.work / 2


@pytest.mark.parametrize("oracle", ["sphere", "cells", "mip"])
def test_a_time_limit_returns_a_bound_that_holds(oracle):
    X, nu = data_of(3, 25, 3)
    found = ro.all_patterns.separation(X, nu, oracle, time_limit=1e-9)
    assert found.stop is StopReason.TIME_LIMIT
    assert found.upper >= brute_force(X, nu, 10_000)


def test_interrupts_return_a_bound_that_holds(monkeypatch):
    from relu_opt.train.all_patterns import cone_search

    X, nu = data_of(3, 25, 3)
    calls = []

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return halves(*arguments)

    halves = cone_search.halves
    monkeypatch.setattr(cone_search, "halves", interrupted)
    found = ro.all_patterns.separation(X, nu, "sphere", tol=1e-9)
    assert found.stop is StopReason.INTERRUPTED
    assert found.upper >= by_cells(X, nu)


@pytest.mark.parametrize("oracle", ["sphere", "cells", "mip"])
def test_nothing_to_find(oracle):
    assert ro.all_patterns.separation(np.zeros((3, 2)), np.ones(3), oracle).upper == 0.0
    zero = ro.all_patterns.separation(np.ones((3, 2)), np.zeros(3), oracle)
    assert (zero.lower, zero.direction) == (0.0, None)
    assert zero.upper <= 1e-12


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"nu": [1.0]}, "rows and nu has 1"),
        ({"nu": [np.nan, 1, 2, 3]}, "nu"),
        ({"X": [[np.inf, 1.0]] * 4}, "X"),
        ({"oracle": "cell"}, "Did you mean 'cells'"),
        ({"target": -1.0}, "target is"),
        ({"tol": 0.0}, "tol is"),
        ({"time_limit": -1}, "time_limit is"),
    ],
)
def test_bad_input(changes, match):
    given_ = {"X": TINY, "nu": TARGETS, **changes}
    with pytest.raises(DataError, match=match):
        ro.all_patterns.separation(given_.pop("X"), given_.pop("nu"), **given_)


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_the_tolerances_of_a_milp_are_in_units_of_the_maximum(size):
    """A solver's absolute gap is no share of a small ν, and repeats the same program for ever."""
    X, nu = data_of(5, 25, 2)
    found = ro.all_patterns.separation(X, size * nu, "mip", tol=5e-5)
    assert found.stop is StopReason.CONVERGED
    assert found.rel_gap <= 5e-5
    assert found.upper == pytest.approx(size * by_arcs(X, nu), rel=5e-5)
    assert found.work < 40


DEGENERATE = (
    np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1], [1, 0, 1.0]]),
    np.array([-1.0, -1.0, 0.5, 2.0, 0.0]),
)


def test_a_convex_kink_at_the_maximum_is_looked_at_from_both_sides():
    """At the best direction a convex kink crosses two concave ones."""
    found = ro.all_patterns.separation(*DEGENERATE, "sphere", tol=1e-12)
    assert found.stop is StopReason.CONVERGED
    assert found.upper == pytest.approx(2.0, rel=1e-11)
    assert reach(*DEGENERATE, 2.0 * (1 + 1e-12))[1] == ""


def test_cones_that_rounding_hides_end_the_search(monkeypatch):
    from relu_opt.train.all_patterns import sphere_oracle as sphere
    from relu_opt.verify import search as verify_search

    monkeypatch.setattr(sphere, "MOST_KINKS", 0)
    monkeypatch.setattr(verify_search, "MOST_KINKS", 0)
    found = ro.all_patterns.separation(*DEGENERATE, "sphere", tol=1e-12)
    assert found.stop is StopReason.ITERATION_LIMIT
    assert 2.0 <= found.upper <= 2.0 + 1e-5
    assert "rounding hides" in reach(*DEGENERATE, 2.0 * (1 + 1e-12))[1]


def test_too_many_cells_are_refused():
    X, nu = data_of(0, 60, 6)
    with pytest.raises(DataError, match="activation patterns"):
        ro.all_patterns.separation(X, nu, "cells")
