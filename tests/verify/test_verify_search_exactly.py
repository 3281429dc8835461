"""The verifier's search in the plane, where the maximum is known in rational numbers."""

import functools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relu_opt.verify.directions import cut, orthants
from relu_opt.verify.search import reach


def turn(p, q):
    return p[0] * q[1] - p[1] * q[0]


def along(p, q):
    return p[0] * q[0] + p[1] * q[1]


def behind(p):
    return p[1] < 0 or (p[1] == 0 and p[0] < 0)


def by_angle(p, q):
    if behind(p) != behind(q):
        return 1 if behind(p) else -1
    return -1 if turn(p, q) > 0 else int(turn(p, q) < 0)


def squared_maximum(X, nu):
    """max |νᵀ(Xu)₊|² over unit vectors of the plane, cell by cell."""
    rows = [tuple(map(Fraction, row)) for row in X.tolist() if any(row)]
    weights = [Fraction(v) for v, row in zip(nu.tolist(), X.tolist(), strict=True) if any(row)]
    rays = [ray for a, b in rows for ray in ((-b, a), (b, -a))]
    rays.sort(key=functools.cmp_to_key(by_angle))
    best = Fraction(0)
    for p, q in zip(rays, rays[1:] + rays[:1], strict=True):
        value = sum(v * max(along(row, p), 0) for v, row in zip(weights, rows, strict=True))
        best = max(best, value**2 / along(p, p))
        if turn(p, q) == 0 and along(p, q) > 0:
            continue
        inner = (p[0] + q[0], p[1] + q[1]) if turn(p, q) else (-p[1], p[0])
        g = [
            sum(v * row[k] for v, row in zip(weights, rows, strict=True) if along(row, inner) > 0)
            for k in (0, 1)
        ]
        for peak in (g, [-g[0], -g[1]]):
            inside = turn(p, peak) >= 0 and (turn(peak, q) >= 0 or turn(p, q) == 0)
            best = max(best, along(g, g) if inside else 0)
    return best


def planar(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 9))
    kind = rng.integers(0, 4)
    X = rng.standard_normal((n, 2)) if kind < 2 else rng.integers(-3, 4, (n, 2)).astype(float)
    if kind == 1:
        X = X[rng.integers(0, n, n)] * rng.choice([1.0, -1.0, 2.0, 3.0, 0.1], n)[:, None]
    if kind == 3:
        X += 10.0 ** -rng.integers(6, 16) * rng.standard_normal((n, 2))
    nu = rng.standard_normal(n) if seed % 2 else rng.integers(-2, 3, n).astype(float)
    return X, nu


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**9), st.sampled_from([-1e-12, -1e-13, -1e-14, -1e-15, 0.0]))
def test_no_level_below_the_maximum_is_settled_falsely(seed, share):
    X, nu = planar(seed)
    square = squared_maximum(X, nu)
    bound, problem = reach(X, nu, math.sqrt(square) * (1 + share))
    # It may be settled with what rounding may be, but not at less than the maximum.
    assert problem or Fraction(bound) ** 2 >= square


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**9), st.sampled_from([1e-11, 1e-9]))
def test_levels_above_the_maximum_are_settled(seed, share):
    X, nu = planar(seed)
    level = math.sqrt(squared_maximum(X, nu)) * (1 + share)
    bound, problem = reach(X, nu, level)
    assert problem == ""
    size = float(np.abs(nu) @ np.linalg.norm(X, axis=1))
    assert bound <= level * (1 + 1e-13) + 2e-13 * size + 1e-140


def test_merged_rows_are_charged():
    # Both rows are one kink of the search, 5e-13 apart, with large weights of opposite sign.
    X, nu = np.array([[1.0, 0.0], [1.0, 5e-13]]), 1e13 * np.array([1.0, -1.0])
    square = squared_maximum(X, nu)
    for level in (1.0, 4.0, 6.0):
        bound, problem = reach(X, nu, level)
        assert problem or Fraction(bound) ** 2 >= square


@pytest.mark.parametrize("rank", [2, 3, 5])
def test_cones_cover_all_directions_exactly(rank):
    cones = orthants(rank)
    for _ in range(8):
        before, cones = cones, cut(cones)
        middle = cones[: len(before)] - before
        assert (np.abs(cones).sum(axis=2) == 1).all()
        for old, one, two in zip(before, cones, cones[len(before) :], strict=False):
            j = int(np.flatnonzero((one != old).any(axis=1))[0])
            i = int(np.flatnonzero((two != old).any(axis=1))[0])
            # The new corner is on the edge: a combination of its ends with shares in eighths.
            share = next(
                k for k in range(1, 8) if np.array_equal(8 * one[j], k * old[j] + (8 - k) * old[i])
            )
            assert np.array_equal(two[i], one[j])
            assert 0 < share < 8
        cones = cones[:: max(1, len(cones) // 200)]
    assert middle.any()


def test_rays_and_short_edges_are_not_cut():
    assert cut(orthants(1)) is None
    assert cut(np.array([[[1.0, 0.0], [1.0 - 2.0**-30, 2.0**-30]]])) is None
