"""Projections onto activation cones, against their optimality conditions and another solver."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import lsq_linear, minimize

from relu_opt.program import cones as module
from relu_opt.program.cones import ConeRows, project_cones

EPS = np.finfo(float).eps


def signed_rows(X, mask):
    return np.where(mask, 1.0, -1.0)[:, None] * X


def check_projection(X, mask, target, point, rows, rho, tol=1e-10):
    """The KKT system of min ½‖v − c‖² subject to SXv ≥ 0: it has one solution."""
    size = np.linalg.norm(target)
    S = signed_rows(X, mask)
    norms = np.linalg.norm(X, axis=1)
    assert (rho > 0).all()
    assert len(np.unique(rows)) == len(rows) == len(rho)
    # Stationarity: v = c + (SX)ᵀρ, Moreau's decomposition.
    pull = rho @ S[rows]
    assert np.linalg.norm(target + pull - point) <= tol * size
    # Primal feasibility, relative to the norms of the rows.
    assert (S @ point >= -tol * norms * size).all()
    # Complementarity: each row with a multiplier is on the border.
    assert (np.abs(S[rows] @ point) <= tol * norms[rows] * size).all()
    # The two parts are orthogonal, and ‖c‖² = ‖v‖² + ‖(SX)ᵀρ‖².
    assert abs(point @ pull) <= tol * size**2
    assert abs(point @ point + pull @ pull - size**2) <= tol * size**2
    assert point @ target >= -tol * size**2


def project_one(X, mask, target, guesses=None):
    found = project_cones(
        ConeRows.of(X), mask[None], target[None], None if guesses is None else [guesses]
    )
    return found.points[0], found.rows[0], found.rho[0]


@settings(max_examples=150)
@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(1, 7), st.booleans())
def test_projection_satisfies_its_optimality_conditions(seed, n, d, consistent):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    # Masks of a gate give a cone with an interior; other masks may give {0}.
    mask = X @ rng.standard_normal(d) >= 0 if consistent else rng.random(n) < 0.5
    target = rng.standard_normal(d)
    check_projection(X, mask, target, *project_one(X, mask, target))


@settings(max_examples=150)
@given(st.integers(0, 10**6), st.integers(1, 6))
def test_degenerate_rows(seed, d):
    """Duplicates, opposite and zero rows, few distinct values, targets on borders."""
    rng = np.random.default_rng(seed)
    base = rng.integers(-2, 3, (rng.integers(1, 12), d)).astype(float)
    X = np.concatenate([base, base[: len(base) // 2], 3 * base[::2], -base[:1], np.zeros((2, d))])
    mask = X @ rng.integers(-2, 3, d) >= 0
    target = rng.integers(-3, 4, d).astype(float)
    if not target.any():
        target[0] = 1.0
    check_projection(X, mask, target, *project_one(X, mask, target))


@settings(max_examples=60)
@given(st.integers(0, 10**6))
def test_rows_of_wildly_different_sizes(seed):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((25, 4)) * 10.0 ** rng.integers(-8, 9, (25, 1))
    mask = X @ rng.standard_normal(4) >= 0
    target = rng.standard_normal(4) * 10.0 ** rng.integers(-8, 9)
    check_projection(X, mask, target, *project_one(X, mask, target))


@settings(max_examples=60)
@given(st.integers(0, 10**6))
def test_columns_of_wildly_different_sizes(seed):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((25, 4)) * np.array([1e-6, 1e-3, 1.0, 1e6])
    mask = X @ (rng.standard_normal(4) / np.array([1e-6, 1e-3, 1.0, 1e6])) >= 0
    target = X.T @ (mask * rng.standard_normal(25))
    check_projection(X, mask, target, *project_one(X, mask, target))


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.integers(1, 15), st.integers(1, 4))
def test_agrees_with_other_solvers(seed, n, d):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    mask = X @ rng.standard_normal(d) >= 0
    target = rng.standard_normal(d)
    point, _, _ = project_one(X, mask, target)
    S = signed_rows(X, mask)
    # The dual: least ‖c + Sᵀρ‖ over ρ ≥ 0.
    dual = lsq_linear(S.T, -target, (0, np.inf), method="bvls", tol=1e-14)
    np.testing.assert_allclose(target + S.T @ dual.x, point, atol=1e-8)
    # The primal, from inside the cone.
    primal = minimize(
        lambda v: 0.5 * ((v - target) ** 2).sum(),
        point,
        jac=lambda v: v - target,
        constraints={"type": "ineq", "fun": lambda v: S @ v, "jac": lambda v: S},
        method="SLSQP",
        options={"ftol": 1e-14},
    )
    np.testing.assert_allclose(primal.x, point, atol=1e-6)


def test_known_projections():
    X = np.eye(3)
    active = np.array([True, True, False])
    np.testing.assert_array_equal(project_one(X, active, np.array([1.0, 2.0, -3.0]))[0], [1, 2, -3])
    point, rows, rho = project_one(X, active, np.array([-1.0, 2.0, 3.0]))
    np.testing.assert_allclose(point, [0, 2, 0], atol=1e-15)
    assert dict(zip(rows.tolist(), rho, strict=True)) == pytest.approx({0: 1.0, 2: 3.0})
    # ρ belongs to the rows as they are, not to unit rows.
    point, rows, rho = project_one(10 * X, active, np.array([-1.0, 2.0, -3.0]))
    assert (rows.tolist(), rho.tolist()) == ([0], [pytest.approx(0.1)])
    # An empty interior: u ≥ 0 and u ≤ 0.
    point, _, _ = project_one(np.ones((2, 1)), np.array([True, False]), np.array([5.0]))
    assert abs(point[0]) <= 5 * EPS


def test_points_inside_stay_as_they_are():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30, 4))
    gates = rng.standard_normal((4, 10))
    found = project_cones(ConeRows.of(X), (X @ gates >= 0).T, gates.T)
    np.testing.assert_array_equal(found.points, gates.T)
    assert not any(map(len, found.rows))


def test_zero_target_and_zero_rows():
    X = np.zeros((3, 2))
    for mask in ([True] * 3, [False] * 3):
        point, rows, _ = project_one(X, np.array(mask), np.array([1.0, -2.0]))
        np.testing.assert_array_equal(point, [1.0, -2.0])
        assert not len(rows)
    X = np.random.default_rng(0).standard_normal((5, 2))
    point, rows, rho = project_one(X, X[:, 0] > 0, np.zeros(2))
    assert not point.any()
    assert not (rho @ X[rows]).any()


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(0, 3))
def test_a_guess_changes_nothing(seed, quality):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((30, 5))
    mask = X @ rng.standard_normal(5) >= 0
    target = rng.standard_normal(5)
    point, rows, _ = project_one(X, mask, target)
    guess = [
        rows,
        np.array([], dtype=np.intp),
        rng.choice(30, size=rng.integers(1, 30), replace=False),
        np.arange(30),
    ][quality]
    again = project_one(X, mask, target, guess)
    np.testing.assert_allclose(again[0], point, atol=1e-12)
    check_projection(X, mask, target, *again)
    if quality == 0:
        assert sorted(again[1]) == sorted(rows)


@settings(max_examples=40)
@given(st.integers(0, 10**6))
def test_properties_of_a_projection(seed):
    """Idempotent, positively homogeneous, 1-Lipschitz, and P_K(c) − c = P_K°(−c)."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((20, 4))
    mask = X @ rng.standard_normal(4) >= 0
    c, e = rng.standard_normal((2, 4))
    point = project_one(X, mask, c)[0]
    np.testing.assert_allclose(project_one(X, mask, point)[0], point, atol=1e-12)
    np.testing.assert_allclose(project_one(X, mask, 1e5 * c)[0], 1e5 * point, rtol=1e-9, atol=1e-7)
    other = project_one(X, mask, e)[0]
    assert np.linalg.norm(point - other) <= np.linalg.norm(c - e) * (1 + 1e-12)


