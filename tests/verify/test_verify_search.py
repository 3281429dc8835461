"""The verifier's own search over directions, which shares no code with the oracles."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import relu_opt as ro
from relu_opt.verify import search as verify_search
from relu_opt.verify.search import reach


def maximum(X, nu):
    """max |νᵀ(Xu)₊| by the cells, whose values come from projections."""
    return ro.all_patterns.separation(X, nu, "cells").upper if X.any() else 0.0


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(2, 9), st.integers(1, 4), st.booleans())
def test_it_tells_a_level_above_from_one_below(seed, n, d, integers):
    rng = np.random.default_rng(seed)
    X = rng.integers(-2, 3, (n, d)).astype(float) if integers else rng.standard_normal((n, d))
    nu = rng.integers(-2, 3, n).astype(float) if integers else rng.standard_normal(n)
    right = maximum(X, nu)
    level, problem = reach(X, nu, right * (1 + 1e-7))
    assert problem == ""
    assert right <= level * (1 + 1e-12) + 1e-15
    assert level <= right * (1 + 2e-7) + 1e-12
    if right > 1e-9:  # What is less is rounding, and allowed for.
        level, problem = reach(X, nu, right * (1 - 1e-6))
        assert level == math.inf
        assert problem


def test_it_gives_up_with_a_reason(monkeypatch):
    monkeypatch.setattr(verify_search, "MOST_CONES", 10)
    rng = np.random.default_rng(0)
    X, nu = rng.standard_normal((20, 3)), rng.standard_normal(20)
    level, problem = reach(X, nu, maximum(X, nu) * (1 + 1e-9))
    assert level == math.inf
    assert "too long to repeat" in problem


def test_a_direction_beyond_the_level_is_named():
    assert "a direction has |νᵀ(Xu)₊| = " in reach(np.eye(2), np.ones(2), 0.5)[1]
