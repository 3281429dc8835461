"""The verifier's exact count of cells, against formulas, known numbers and linear programs."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relu_opt.verify.cells import count_cells, whole


def formula(n, r):
    return 2 * sum(math.comb(n - 1, k) for k in range(r))


def feasible(normals):
    """Whether some g has aᵀg > 0 for all normals, by elimination in rationals (Fourier)."""
    rows = {tuple(row) for row in normals}
    while rows:
        if any(not any(row) for row in rows):
            return False
        up = [row for row in rows if row[-1] > 0]
        down = [row for row in rows if row[-1] < 0]
        rows = {row[:-1] for row in rows if row[-1] == 0}
        for one, two in itertools.product(up, down):
            mixed = [a * -two[-1] + b * one[-1] for a, b in zip(one, two, strict=True)]
            largest = max(map(abs, mixed)) or 1
            rows.add(tuple(entry / largest for entry in mixed[:-1]))
    return True


def by_programs(X):
    """The number of cells: every choice of signs is tried, row by row."""
    rows = [[Fraction(entry) for entry in row] for row in X.tolist() if any(row)]
    open_ = [[]]
    for row in rows:
        sides = [row, [-entry for entry in row]]
        tried = [[*cell, side] for cell in open_ for side in sides]
        open_ = [cell for cell in tried if feasible(cell)]
    return len(open_)


@pytest.mark.parametrize(
    ("n", "r"), [(1, 1), (5, 1), (6, 2), (7, 3), (8, 4), (7, 5), (40, 3), (6, 6)]
)
def test_count_of_cells_in_general_position(n, r):
    # Padded by columns that add nothing to the rank.
    rows = np.random.default_rng(n).standard_normal((n, r)) @ np.eye(r, r + 2)
    cells = 2 if r == 1 else formula(n, r)
    assert count_cells(rows, cells) == cells
    assert count_cells(np.vstack([rows, -4 * rows, np.zeros(r + 2), rows]), cells) == cells
    assert count_cells(rows, cells - 1) is None


@pytest.mark.parametrize(
    ("rows", "cells"),
    [
        (np.zeros((0, 3)), 1),
        (np.zeros((2, 3)), 1),
        ([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1]], 12),
        # The same three lines, no more through one point.
        ([[1, 0, 0], [0, 1, 0], [1, 1, 2.0**-40], [0, 0, 1]], 14),
        ([[1, 0, 0], [0, 1, 0], [1, 1, 2.0**-1000], [0, 0, 1]], 14),
        (
            [
                [1, -1, 0, 0],
                [1, 0, -1, 0],
                [1, 0, 0, -1],
                [0, 1, -1, 0],
                [0, 1, 0, -1],
                [0, 0, 1, -1],
            ],
            24,
        ),
        (np.vstack([np.eye(4), [[1, s, 0, 0] for s in (1, -1)]]), 8 * 4),
        (list(itertools.product((0, 1), repeat=3))[1:], 32),
        # Readings far from zero, whose lines are within 1e-10 of each other.
        ([[101325 + k, 1] for k in range(10)], 20),
        ([[1, 2e-13], [1, 4e-13], [1, 6e-13]], 6),
    ],
)
def test_count_of_cells_of_degenerate_data(rows, cells):
    rows = np.asarray(rows, dtype=float)
    assert count_cells(rows, 100) == cells
    assert count_cells(rows * 2.0 ** np.arange(len(rows))[:, None], 100) == cells
    assert count_cells(2.0**500 * rows, 100) == cells


def test_counting_ends_once_there_are_more_than_asked():
    rows = np.random.default_rng(0).standard_normal((100, 8))
    assert count_cells(rows, 1000) is None


near = st.builds(
    lambda base, k, digits: base + k * 10.0**-digits,
    st.integers(-2, 2),
    st.integers(-1, 1),
    st.integers(3, 17),
)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(2, 3).flatmap(
        lambda d: st.lists(st.lists(near, min_size=d, max_size=d), min_size=1, max_size=6)
    )
)
def test_the_count_of_nearly_degenerate_data_against_elimination(rows):
    X = np.array(rows)
    assert count_cells(X, 100) == by_programs(X)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=4))
def test_whole_vectors_are_multiples(entries):
    found = whole(np.array(entries))
    k = next((k for k, entry in enumerate(entries) if entry), None)
    for number, entry in zip(found, entries, strict=True):
        if k is None:
            assert number == 0
        else:
            assert number * Fraction(entries[k]) == Fraction(entry) * found[k]
