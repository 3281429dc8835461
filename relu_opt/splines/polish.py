"""The last step of training: an exact solve for splines whose slope changes keep their signs.

Where the signs of the slope changes are fixed, the cost is linear in the values at the knots, and
the optimum of a smooth loss is the root of a tridiagonal system. Which branch of the cost holds at
the ends is not known for certain from a solver's answer: each is tried, and the proof decides.

    "inside"   |s_first + s_last| < V:   cost = V
    "edge"     |s_first + s_last| = V:   cost = V, an equation holds
    "outside"  |s_first + s_last| > V:   cost = (V + |s_first + s_last|)/2
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import LinAlgError, solveh_banded

from relu_opt.arrays import FloatArray
from relu_opt.splines.knots import Knots
from relu_opt.splines.problem import SplineProblem

BRANCHES = ("inside", "edge", "outside")
MOST_STEPS = 30
# A Newton step so small, relative to the values, is rounding.
SETTLED = 1e-14


def polished(
    problem: SplineProblem, knots: Knots, values: FloatArray, branch: str
) -> FloatArray | None:
    """Values at the knots that are optimal among splines of these signs; None where none are.

    Parameters
    ----------
    values : (k,) array
        Nearly optimal ones, whose slope changes have the right signs.
    branch : {"inside", "edge", "outside"}
    """
    lam = problem.lam / problem.width
    slopes = knots.slope_rows
    variation = (slopes[1:] - slopes[:-1]).T @ np.sign(knots.bends(values))
    ends = (slopes[[0]] + slopes[[-1]]).toarray()[0]
    ends *= np.sign(ends @ values) or 1.0
    linear = 0.5 * (variation + ends) if branch == "outside" else variation
    normal = ends - variation if branch == "edge" else None
    if normal is not None and not normal.any():
        return None
    for _ in range(MOST_STEPS):
        fits = knots.spread(values)[problem.where]
        gradient = knots.gather(problem.at_positions(problem.loss_gradient(fits))) + lam * linear
        curvature = problem.at_positions(problem.loss_hessian(fits))
        step = _newton(knots, curvature, gradient, normal, values)
        if step is None or not np.isfinite(step).all():
            return None
        values = values + step
        if np.abs(step).max() <= SETTLED * np.abs(values).max():
            break
    return values


def _newton(
    knots: Knots,
    weights: FloatArray,
    gradient: FloatArray,
    normal: FloatArray | None,
    values: FloatArray,
) -> FloatArray | None:
    """The Newton step, with normalᵀ(values + step) = 0 if there is a normal."""
    diagonal, off = knots.curvature(weights)
    band = np.vstack([np.append(0.0, off), diagonal])
    sides = gradient[:, None] if normal is None else np.column_stack([gradient, normal])
    try:
        found = solveh_banded(band, sides)
    except LinAlgError:
        return None
    step = -found[:, 0]
    if normal is not None:
        step -= found[:, 1] * (normal @ (values + step)) / (normal @ found[:, 1])
    return np.asarray(step)
