"""Related linear programs through `solve_program`, each started from the one before."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linprog

import relu_opt as ro


def polytope(seed=0, m=30, k=60):
    """{x ≥ 0 : Ax = b}, bounded, with a known point inside: the shape of an optimal set."""
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((m, k))
    A[0] = rng.uniform(0.5, 1.5, k)
    b = A @ rng.uniform(0.0, 1.0, k)
    return ro.LinearProgram(c=np.zeros(k), A=A, row_lower=b, row_upper=b, lower=0.0)


def iterations(solution):
    return solution.stats["backend_stats"].get("simplex_iteration_count", 0)


def test_ranges_of_all_variables_with_hot_starts():
    """min and max of each variable: 120 programs that differ in their cost alone."""
    base = polytope()
    costs = [sign * np.eye(base.columns)[j] for j in range(base.columns) for sign in (1.0, -1.0)]
    hot, previous, total = [], None, 0
    for cost in costs:
        previous = ro.solve_program(base.with_cost(cost), "highs", warm_start=previous)
        assert previous.verdict is ro.Verdict.CERTIFIED
        hot.append(previous.objective)
        total += iterations(previous)
    cold = [ro.solve_program(base.with_cost(cost), "highs") for cost in costs[::10]]
    np.testing.assert_allclose(hot[::10], [each.objective for each in cold], atol=1e-7)
    assert total < 0.8 * 10 * sum(iterations(each) for each in cold)
    A, b = base.A.toarray(), base.row_lower
    theirs = [linprog(cost, A_eq=A, b_eq=b).fun for cost in costs[::20]]
    np.testing.assert_allclose(hot[::20], theirs, atol=1e-7)


def test_a_state_can_be_used_again_and_for_other_sides():
    base = polytope(1).with_cost(np.arange(60.0))
    first = ro.solve_program(base, "highs")
    again = ro.solve_program(base, "highs", warm_start=first)
    assert iterations(again) == 0
    sides = base.row_lower * (1 + 1e-3)
    other = ro.LinearProgram(c=base.c, A=base.A, row_lower=sides, row_upper=sides, lower=0.0)
    for _ in range(2):
        moved = ro.solve_program(other, "highs", warm_start=first)
        fresh = ro.solve_program(other, "highs")
        assert moved.objective == pytest.approx(fresh.objective, rel=1e-9)
        assert iterations(moved) < iterations(fresh)
    # The first program is still what it was.
    same = ro.solve_program(base, "highs", warm_start=first)
    assert same.objective == pytest.approx(first.objective, rel=1e-12)
