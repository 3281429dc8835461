"""Enumeration of patterns against the counting formula and against linear programs."""

from __future__ import annotations

import itertools
import math
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

import relu_opt as ro
from relu_opt.errors import DataError
from relu_opt.program import arrangement, cells
from relu_opt.program.arrangement import (
    count_patterns,
    count_patterns_bound,
    enumerate_patterns,
    stream_patterns,
)
from relu_opt.program.patterns import Patterns, sample_patterns
from relu_opt.verify.cells import count_cells
from relu_opt.verify.signs import signs as exact_signs


def formula(n, r):
    return 2 * sum(math.comb(n - 1, k) for k in range(r))


def brute_force(X):
    """All strict sign patterns of the non-zero rows, each by a linear program."""
    present = X.any(axis=1)
    rows = X[present]
    found = set()
    for signs in itertools.product((1.0, -1.0), repeat=len(rows)):
        normals = -np.array(signs)[:, None] * rows
        answer = linprog(
            np.zeros(X.shape[1]), A_ub=normals, b_ub=-np.ones(len(rows)), bounds=(None, None)
        )
        assert answer.status in (0, 2)
        if answer.status == 0:
            mask = np.ones(len(X), dtype=bool)
            mask[present] = np.array(signs) > 0
            found.add(mask.tobytes())
    return found


def check(X, patterns):
    """Witnesses, distinctness and symmetry; returns the set of masks."""
    masks, present = patterns.masks, X.any(axis=1)
    assert patterns.complete
    np.testing.assert_array_equal((X @ patterns.gates > 0)[present], masks[present])
    assert masks[~present].all()
    np.testing.assert_allclose(np.linalg.norm(patterns.gates, axis=0), 1.0)
    found = {mask.tobytes() for mask in masks.T}
    assert len(found) == len(patterns)
    negated = masks.copy()
    negated[present] ^= True
    assert {mask.tobytes() for mask in negated.T} == found
    return found


def masks_inside(X, patterns):
    """The patterns of the exact sums of gates and remainders; without zeros, (n, p)."""
    rest = [] if patterns.remainders is None else list(patterns.remainders)
    points = np.concatenate([patterns.gates, *rest])
    signs = exact_signs(np.tile(X, 1 + len(rest)), points.T)
    assert (signs != 0).all()
    return signs > 0


@pytest.mark.parametrize(
    ("n", "d"),
    [
        (1, 1),
        (1, 4),
        (2, 2),
        (9, 2),
        (60, 2),
        (3, 3),
        (7, 3),
        (40, 3),
        (12, 4),
        (7, 5),
        (5, 5),
        (4, 9),
    ],
)
def test_general_position(n, d):
    X = np.random.default_rng(n * d).standard_normal((n, d))
    patterns = enumerate_patterns(X)
    check(X, patterns)
    assert len(patterns) == formula(n, min(n, d)) == count_patterns_bound(X) == count_patterns(X)


def degenerate():
    rng = np.random.default_rng(5)

    def few_digits(*shape):
        """Numbers whose products are exact."""
        return rng.integers(-99, 100, shape) / 16

    base = few_digits(3, 3)
    plane = few_digits(2, 3)
    yield "duplicate", np.vstack([base, base[:2]])
    yield "zero row", np.vstack([base, np.zeros((2, 3)), few_digits(1, 3)])
    yield "parallel", np.vstack([base, 3.75 * base[0], 2.0**-20 * base[1]])
    yield "antiparallel", np.vstack([base, -base, -2 * base[:1]])
    yield "coplanar", np.vstack([few_digits(4, 2) @ plane, base[:2]])
    yield "rank 2 in 6", few_digits(6, 2) @ few_digits(2, 6)
    yield "rank 1", few_digits(4, 1) @ few_digits(1, 3)
    yield "one column", rng.standard_normal((5, 1))
    yield "lattice", np.array(list(itertools.product((0, 1), repeat=3)))[1:] * 1.0
    yield (
        "braid",
        np.array([[1, -1, 0, 0], [1, 0, -1, 0], [1, 0, 0, -1], [0, 1, -1, 0], [0, 1, 0, -1]]) * 1.0,
    )
    yield "axes", np.vstack([np.eye(4), [[1, 1, 0, 0], [1, -1, 0, 0]]])
    yield "general", rng.standard_normal((6, 4))
    yield "with ones", np.column_stack([np.arange(7.0), np.ones(7)])
    yield "scales", rng.standard_normal((6, 3)) * (10.0 ** np.arange(-150, 150, 50))[:, None]


DEGENERATE = dict(degenerate())


