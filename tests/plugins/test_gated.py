"""Gated networks with the native backend's own solver of the group lasso."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import relu_opt as ro
from relu_opt.plugins.manager import observe
from relu_opt.plugins.types import StopReason
from relu_opt_native import group_newton

LOSSES = ("squared", "logistic", "squared_hinge", ro.Huber(0.4))


def gated(make_program, seed=0, **changes):
    return make_program(seed, activation="gated", **{"n": 25, "d": 5, "p": 15, **changes})


def certified(prog, tol=1e-8, **arguments):
    sol = ro.solve(prog, "native", tol=tol, **arguments)
    assert sol.certificate.verdict is ro.Verdict.CERTIFIED, (sol, sol.certificate.reason)
    found = ro.verify(sol.certificate, prog.X, prog.y)
    assert found.valid, found.problems
    return sol


def work(sol):
    return sol.stats["backend_stats"]["passes"]


@pytest.mark.parametrize(("loss", "intercept"), list(product(LOSSES, (False, True))))
@pytest.mark.parametrize("share", [0.5, 0.02])
def test_agrees_with_clarabel(make_program, loss, intercept, share):
    """On the conic form of the program, and to the last digits by our own bounds."""
    prog = gated(
        make_program, 3, loss=loss, intercept=intercept, weighted=intercept, lam_share=share
    )
    sol = certified(prog, tol=1e-10)
    other = ro.solve(prog, "clarabel", tol=1e-7)
    assert sol.objective == pytest.approx(other.objective, rel=1e-5)
    assert sol.objective <= other.objective * (1 + 1e-10)


@pytest.mark.parametrize(("n", "d"), [(10, 30), (60, 4), (1, 3), (25, 1)])
@pytest.mark.parametrize("share", [1.0, 1.5, 0.3, 1e-3])
def test_shapes_and_strengths(make_program, n, d, share):
    prog = gated(make_program, 1, n=n, d=d, lam_share=share)
    sol = certified(prog)
    assert (len(sol.network) == 0) == (share >= 1)


def test_the_rows_that_nothing_sees_do_not_matter(make_program):
    """Columns that are zero, or twice the same, change the weights, not the optimum."""
    prog = gated(make_program, 2)
    base = certified(prog, tol=1e-10).objective
    wide = np.hstack([prog.X, np.zeros((prog.n, 2))])
    patterns = ro.Patterns(prog.patterns.masks, np.vstack([prog.patterns.gates, np.zeros((2, 15))]))
    padded = ro.ConvexProgram(wide, prog.y, prog.lam, patterns, activation="gated")
    sol = certified(padded, tol=1e-10)
    assert sol.objective == pytest.approx(base, rel=1e-9)
    assert np.abs(sol.weights[:, :, -2:]).max() < 1e-12


def many_rows(rows=2500, d=40, seed=0):
    """More rows than the dense equations take, and more than one chunk of single precision."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((rows, d)) * np.linspace(1.0, 0.05, d)
    y = np.maximum(X @ rng.standard_normal(d), 0) + 0.3 * rng.standard_normal(rows)
    prog = ro.ConvexProgram(X, y, 1.0, ro.sample_patterns(X, 60, seed=seed), activation="gated")
    return prog.with_lam(0.05 * prog.lam_max)


@pytest.mark.parametrize("large", [group_newton.LARGE, 1])
def test_many_rows_by_conjugate_gradients(monkeypatch, large):
    """In double precision and, with any product `LARGE`, in single precision inside."""
    monkeypatch.setattr(group_newton, "LARGE", large)
    prog = many_rows()
    sol = certified(prog, tol=1e-10)
    assert sol.stats["backend_stats"]["products"] > 0
    # The optimality conditions, from scratch: X_iᵀν = λ w/‖w‖ where w ≠ 0, and no longer than λ.
    nu = -prog.loss_gradient(prog.fits(sol.weights))
    common = (prog.patterns.masks * nu[:, None]).T @ prog.X
    norms = np.linalg.norm(sol.weights[0], axis=1)
    on = norms > 1e-8 * norms.max()
    pulled = prog.lam * sol.weights[0][on] / norms[on, None]
    np.testing.assert_allclose(common[on], pulled, atol=1e-3 * prog.lam)
    assert (np.linalg.norm(common, axis=1) <= prog.lam * (1 + 1e-4)).all()


def test_a_nearby_solution_saves_work(make_program):
    prog = many_rows(600)
    first = certified(prog, tol=1e-8)
    nearby = prog.with_lam(0.97 * prog.lam)
    cold, warm = certified(nearby), certified(nearby, warm_start=first)
    assert warm.objective == pytest.approx(cold.objective, rel=2e-8)
    assert work(warm) < work(cold)


def test_limits_and_interrupts_return_the_best_with_its_gap():
    prog = many_rows(600)
    timed = ro.solve(prog, "native", tol=1e-12, time_limit=1e-9)
    assert timed.stop is StopReason.TIME_LIMIT
    short = ro.solve(prog, "native", tol=1e-12, options={"max_iter": 2})
    assert short.stop is StopReason.ITERATION_LIMIT
    seen = []

    def interrupt(event):
        seen.append(event)
        if len(seen) == 4:
            raise KeyboardInterrupt

    with observe(interrupt):
        broken = ro.solve(prog, "native", tol=1e-12)
    assert broken.stop is StopReason.INTERRUPTED
    best = certified(prog).objective
    for sol in (timed, short, broken):
        assert sol.certificate.verdict is ro.Verdict.NOT_CERTIFIED
        assert sol.dual_objective <= best * (1 + 1e-12) <= sol.objective * (1 + 1e-8)
    assert broken.rel_gap < 1


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 10**4),
    st.floats(-6.0, 6.0),
    st.sampled_from([0.3, 0.03]),
)
def test_units_and_the_order_of_patterns_do_not_matter(make_program, seed, power, share):
    """(y, λ) → (ty, tλ) takes w to tw, and the optimum to t² times itself."""
    prog = gated(make_program, seed, lam_share=share)
    base = certified(prog)
    scale = 10.0**power
    order = np.random.default_rng(seed).permutation(len(prog.patterns))
    shuffled = ro.Patterns(prog.patterns.masks[:, order], prog.patterns.gates[:, order])
    other = ro.ConvexProgram(prog.X, scale * prog.y, scale * prog.lam, shuffled, activation="gated")
    sol = certified(other)
    assert sol.objective == pytest.approx(scale**2 * base.objective, rel=2e-8)
    fits = other.fits(sol.weights) / scale
    np.testing.assert_allclose(fits, prog.fits(base.weights), atol=1e-3 * np.abs(prog.y).max())
