"""One second means one second, and a stated slack for what cannot be interrupted."""

from __future__ import annotations

import time

import numpy as np
import pytest

import relu_opt as ro

LIMIT = 1.0
# Seconds beyond the limit: looking at the clock, and the certificate. cvxpy cannot be interrupted
# while it compiles its model.
SLACK = {"native": 1.0, "highs": 1.5, "clarabel": 1.5, "pyomo": 1.5, "cvxpy": 8.0}


def large(n, d, p):
    rng = np.random.default_rng(0)
    X = np.c_[rng.standard_normal((n, d - 1)), np.ones(n)] / np.sqrt(d)
    y = np.abs(X[:, 0]) + 4 * X[:, 1] * X[:, 2] + 0.3 * rng.standard_normal(n)
    return ro.ConvexProgram(X, y, 1e-4, ro.sample_patterns(X, p, seed=0))


@pytest.mark.parametrize("backend", SLACK)
def test_a_second_on_a_large_program(backend):
    program = large(800, 20, 50) if backend == "cvxpy" else large(20_000, 20, 300)
    program.cone_rows  # noqa: B018 - made once, before the clock
    taken = []
    for _ in range(3):  # another process may be busy: one try in time is proof enough
        started = time.perf_counter()
        solution = ro.solve(program, backend, time_limit=LIMIT)
        taken.append(time.perf_counter() - started)
        if taken[-1] <= LIMIT + SLACK[backend]:
            break
    assert min(taken) <= LIMIT + SLACK[backend], taken
    assert solution.stop is ro.StopReason.TIME_LIMIT
    assert solution.certificate.verdict == ro.Verdict.NOT_CERTIFIED
    # The incumbent and its gap: both bounds hold, and neither is vacuous.
    assert 0 < solution.dual_objective < solution.objective
    assert solution.objective <= program.mean_loss(np.zeros(program.n)) * (1 + 1e-9)


def test_every_backend_that_has_the_feature_is_here():
    statuses = [status for status in ro.backends() if status.distribution == "relu-opt"]
    timed = {s.name for s in statuses if ro.Feature.TIME_LIMIT in s.info.features}
    assert timed - {"mosek"} == set(SLACK)
