"""Polytopes of sizes against brute force over all bases, on random and degenerate matrices."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls
from symmetric import all_vertices, same_points

from relu_opt.sets.narrowest import fewest_positive
from relu_opt.sets.polytope import Polytope, independent_rows, null_space, support
from relu_opt.sets.vertices import walk_vertices


def random_polytope(rng, rows, columns, integers):
    """{x ≥ 0 : Ax = b} with Σx = 1 among the rows; small integers make degenerate vertices."""
    A = rng.integers(-1, 2, (rows, columns)) if integers else rng.standard_normal((rows, columns))
    A = np.vstack([A, np.ones(columns)]).astype(float)
    x = rng.random(columns) * (rng.random(columns) < 0.7)
    x = x / x.sum() if x.any() else np.full(columns, 1 / columns)
    basis, _ = independent_rows(A)
    M = basis @ A
    bounded = np.ones(columns, dtype=np.bool_)
    return Polytope(M, M @ x, bounded, columns, x, 0, "highs")


PROBLEMS = st.tuples(st.integers(0, 10_000), st.integers(1, 4), st.integers(4, 8), st.booleans())


@given(PROBLEMS)
@settings(max_examples=40)
def test_against_all_bases(problem):
    seed, rows, columns, integers = problem
    polytope = random_polytope(np.random.default_rng(seed), rows, columns, integers)
    vertices = all_vertices(polytope.M, polytope.b)
    positive, inner = support(polytope)
    assert positive.tolist() == (vertices.max(axis=0) > 1e-8).tolist()
    assert (inner[positive] > 0).all()
    np.testing.assert_allclose(polytope.M @ inner, polytope.b, atol=1e-9)
    reduced = polytope.restricted(positive)
    spread = vertices - vertices[0]
    assert null_space(reduced.M).shape[1] == np.linalg.matrix_rank(spread, tol=1e-8)
    walk = walk_vertices(reduced, 10_000)
    assert walk.complete
    assert same_points(walk.vertices, vertices[:, positive])
    fewest = fewest_positive(
        polytope, np.append(vertices, [polytope.start], axis=0).max(axis=0), None
    )
    widths = (vertices > 1e-8).sum(axis=1)
    assert (fewest.x > 0).sum() == fewest.lower_bound == widths.min()
    np.testing.assert_allclose(polytope.M @ fewest.x, polytope.b, atol=1e-9)
    cost = np.random.default_rng(seed).standard_normal(columns)
    x, bound = polytope.minimise(cost)
    assert cost @ x == pytest.approx((vertices @ cost).min(), abs=1e-8)
    assert bound <= cost @ x + 1e-12
    assert bound == pytest.approx(cost @ x, abs=1e-7)


@given(PROBLEMS)
@settings(max_examples=20)
def test_the_nearest_point(problem):
    seed, rows, columns, integers = problem
    rng = np.random.default_rng(seed)
    polytope = random_polytope(rng, rows, columns, integers)
    root, target = rng.standard_normal((columns + 2, columns)), rng.standard_normal(columns + 2)
    x = polytope.nearest(np.zeros(columns), root, target)
    assert (x >= 0).all()
    np.testing.assert_allclose(polytope.M @ x, polytope.b, atol=1e-9)
    # The optimality conditions, solved for their multipliers: Px + c + Mᵀy = z ≥ 0, z·x = 0.
    gradient = root.T @ (root @ x - target)
    on = x > 0
    multipliers = np.hstack([polytope.M.T, -polytope.M.T, -np.eye(columns)[:, ~on]])
    left = nnls(multipliers, -gradient)[1]
    assert left <= 1e-9 * max(1.0, np.linalg.norm(gradient))


def test_a_cube_has_all_its_corners():
    # x_j + y_j = 1: the cube in 8 dimensions, whose 256 corners are simple vertices.
    A = np.hstack([np.eye(8), np.eye(8)])
    polytope = Polytope(
        A, np.ones(8), np.ones(16, dtype=np.bool_), 16, np.full(16, 0.5), 0, "highs"
    )
    walk = walk_vertices(polytope, 256)
    assert walk.complete
    corners = np.array(list(itertools.product([0.0, 1.0], repeat=8)))
    assert same_points(walk.vertices[:, :8], corners)
    assert not walk_vertices(polytope, 255).complete


def test_degenerate_vertices_are_listed_once():
    # Doubly stochastic 3 × 3 matrices: 6 vertices, each of many bases (Birkhoff and von Neumann).
    rows = [np.kron(np.eye(3)[i], np.ones(3)) for i in range(3)]
    rows += [np.kron(np.ones(3), np.eye(3)[i]) for i in range(3)]
    A = np.array(rows)
    basis, _ = independent_rows(A)
    polytope = Polytope(
        basis @ A, basis @ np.ones(6), np.ones(9, dtype=np.bool_), 9, np.full(9, 1 / 3), 0, "highs"
    )
    walk = walk_vertices(polytope, 100)
    permutations = [np.eye(3)[list(p)].ravel() for p in itertools.permutations(range(3))]
    assert walk.complete
    assert same_points(walk.vertices, permutations)
