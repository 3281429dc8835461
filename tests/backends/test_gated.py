"""Training gated networks: against another solver, its parts, and when it is stopped."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from targets import targets_of

import relu_opt as ro
from relu_opt.plugins.types import SolveOptions, StopReason
from relu_opt_native import gated, group_columns, group_newton
from relu_opt_native.curvature import Curvature, Damping
from relu_opt_native.gated import train_gated
from relu_opt_native.group_columns import DiagonalData, GroupColumns
from relu_opt_native.group_newton import Manner, NewtonSystem
from relu_opt_native.radii import best_sizes, curvature_root

LOSSES = ("squared", "logistic", "squared_hinge", ro.losses.Huber(0.4), "poisson")
CASES = list(product(LOSSES, (False, True), (False, True)))
every_case = pytest.mark.parametrize(("loss", "intercept", "weighted"), CASES)


def certified(prog, tol=1e-10, **arguments):
    sol = ro.solve(prog, backend="native", tol=tol, **arguments)
    assert sol.certificate.verdict == ro.Verdict.CERTIFIED, (sol, sol.certificate.reason)
    found = ro.verify(sol.certificate, prog.X, prog.y)
    assert found.valid, found.problems
    return sol


def work(sol):
    return sol.stats["backend_stats"]["products"]


def spread(seed=0, n=300, d=12, p=60, share=0.03, **changes):
    """A program with correlated features, a hidden bias and many patterns."""
    rng = np.random.default_rng(seed)
    X = np.c_[rng.standard_normal((n, d - 1)) @ rng.standard_normal((d - 1, d - 1)), np.ones(n)]
    y = np.sin(X[:, 0]) + np.maximum(X[:, 1:4].sum(axis=1), 0) / 3 + 0.1 * rng.standard_normal(n)
    y = targets_of(changes.get("loss", "squared"), y - y.mean())
    prog = ro.ConvexProgram(
        X, y, 1.0, ro.sample_patterns(X, p, seed=seed), activation="gated", **changes
    )
    return prog.with_lam(share * prog.lam_max)


# -- answers -----------------------------------------------------------------------------


@every_case
def test_agrees_with_an_interior_point_method(make_program, loss, intercept, weighted):
    prog = make_program(
        3, n=20, d=4, p=9, lam_share=0.1, loss=loss, activation="gated", intercept=intercept,
        weighted=weighted,
    )  # fmt: skip
    other = ro.solve(prog, backend="clarabel", tol=1e-8)
    assert certified(prog).objective == pytest.approx(other.objective, rel=1e-7)


@every_case
def test_is_certified_to_ten_digits(loss, intercept, weighted):
    weight = np.random.default_rng(1).uniform(0.2, 3.0, 300) if weighted else None
    prog = spread(loss=loss, intercept=intercept, sample_weight=weight)
    sol = certified(prog)
    assert sol.stop is StopReason.CONVERGED
    assert 3 < len(sol.network) < 60


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("share", [1e-5, 1e-3, 0.5, 0.999])
def test_any_lam(loss, share):
    certified(spread(n=80, d=5, p=20, share=share, loss=loss), tol=1e-8)


@every_case
def test_from_lam_max_on_the_answer_is_zero(loss, intercept, weighted):
    weight = np.random.default_rng(1).uniform(0.2, 3.0, 300) if weighted else None
    sol = certified(spread(share=1.0001, loss=loss, intercept=intercept, sample_weight=weight))
    assert not sol.weights.any()
    assert work(sol) == 0


@pytest.mark.parametrize("loss", LOSSES)
def test_more_features_than_samples(loss):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((25, 70))
    y = np.where(X[:, 0] > 0, 1.0, -1.0)
    y = targets_of(loss, y)
    prog = ro.ConvexProgram(X, y, 1.0, ro.sample_patterns(X, 30), loss, "gated")
    certified(prog.with_lam(0.05 * prog.lam_max))


@pytest.mark.parametrize(("of_X", "of_y"), [(1e8, 1.0), (1e-8, 1.0), (1.0, 1e8), (1e-4, 1e4)])
def test_units_do_not_matter(of_X, of_y):
    plain = spread()
    base = certified(plain)
    scaled = ro.ConvexProgram(
        of_X * plain.X, of_y * plain.y, of_X * of_y * plain.lam, plain.patterns, activation="gated"
    )
    sol = certified(scaled, tol=1e-9)
    assert sol.objective == pytest.approx(of_y**2 * base.objective, rel=1e-8)


@given(st.integers(0, 10**6), st.floats(-3.0, 3.0), st.permutations(range(12)))
@settings(max_examples=12)
def test_scaling_and_order_change_nothing_else(seed, exponent, order):
    prog = spread(seed % 1000, n=40, d=4, p=12, share=0.1)
    order = np.array(order)[: len(prog.patterns)].argsort()
    factor = 10.0**exponent
    mixed = ro.Patterns.from_packed(
        prog.patterns.packed[order], prog.n, prog.patterns.gates[:, order]
    )
    other = ro.ConvexProgram(prog.X, factor * prog.y, factor * prog.lam, mixed, activation="gated")
    first, second = certified(prog), certified(other)
    assert second.objective == pytest.approx(factor**2 * first.objective, rel=1e-9)
    fits = prog.fits(first.weights)
    apart = np.linalg.norm(other.fits(second.weights) / factor - fits)
    assert apart <= 1e-4 * max(np.linalg.norm(fits), np.linalg.norm(prog.y))


def test_many_samples():
    prog = spread(n=2100, d=10, p=40, share=0.01, intercept=True)
    certified(prog)


def test_single_precision_products_reach_the_same_tolerance(monkeypatch):
    prog = spread(n=2100, d=10, p=40, share=0.05)
    used = []
    build = NewtonSystem.__init__

    def watched(self, *arguments):
        build(self, *arguments)
        used.append(self.single)

    monkeypatch.setattr(NewtonSystem, "__init__", watched)
    double = certified(prog)
    assert not any(used)
    monkeypatch.setattr(group_newton, "LARGE", 0)
    single = certified(prog)
    assert any(used)
    assert single.objective == pytest.approx(double.objective, rel=1e-10)


def test_masks_need_not_be_kept(monkeypatch):
    prog = spread()
    kept = certified(prog)
    monkeypatch.setattr(group_columns, "KEPT_BYTES", 0)
    monkeypatch.setattr(group_columns, "CHUNK_BYTES", 2**14)
    assert certified(prog).objective == pytest.approx(kept.objective, rel=1e-10)


# -- stopping and starting ---------------------------------------------------------------


def test_a_warm_start_needs_less_work():
    prog = spread()
    cold = certified(prog)
    again = certified(prog, warm_start=cold)
    near = certified(prog.with_lam(0.95 * prog.lam), warm_start=cold)
    from_zero = certified(prog.with_lam(0.95 * prog.lam))
    assert work(again) <= 0.3 * work(cold)
    assert work(near) < work(from_zero)


def test_a_start_worse_than_nothing_is_not_used():
    prog = spread()
    cold = certified(prog)
    start = 1e8 * np.random.default_rng(0).standard_normal(prog.weights_shape)
    assert work(certified(prog, warm_start=start)) == work(cold)


def test_a_time_limit_leaves_an_answer_with_its_gap(clock):
    prog = spread(n=500, d=40, p=100, share=1e-3)
    sol = ro.solve(prog, backend="native", tol=1e-12, time_limit=5.0)
    assert sol.stop is StopReason.TIME_LIMIT
    assert sol.rel_gap > 1e-12
    assert 0 < sol.lower_bound < sol.objective
    assert sol.objective <= prog.mean_loss(np.zeros(prog.n))


def test_an_interruption_leaves_the_best_answer():
    prog = spread()
    events = []

    def stop_at_four(event):
        events.append(event)
        if len(events) == 5:
            raise KeyboardInterrupt

    raw = train_gated(prog, SolveOptions(tol=1e-12, progress=stop_at_four), 100)
    assert raw.stop is StopReason.INTERRUPTED
    value = prog.objective(raw.x)
    assert value == pytest.approx(raw.objective, rel=1e-12)
    assert value < prog.mean_loss(np.zeros(prog.n))
    assert np.linalg.norm(prog.correlations(raw.duals), axis=1).max() <= prog.lam * (1 + 1e-12)
    assert prog.dual_objective(raw.duals) <= value
    gaps = [event.rel_gap for event in events]
    assert gaps == sorted(gaps, reverse=True)


def test_an_iteration_limit():
    prog = spread()
    raw = train_gated(prog, SolveOptions(tol=1e-12), 3)
    assert raw.stop is StopReason.ITERATION_LIMIT
    assert raw.stats["iterations"] == 3
    assert raw.stats["newton_steps"] <= 3


def test_unattainable_tolerances_end():
    raw = train_gated(spread(n=60, p=20), SolveOptions(tol=1e-18), 500)
    assert raw.stop in (StopReason.NUMERICAL, StopReason.CONVERGED)
    assert raw.stats["iterations"] < 200


# -- parts -------------------------------------------------------------------------------


def group_matrix(columns):
    """The columns of the groups, written out: (n, k·r)."""
    masks = columns.data.patterns.unpack(columns.which)
    return np.hstack([mask[:, None] * columns.data.X for mask in masks])


@pytest.fixture(params=[2**28, 0])
def columns(request, monkeypatch):
    monkeypatch.setattr(group_columns, "KEPT_BYTES", request.param)
    if not request.param:
        monkeypatch.setattr(group_columns, "CHUNK_BYTES", 2**10)
    prog = spread(n=50, d=4, p=20)
    return GroupColumns(DiagonalData.of(prog), np.array([3, 0, 7, 11]))


def test_the_data_are_rotated():
    X = np.random.default_rng(0).standard_normal((30, 3)) @ np.ones((3, 5))
    X = X + np.outer(np.arange(30), np.arange(5))
    prog = ro.ConvexProgram(X, np.ones(30), 1.0, ro.sample_patterns(X, 5), activation="gated")
    data = DiagonalData.of(prog)
    assert data.X.shape == (30, 2)
    np.testing.assert_allclose(data.X @ data.V.T, X, atol=1e-10)
    np.testing.assert_allclose(
        data.X.T @ data.X, np.diag(data.squares), atol=1e-9 * data.largest**2
    )


def test_products(columns):
    matrix, rng = group_matrix(columns), np.random.default_rng(0)
    nu, weights = rng.standard_normal(50), rng.standard_normal((4, 4))
    np.testing.assert_allclose(columns.correlate(nu).ravel(), matrix.T @ nu, atol=1e-11)
    np.testing.assert_allclose(columns.fits(weights), matrix @ weights.ravel(), atol=1e-11)
    single = columns.fits(weights.astype(np.float32), columns.data.single)
    assert single.dtype == np.float32
    np.testing.assert_allclose(
        columns.data.largest * single, matrix @ weights.ravel(), atol=1e-4 * np.abs(matrix).max()
    )
    masks = columns.data.patterns.unpack(columns.which).astype(float)
    np.testing.assert_allclose(columns.overlaps(nu**2), (masks * nu**2) @ masks.T, atol=1e-12)


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("dense", [False, True])
def test_the_newton_equations_are_solved(columns, intercept, dense):
    rng = np.random.default_rng(1)
    matrix, curvature = group_matrix(columns), Curvature(rng.random(50), intercept)
    stiffness = rng.uniform(0.5, 2.0, 4)
    units, pulls = rng.standard_normal((2, 4, 4))
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    pulls /= np.linalg.norm(pulls, axis=1, keepdims=True)
    root = curvature_root(columns, units, curvature)
    system = NewtonSystem(
        columns, curvature, stiffness, units, pulls, root.T @ root, Manner(dense=dense)
    )
    hessian = matrix.T @ np.apply_along_axis(curvature.apply, 0, matrix)
    for i in range(4):
        part = slice(4 * i, 4 * i + 4)
        outer = np.outer(units[i], pulls[i])
        hessian[part, part] += stiffness[i] * (np.eye(4) - 0.5 * (outer + outer.T))
    right = rng.standard_normal((4, 4))
    np.testing.assert_allclose(system.apply(right).ravel(), hessian @ right.ravel(), atol=1e-10)
    found = system.solve(right, 1e-10, 100, lambda: None)
    expected = np.linalg.solve(hessian, right.ravel()).reshape(4, 4)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8 * np.abs(expected).max())
    assert system.products < 30


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("few", [0, 10**6])
def test_the_curvature_along_directions(columns, intercept, few, monkeypatch):
    monkeypatch.setattr("relu_opt_native.radii.FEW_SAMPLES", few)
    rng = np.random.default_rng(2)
    curvature, units = Curvature(rng.random(50), intercept), rng.standard_normal((4, 4))
    masks = columns.data.patterns.unpack(columns.which)
    lines = masks.T * (columns.data.X @ units.T)
    root = curvature_root(columns, units, curvature)
    expected = lines.T @ np.apply_along_axis(curvature.apply, 0, lines)
    np.testing.assert_allclose(root.T @ root, expected, atol=1e-10 * np.abs(expected).max())


def test_sizes_are_the_best():
    rng = np.random.default_rng(3)
    root, slope, start = rng.standard_normal((8, 5)), rng.standard_normal(5), rng.random(5)
    sizes = best_sizes(root, slope, start)
    gradient = root.T @ (root @ (sizes - start)) + slope
    assert (sizes >= 0).all()
    assert np.abs(gradient[sizes > 0]).max(initial=0.0) < 1e-10
    assert gradient[sizes == 0].min(initial=0.0) > -1e-10


def test_damping_learns_where_curvature_begins():
    prog = spread(n=40, d=4, p=5, loss="squared_hinge")
    damping, fits = Damping(prog), 2.0 * prog.y
    assert damping.curvature(fits).phi.max() < 1e-8
    damping.learn(0.5, fits, np.where(np.arange(40) < 3, 0.0, fits))
    phi = damping.curvature(fits).phi
    np.testing.assert_allclose(phi[:3], prog.sample_scale[:3])
    assert phi[3:].max() < 1e-8
    damping.learn(1.0, fits, fits)
    np.testing.assert_allclose(damping.curvature(fits).phi[:3], 0.1 * prog.sample_scale[:3])


def test_manner_after_many_products():
    manner = Manner()
    assert manner.after(group_newton.MANY_PRODUCTS, 100) == manner
    more = manner.after(group_newton.MANY_PRODUCTS + 1, 100)
    assert more.dense
    assert more.stiffer > manner.stiffer
    assert not manner.after(200, group_newton.FEW_SAMPLES + 1).dense


def test_groups_far_from_their_bound_are_not_priced(monkeypatch):
    prog = spread(p=200, share=0.3)
    asked = []
    refresh = gated.GatedSearch.refresh

    def watched(self, which):
        asked.append(len(which))
        refresh(self, which)

    monkeypatch.setattr(gated.GatedSearch, "refresh", watched)
    certified(prog)
    assert max(asked) == len(prog.patterns)
    assert min(asked[-3:]) < len(prog.patterns) / 2