def test_a_batch_is_its_parts_whatever_the_chunks(monkeypatch):
    rng = np.random.default_rng(1)
    X = rng.standard_normal((40, 6))
    masks = (X @ rng.standard_normal((6, 50)) >= 0).T
    targets = rng.standard_normal((50, 6))
    whole = project_cones(ConeRows.of(X), masks, targets)
    monkeypatch.setattr(module, "CHUNK_ENTRIES", 40 * 7)
    parts = project_cones(ConeRows.of(X), masks, targets)
    np.testing.assert_allclose(parts.points, whole.points, atol=1e-12)
    for b in range(50):
        check_projection(X, masks[b], targets[b], whole.points[b], whole.rows[b], whole.rho[b])
        single = project_one(X, masks[b], targets[b])[0]
        np.testing.assert_allclose(single, whole.points[b], atol=1e-12)


def test_many_rows_and_features():
    rng = np.random.default_rng(2)
    X = rng.standard_normal((600, 30))
    masks = (X @ rng.standard_normal((30, 20)) >= 0).T
    targets = rng.standard_normal((20, 30))
    found = project_cones(ConeRows.of(X), masks, targets)
    for b in range(20):
        check_projection(X, masks[b], targets[b], found.points[b], found.rows[b], found.rho[b])


def test_targets_are_not_written_to():
    rng = np.random.default_rng(1)
    X = rng.standard_normal((9, 3))
    targets = rng.standard_normal((4, 3))
    targets.setflags(write=False)
    project_cones(ConeRows.of(X), np.ones((4, 9), dtype=bool), targets)