@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_data_against_linear_programs(name):
    X = DEGENERATE[name]
    patterns = enumerate_patterns(X)
    # Positive scales do not change a pattern, and a linear program needs moderate numbers.
    sizes = np.abs(X).max(axis=1, keepdims=True)
    scaled = X / np.where(sizes > 0, sizes, 1.0)
    assert check(X, patterns) == brute_force(scaled)
    assert len(patterns) == count_patterns(X) <= count_patterns_bound(X)


def test_zero_data_have_one_pattern():
    patterns = enumerate_patterns(np.zeros((3, 2)))
    assert patterns.masks.tolist() == [[True]] * 3
    assert patterns.gates.shape == (2, 1)
    assert count_patterns_bound(np.zeros((3, 2))) == 1


def test_bound_counts_distinct_hyperplanes():
    X = np.random.default_rng(0).standard_normal((5, 3))
    repeated = np.vstack([X, -2 * X, X[:1], np.zeros((4, 3))])
    assert count_patterns_bound(repeated) == formula(5, 3)
    assert count_patterns_bound(np.hstack([X, X])) == formula(5, 3)


def test_too_many_patterns_are_refused():
    X = np.random.default_rng(0).standard_normal((1000, 20))
    with pytest.raises(DataError, match="sample_patterns") as caught:
        enumerate_patterns(X)
    assert caught.value.fields == {"count": formula(1000, 20), "limit": 100_000}
    assert str(formula(1000, 20)) in str(caught.value)
    small = X[:6, :3]
    with pytest.raises(DataError, match="max_patterns = 31"):
        enumerate_patterns(small, max_patterns=31)
    assert len(enumerate_patterns(small, max_patterns=32)) == 32


def test_unusable_input_is_refused():
    for X in (np.ones(3), [[math.nan, 1.0]], np.zeros((0, 2))):
        for function in (enumerate_patterns, stream_patterns, count_patterns, count_patterns_bound):
            with pytest.raises(DataError):
                function(X)
    with pytest.raises(DataError):
        enumerate_patterns(np.eye(2), max_patterns=0)
    # Before anything is asked of the stream.
    with pytest.raises(DataError, match="chunk"):
        stream_patterns(np.eye(2), chunk=0)
    with pytest.raises(DataError, match="max_steps"):
        count_patterns(np.eye(2), max_steps=0)


def test_the_same_data_give_the_same_patterns():
    X = np.random.default_rng(1).standard_normal((12, 4))
    first, second = enumerate_patterns(X), enumerate_patterns(X)
    np.testing.assert_array_equal(first.packed, second.packed)
    np.testing.assert_array_equal(first.gates, second.gates)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(-2, 2), min_size=4, max_size=4), min_size=1, max_size=11))
def test_integer_data_against_an_independent_count(rows):
    X = np.array(rows, dtype=float)
    found = check(X, enumerate_patterns(X))
    assert len(found) == count_cells(X, most=len(found))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.floats(1.0, 15.0))
def test_nearly_degenerate_data_are_right_or_refused(seed, digits):
    rng = np.random.default_rng(seed)
    X = rng.integers(-1, 2, (8, 3)) + 10.0**-digits * rng.standard_normal((8, 3))
    try:
        patterns = enumerate_patterns(X)
    except DataError:
        # Only rows that rounding could confuse may be refused.
        assert digits > 6
        return
    masks = masks_inside(X, patterns).T
    np.testing.assert_array_equal(masks, patterns.masks.T)
    assert len({mask.tobytes() for mask in masks}) == count_cells(X, most=len(masks))


# -- counts and theory ---------------------------------------------------------------------


@pytest.mark.parametrize(("n", "d", "count"), [(6, 2, 12), (7, 3, 44), (8, 4, 128), (7, 5, 114)])
def test_the_counts_of_the_theory(n, d, count):
    X = np.random.default_rng(0).standard_normal((n, d))
    assert check(X, enumerate_patterns(X)) == brute_force(X)
    assert count_patterns(X) == count


def test_a_large_arrangement_has_as_many_cells_as_the_formula_says():
    X = np.random.default_rng(0).standard_normal((200, 3))
    assert len(check(X, enumerate_patterns(X))) == 39_802 == count_patterns(X)


def test_a_count_that_would_take_long_is_refused():
    X = np.random.default_rng(0).standard_normal((1000, 20))
    with pytest.raises(DataError, match="count_patterns_bound") as caught:
        count_patterns(X)
    assert caught.value.fields["limit"] == arrangement.COUNT_STEPS
    assert caught.value.fields["steps"] == math.comb(1000, 18) * 1000 * 20
    with pytest.raises(DataError, match="max_steps"):
        count_patterns(X[:9, :3], max_steps=100)


