"""Promises of paths and derivatives, for random programs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import relu_opt as ro

PROGRAMS = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 10_000),
        "n": st.integers(3, 16),
        "d": st.integers(1, 4),
        "p": st.integers(1, 8),
        "loss": st.sampled_from(["squared", "logistic", "squared_hinge", "huber"]),
        "activation": st.sampled_from(["relu", "gated", "leaky"]),
        "intercept": st.booleans(),
        "weighted": st.booleans(),
    }
)


def path_of(prog, eps=1e-2):
    return ro.solution_path(prog, eps=eps, lam_min_ratio=0.05)


@given(PROGRAMS, st.floats(0, 1))
@settings(max_examples=25)
def test_no_solve_between_the_points_leaves_the_bounds(make_program, program, place):
    prog = make_program(**program)
    if not prog.lam_max > 1e-12:
        return
    path = path_of(prog)
    assert path.largest_gap <= 1e-2
    lam = min(path.lams[0], max(path.lams[-1], path.lams[0] * 0.05**place))
    upper, lower = path.bounds_at(lam)
    exact = ro.solve(prog.with_lam(lam), tol=1e-9)
    slack = 1e-9 * max(1.0, abs(upper))
    assert lower <= exact.objective + slack
    assert exact.lower_bound <= upper + slack
    found = path.solution_at(lam)
    assert ro.verify(found.certificate, prog.X, prog.y).verdict == "certified"
    assert found.objective <= upper + slack
    # Concave: the optimum is below each tangent and above each chord.
    for point in path.points:
        assert exact.lower_bound <= point.loss + lam * point.norm + slack


@given(PROGRAMS, st.floats(0.1, 10))
@settings(max_examples=15)
def test_paths_scale_with_the_targets(make_program, program, scale):
    prog = make_program(**{**program, "loss": "squared", "intercept": False})
    if not prog.lam_max > 1e-12:
        return
    larger = replace(prog, y=scale * prog.y)
    lams = prog.lam_max * np.array([1.0, 0.5, 0.2])
    one, other = ro.solution_path(prog, lams), ro.solution_path(larger, scale * lams)
    np.testing.assert_allclose(other.objectives, scale**2 * one.objectives, rtol=1e-6)
    np.testing.assert_allclose(other.slopes, scale * one.slopes, rtol=1e-2, atol=1e-6)


@given(PROGRAMS)
@settings(max_examples=25)
@pytest.mark.filterwarnings("ignore::relu_opt.errors.DoubtWarning")
def test_leverages_are_those_of_a_shrinkage(make_program, program):
    """dŷ/dy of a curved convex program is symmetric in the metric of its curvature, in [0, 1]."""
    prog = make_program(**{**program, "loss": "squared"})
    result = ro.sensitivity(ro.solve(prog, tol=1e-12))
    if not result.differentiable:
        return
    dense = result.fits_d_y @ np.eye(prog.n)
    root = np.sqrt(prog.sample_scale)
    even = root[:, None] * dense / root
    np.testing.assert_allclose(even, even.T, atol=1e-7)
    values = np.linalg.eigvalsh(0.5 * (even + even.T))
    assert values.min() > -1e-7
    assert values.max() < 1 + 1e-7
    assert result.dof == pytest.approx(np.trace(dense), abs=1e-7)
    assert result.dof <= len(result.network) * prog.d + prog.intercept + 1e-9
    # ŷ grows with y along y, and shrinks in λ: T falls as λ grows.
    sizes = result.network.output**2
    blocks = result.network.hidden * np.abs(result.network.output)[:, None]
    if len(sizes):
        assert ((result.d_lam * blocks).sum(axis=1) / sizes).sum() <= 1e-6 * sizes.sum() / prog.lam