@given(st.integers(0, 10**6))
def test_violation_is_the_largest_relative_one(seed):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((15, 3)) * 10.0 ** rng.integers(-5, 6, (15, 1))
    X[rng.random(15) < 0.2] = 0.0
    masks, points = rng.random((6, 15)) < 0.5, rng.standard_normal((6, 3))
    points[0] = 0.0
    found = ConeRows.of(X).violation(points, masks)
    assert found[0] == 0.0
    for mask, point, violation in zip(masks[1:], points[1:], found[1:], strict=True):
        norms = np.linalg.norm(X, axis=1)
        slack = (signed_rows(X, mask) @ point)[norms > 0] / norms[norms > 0]
        wanted = max(0.0, -slack.min(initial=0.0)) / np.linalg.norm(point)
        assert violation == pytest.approx(wanted, rel=1e-12, abs=1e-15)


@settings(max_examples=100)
@given(st.integers(0, 10**6), st.integers(2, 60), st.integers(2, 9), st.floats(0.05, 0.95))
def test_a_projection_that_is_short_enough_is_a_bound_with_valid_multipliers(seed, n, d, share):
    """Beyond `enough` it is exact; below, its norm bounds the projection's from above."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    masks = (X @ rng.standard_normal((d, 5)) >= 0).T
    targets = rng.standard_normal((5, d))
    exact = project_cones(ConeRows.of(X), masks, targets)
    norms = np.linalg.norm(exact.points, axis=1)
    enough = share * float(np.linalg.norm(targets, axis=1).max())
    found = project_cones(ConeRows.of(X), masks, targets, None, enough)
    for b in range(5):
        S = signed_rows(X, masks[b])
        assert (found.rho[b] > 0).all()
        pull = found.rho[b] @ S[found.rows[b]]
        np.testing.assert_allclose(found.points[b], targets[b] + pull, atol=1e-10)
        size = np.linalg.norm(found.points[b])
        assert size >= norms[b] - 1e-10
        if size > enough:
            np.testing.assert_allclose(found.points[b], exact.points[b], atol=1e-9)
        if norms[b] > enough * (1 + 1e-12):
            assert size > enough
