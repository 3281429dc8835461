"""Whatever the data: weak duality, and what shifts and scales of the data do to the optimum."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import relu_opt as ro
from relu_opt.train.one_input.bounds import lower_bound
from relu_opt.train.one_input.problem import SplineProblem, spline_cost

LOSSES = ("squared", "huber", "logistic", "squared_hinge", "hinge")
few = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def data(seed, n, loss):
    rng = np.random.default_rng(seed)
    x, y = np.round(rng.random(n), 3), rng.standard_normal(n)
    if loss not in ("squared", "huber"):
        y = np.where(y > 0, 1.0, -1.0)
        y[:2] = 1.0, -1.0
    return x, y


@few
@given(st.integers(0, 10**6), st.integers(3, 15), st.sampled_from(LOSSES))
def test_every_dual_point_is_below_every_spline(seed, n, loss):
    x, y = data(seed, n, loss)
    problem = SplineProblem(x, y, 0.05, loss)
    rng = np.random.default_rng(seed)
    size = rng.random(n) / n
    nu = y * size if loss not in ("squared", "huber") else rng.choice([-1, 1], n) * size
    bound = lower_bound(problem, nu)
    assert abs(bound.nu.sum()) <= 1e-14
    assert problem.largest(bound.nu) <= problem.lam * (1 + 1e-14)
    values = rng.standard_normal(len(problem.positions)) * rng.choice([0.1, 1.0, 10.0])
    cost = spline_cost(values, np.diff(problem.positions))
    assert bound.value <= problem.mean_loss(values[problem.where]) + 0.05 * cost + 1e-12


@few
@given(
    st.integers(0, 10**6),
    st.sampled_from(LOSSES),
    st.sampled_from([1e-3, 0.5, 7.0, 1e4]),
    st.sampled_from([-100.0, 0.0, 3.0]),
    st.sampled_from([1.0, -1.0]),
)
def test_scales_and_shifts_of_x(seed, loss, scale, shift, side):
    """f(x) → f(scale x + shift) divides slopes by the scale, so λ grows by it."""
    x, y = data(seed, 20, loss)
    fit = ro.one_input.fit_spline(x, y, 0.01, loss=loss)
    moved = side * scale * x + shift * scale
    other = ro.one_input.fit_spline(moved, y, 0.01 * scale, loss=loss)
    assert other.objective == pytest.approx(fit.objective, rel=3e-8)
    assert fit.verdict == other.verdict == "certified"
    assert ro.verify(other.certificate, moved, y).valid


@few
@given(st.integers(0, 10**6), st.sampled_from([1e-4, 3.0, 1e5]), st.sampled_from([-50.0, 0.0]))
def test_scales_and_shifts_of_y(seed, scale, shift):
    """The squared loss grows with the square of the scale, the cost with the scale."""
    x, y = data(seed, 25, "squared")
    fit = ro.one_input.fit_spline(x, y, 0.01)
    other = ro.one_input.fit_spline(x, scale * (y + shift), 0.01 * scale)
    assert other.objective == pytest.approx(scale**2 * fit.objective, rel=3e-8)


@few
@given(st.integers(0, 10**6), st.integers(2, 20))
def test_merging_keeps_an_interpolation(seed, n):
    rng = np.random.default_rng(seed)
    x, y = np.sort(rng.choice(200, n, replace=False)) / 7.0, rng.integers(-3, 4, n) / 2.0
    fit = ro.one_input.fit_spline(x, y, loss="interpolation")
    merged = fit.merged()
    assert merged.objective == pytest.approx(fit.objective, rel=1e-12, abs=1e-15)
    np.testing.assert_allclose(merged.predict(x), y, atol=1e-11)
    assert len(merged.network) <= len(fit.network) <= n
    assert ro.verify(merged.certificate, x, y).valid