small_integers = st.lists(
    st.lists(st.integers(-1, 1), min_size=3, max_size=3), min_size=1, max_size=6
)


@settings(max_examples=15, deadline=None)
@given(small_integers)
def test_very_degenerate_data_against_linear_programs(rows):
    X = np.array(rows, dtype=float)
    patterns = enumerate_patterns(X)
    assert check(X, patterns) == brute_force(X)
    assert count_patterns(X) == len(patterns)


def lattice(side, d):
    points = np.array(list(itertools.product(range(side), repeat=d)), dtype=float)
    return np.column_stack([points, np.ones(len(points))])


@pytest.mark.parametrize(("side", "d"), [(5, 2), (2, 4), (3, 3)])
def test_lattices_with_a_bias(side, d):
    X = lattice(side, d)
    found = check(X, enumerate_patterns(X))
    assert len(found) == count_cells(X, most=len(found)) == count_patterns(X)
    # Threshold functions on the cube of 4 dimensions: a number that is known (OEIS A000609).
    if (side, d) == (2, 4):
        assert len(found) == 1882


# -- the stream ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", DEGENERATE)
@pytest.mark.parametrize("chunk", [1, 5, 10_000])
def test_the_stream_has_the_same_patterns(name, chunk):
    X = DEGENERATE[name]
    everything = enumerate_patterns(X)
    parts = list(stream_patterns(X, chunk=chunk))
    assert all(1 <= len(part) <= chunk and not part.complete for part in parts)
    found = [row.tobytes() for part in parts for row in part.packed]
    assert len(found) == len(everything)
    assert set(found) == {row.tobytes() for row in everything.packed}
    for part in parts:
        np.testing.assert_array_equal(
            (X @ part.gates > 0)[X.any(axis=1)], part.masks[X.any(axis=1)]
        )


def test_small_batches_change_nothing(monkeypatch):
    X = lattice(3, 2)
    before = {row.tobytes() for row in enumerate_patterns(X).packed}
    monkeypatch.setattr(cells, "BATCH", 20)
    after = [row.tobytes() for part in stream_patterns(X) for row in part.packed]
    assert len(after) == len(before)
    assert set(after) == before


def test_a_stream_holds_no_more_than_a_part():
    X = np.random.default_rng(0).standard_normal((60, 4))
    tracemalloc.start()
    count = sum(len(part) for part in stream_patterns(X))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 68_560 == formula(60, 4)
    assert peak < 100e6
    # The first part of 2 · 10^11 patterns does not wait for the others.
    X = np.random.default_rng(0).standard_normal((400, 6))
    assert count_patterns_bound(X) > 10**11
    part = next(stream_patterns(X))
    np.testing.assert_array_equal(X @ part.gates > 0, part.masks)


def test_missing_cells_are_noticed(monkeypatch):
    X = np.random.default_rng(0).standard_normal((9, 3))
    whole = cells.stream_cells

    def partly(lines):
        for signs, points in whole(lines):
            yield signs[1:], points[1:]

    monkeypatch.setattr(arrangement, "stream_cells", partly)
    with pytest.raises(DataError, match="nearly dependent"):
        list(stream_patterns(X))
    # Integers find them all.
    assert len(check(X, enumerate_patterns(X))) == count_patterns(X) == formula(9, 3)
    monkeypatch.setattr(arrangement, "EXACT_SIGNS", 10)
    with pytest.raises(DataError, match="nearly dependent"):
        enumerate_patterns(X)


CLOSE = {
    "pressures": ([[101325.0 + k, 1.0] for k in range(10)], 20),
    "a triple": ([[1.0, 0, 0], [0, 1, 0], [1, 1, 2.0**-40], [0, 0, 1]], 14),
    "thirds": ([[0.7, 0.2], [0.7 / 3, 0.2 / 3]], 4),
    "tenths": ([[k / 10, 3 * k / 10, 1.0] for k in range(1, 7)], 28),
    "three times": ([[0.1, 0.3], [0.3, 0.9]], 4),
}


@pytest.mark.parametrize("name", CLOSE)
def test_cells_that_rounding_hides_are_listed(name):
    rows, count = CLOSE[name]
    X = np.array(rows)
    assert count_patterns(X) == count
    assert count_patterns_bound(X) >= count
    patterns = enumerate_patterns(X)
    np.testing.assert_array_equal(masks_inside(X, patterns), patterns.masks)
    assert len({row.tobytes() for row in patterns.packed}) == count
    np.testing.assert_allclose(np.linalg.norm(patterns.gates, axis=0), 1.0, rtol=1e-10)
    few = patterns.with_rows([0, 1])
    np.testing.assert_array_equal(masks_inside(X[:2], few), few.masks)
    some = patterns.select(np.arange(0, count, 3))
    np.testing.assert_array_equal(masks_inside(X, some), some.masks)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("standardized", [False, True])
