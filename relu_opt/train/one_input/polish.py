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
from relu_opt.program.line_search import by_halves
from relu_opt.train.one_input.knots import Knots
from relu_opt.train.one_input.problem import SplineProblem

BRANCHES = ("inside", "edge", "outside")
MOST_STEPS = 60
# A Newton step so small, relative to the values, is the last one.
SETTLED = 1e-11
# How much a step may raise the objective: the edge is met up to a solver's rounding at first.
# And how often it is halved for that.
RISE, MOST_HALVINGS = 1e-8, 10
# The least curvature, relative to the majorant's: some losses are flat or linear in parts.
LEAST_CURVATURE = 1e-6


def model_curvature(problem: SplineProblem, fits: FloatArray) -> FloatArray:
    """The curvature of a quadratic model of F at the fits, positive everywhere, (n,)."""
    least = LEAST_CURVATURE * problem.loss_majorant(fits)
    return np.maximum(problem.loss_hessian(fits), least)


def objective(problem: SplineProblem, knots: Knots, values: FloatArray) -> float:
    """F(f) + λ·cost(f) of values at the knots."""
    fits = knots.spread(values)[problem.where]
    return problem.mean_loss(fits) + problem.lam / problem.width * knots.cost(values)


def polished(
    problem: SplineProblem, knots: Knots, values: FloatArray, branch: str
) -> tuple[Knots, FloatArray] | None:
    """The optimum among splines whose slope changes keep their signs, or become zero.

    A step ends where the first slope change vanishes, and its knot leaves.

    Parameters
    ----------
    values : (k,) array
        Nearly optimal ones, whose slope changes have the right signs.
    branch : {"inside", "edge", "outside"}

    Returns
    -------
    Knots, (k,) array
        The knots that are left and the values there; None if Newton's method does not get there.
    """
    worst = objective(problem, knots, values)
    worst += RISE * abs(worst)
    for _ in range(MOST_STEPS):
        with np.errstate(all="ignore"):  # a branch that is wrong may lead anywhere
            step = _newton(problem, knots, values, branch)
            if step is None or not np.isfinite(step).all():
                return None
            bends = knots.bends(values)
            room = -bends / knots.bends(step)
        room[~(room > 0)] = np.inf
        most = min(1.0, room.min(initial=np.inf))
        length = _length(problem, (knots, values, most * step), worst)
        if length is None:
            return None
        length *= most
        values = values + length * step
        if length == most < 1:
            stays = np.r_[True, (room > most) & (bends != 0), True]
            knots, values = Knots(problem, knots.chosen[stays]), values[stays]
        elif length == 1 and np.abs(step).max() <= SETTLED * np.abs(values).max():
            return knots, values
    return None


def _length(
    problem: SplineProblem, along: tuple[Knots, FloatArray, FloatArray], worst: float
) -> float | None:
    """The share of a step from values at knots after which the objective is not above `worst`."""
    knots, values, step = along

    def attempt(share: float) -> float | None:
        return share if objective(problem, knots, values + share * step) <= worst else None

    return by_halves(attempt, MOST_HALVINGS)


def _newton(
    problem: SplineProblem, knots: Knots, values: FloatArray, branch: str
) -> FloatArray | None:
    """The Newton step on a branch; None where the branch is not there."""
    lam = problem.lam / problem.width
    slopes = knots.slope_rows
    variation = (slopes[1:] - slopes[:-1]).T @ np.sign(knots.bends(values))
    ends = (slopes[[0]] + slopes[[-1]]).toarray()[0]
    ends *= np.sign(ends @ values) or 1.0
    linear = 0.5 * (variation + ends) if branch == "outside" else variation
    normal = ends - variation if branch == "edge" else None
    if normal is not None and not normal.any():
        return None
    fits = knots.spread(values)[problem.where]
    gradient = knots.gather(problem.at_positions(problem.loss_gradient(fits))) + lam * linear
    curvature = problem.at_positions(model_curvature(problem, fits))
    return _solved(knots, curvature, gradient, normal, values)


def _solved(
    knots: Knots,
    weights: FloatArray,
    gradient: FloatArray,
    normal: FloatArray | None,
    values: FloatArray,
) -> FloatArray | None:
    """−H⁻¹ gradient, with normalᵀ(values + step) = 0 if there is a normal."""
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
