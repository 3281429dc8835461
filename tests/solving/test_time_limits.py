"""A time limit is kept, by looks at a clock that each look moves on: no machine is measured."""

from __future__ import annotations

import numpy as np
import pytest

import relu_opt as ro

LIMIT = 30.0
# Looks beyond the limit: of what ends, and of the certificate.
MORE = 12
TIMED = ("native", "highs", "clarabel", "pyomo", "cvxpy")


def program(n, d, p):
    rng = np.random.default_rng(0)
    X = np.c_[rng.standard_normal((n, d - 1)), np.ones(n)] / np.sqrt(d)
    y = np.abs(X[:, 0]) + 4 * X[:, 1] * X[:, 2] + 0.3 * rng.standard_normal(n)
    return ro.ConvexProgram(X, y, 1e-4, ro.sample_patterns(X, p, seed=0))


def check(solution):
    """The incumbent and its gap: both bounds hold, and neither is vacuous."""
    zero = np.zeros(solution.program.n)
    assert solution.stop is ro.plugins.StopReason.TIME_LIMIT
    assert solution.certificate.verdict == ro.Verdict.NOT_CERTIFIED
    assert 0 < solution.lower_bound < solution.objective
    assert solution.objective <= solution.program.mean_loss(zero) * (1 + 1e-9)


@pytest.mark.parametrize("backend", ["native", "highs", "clarabel", "pyomo"])
def test_the_clock_is_looked_at_and_heeded(backend, request):
    ro.solve(program(20, 3, 5), backend, tol=1e-3)  # what is imported and compiled at first use
    clock = request.getfixturevalue("clock")
    solution = ro.solve(program(800, 20, 50), backend, time_limit=LIMIT)
    check(solution)
    assert LIMIT < clock.looks <= LIMIT + MORE


def test_a_solver_that_makes_the_whole_program_is_told_the_limit():
    check(ro.solve(program(100, 6, 10), "cvxpy", time_limit=1e-9))


def test_every_backend_that_has_the_feature_is_here():
    statuses = [status for status in ro.backends() if status.distribution == "relu-opt"]
    timed = {s.name for s in statuses if ro.plugins.Feature.TIME_LIMIT in s.info.features}
    assert timed - {"mosek"} == set(TIMED)