def test_data_in_tenths_are_certified_over_all_patterns(seed, standardized, tmp_path):
    """Rows that are dependent in decimals, and not quite so as doubles: cells hold no double."""
    rng = np.random.default_rng(seed)
    table, y = rng.integers(-10, 11, (17, 2)) / 10, rng.integers(-20, 21, 17) / 10
    if standardized:
        table = (table - table.mean(axis=0)) / table.std(axis=0)
    X = np.column_stack([table, np.ones(17)])
    patterns = enumerate_patterns(X)
    assert len(patterns) == count_cells(X, most=1000)
    np.testing.assert_array_equal(masks_inside(X, patterns), patterns.masks)
    prog = ro.ConvexProgram(X, y, 0.01, patterns)
    # Patterns of the user's own, without gates, are no witnesses; those that are listed are.
    bare = prog.with_patterns(Patterns(patterns.masks))
    proof = ro.certify(bare, ro.solve(prog), scope="all")
    assert proof.verdict == "certified"
    proof.save(tmp_path / "proof.npz")
    for arithmetic in ("float", "exact"):
        assert ro.verify(tmp_path / "proof.npz", X, y, arithmetic=arithmetic).valid
    if patterns.remainders is None:
        return
    # Without its remainders the list is not shown to be one of cells.
    bare = replace(proof, patterns=Patterns.from_packed(patterns.packed, 17, patterns.gates, True))
    assert not ro.verify(bare, X, y).valid
    with pytest.raises(DataError, match="too thin"):
        ro.ConvexProgram(X, y, 0.01, patterns, activation="gated")


def test_some_of_these_data_need_remainders():
    tables = [np.random.default_rng(seed).integers(-10, 11, (17, 2)) / 10 for seed in range(4)]
    needed = [enumerate_patterns(np.c_[X, np.ones(17)]).remainders is not None for X in tables]
    assert sum(needed) >= 2


@pytest.mark.parametrize(
    "rest", [np.zeros((1, 2, 2)), np.zeros((2, 1)), np.full((1, 2, 1), np.nan)]
)
def test_remainders_have_the_shape_of_the_gates(rest):
    with pytest.raises(DataError, match="remainders"):
        Patterns([[True]], [[1.0], [0.0]], remainders=rest)


# -- gates from corners --------------------------------------------------------------------


def test_corners_find_cells_that_normal_gates_miss():
    X = np.random.default_rng(0).standard_normal((20, 3))
    known = {row.tobytes() for row in enumerate_patterns(X).packed}
    assert len(known) == 382
    sampled = {
        method: {row.tobytes() for row in sample_patterns(X, 1000, 0, method).packed}
        for method in ("gaussian", "corners")
    }
    assert all(found <= known for found in sampled.values())
    assert len(sampled["gaussian"]) < 240
    assert len(sampled["corners"]) > 330


@pytest.mark.parametrize("name", [*DEGENERATE, "zero"])
def test_gates_from_corners_are_inside_cells(name):
    X = np.zeros((3, 2)) if name == "zero" else DEGENERATE[name]
    patterns = sample_patterns(X, 400, 1, method="corners")
    assert not patterns.complete
    present = X.any(axis=1)
    np.testing.assert_array_equal((X @ patterns.gates > 0)[present], patterns.masks[present])
    found = {row.tobytes() for row in patterns.packed}
    assert found <= {row.tobytes() for row in enumerate_patterns(X).packed}
    # A few dozen cells, and 400 gates.
    assert len(found) >= 0.9 * len(enumerate_patterns(X))
    again = sample_patterns(X, 400, 1, method="corners")
    np.testing.assert_array_equal(again.gates, patterns.gates)


def test_unknown_samplers_and_rows_without_a_corner_are_refused():
    with pytest.raises(DataError, match="'gaussian' or 'corners'"):
        sample_patterns(np.eye(3), method="vertices")
    # Most choices of three rows lie in a plane.
    plane = np.column_stack([np.arange(1.0, 40.0), np.arange(1.0, 40.0) ** 2, np.zeros(39)])
    X = np.zeros((41, 4))
    X[:39, :3] = plane
    X[39:, 2:] = np.eye(2)
    with pytest.raises(DataError, match="dependent") as caught:
        sample_patterns(X, 1, 0, method="corners")
    assert caught.value.fields == {"n_gates": 1}
    assert len(sample_patterns(X, 500, 0, method="corners")) > 20
