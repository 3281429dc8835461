r"""The cheapest interpolating spline, and its dual point, in closed form.

With the slopes s, their rises P and falls N, the cost is max over a in {0, 1, −1} of

    P + N + max(0, s₁ − N, −P − s₁),

and νᵀy = a s₁ + Σ_j h_j Δ_j for h(t) = νᵀ(x − t)_+, which may be from max(−1, a − 1) to
min(1, a + 1) and is a = νᵀx left of the data. So h lies at one of its bounds at every kink, and ν
are the changes of the slope of h.
"""

from __future__ import annotations

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.train.one_input.bounds import lower_bound
from relu_opt.train.one_input.knots import Knots
from relu_opt.train.one_input.polish import objective
from relu_opt.train.one_input.problem import SplineProblem
from relu_opt.train.one_input.training import Trained, constant_fit

# A slope change so small, in units of its own rounding error, is none.
ROUNDING = 4 * float(np.finfo(np.float64).eps)


def interpolate(problem: SplineProblem) -> Trained:
    """The optimum of an interpolation problem; no solver is needed."""
    if len(problem.positions) == 1:
        return constant_fit(problem, float(problem.y[0]))
    values = np.empty(len(problem.positions))
    values[problem.where] = problem.y
    knots = Knots(problem, np.arange(len(values)))
    sizes = np.abs(values)
    error = ROUNDING * (sizes[1:] + sizes[:-1]) / knots.steps
    bent = np.r_[True, np.abs(knots.bends(values)) > error[1:] + error[:-1], True]
    knots, values = Knots(problem, knots.chosen[bent]), values[bent]
    bound = lower_bound(problem, problem.admissible(_dual_point(problem, knots, values)))
    return Trained(knots, values, objective(problem, knots, values), bound)


def _dual_point(problem: SplineProblem, knots: Knots, values: FloatArray) -> FloatArray:
    """The closed form's ν, (n,)."""
    bends = knots.bends(values)
    rise, fall = np.maximum(bends, 0.0).sum(), np.maximum(-bends, 0.0).sum()
    slope = (values[1] - values[0]) / knots.steps[0]
    gains = {0.0: 0.0, 1.0: slope - fall, -1.0: -rise - slope}
    first = max(gains, key=lambda each: gains[each])
    upper, lower = min(1.0, 1.0 + first), max(-1.0, first - 1.0)
    hinges = np.r_[first, np.where(bends > 0, upper, lower), 0.0]
    changes = np.diff(np.r_[0.0, np.diff(hinges) / (knots.steps * problem.width), 0.0])
    at = np.zeros(len(problem.positions))
    at[knots.chosen] = changes
    return np.asarray((at / np.bincount(problem.where))[problem.where])
