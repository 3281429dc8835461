"""Lower bounds for splines: a dual point made feasible, and the knots that it says are missing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from relu_opt.arrays import FloatArray, IntArray
from relu_opt.splines.problem import SplineProblem


@dataclass(frozen=True, eq=False)
class SplineBound:
    """A feasible dual point ν, (n,), and the lower bound D(ν)."""

    nu: FloatArray
    value: float


def lower_bound(problem: SplineProblem, nu: FloatArray) -> SplineBound:
    """The bound of a dual point, which is shrunk until it is feasible."""
    nu = problem.admissible(nu)
    nu = problem.best_scale(nu, problem.largest(nu)) * nu
    # Rounding of the products may have left it outside; where x is wide, by more than bits of λ.
    rounding = float(np.finfo(np.float64).eps * np.abs(nu).sum() * problem.width) / problem.lam
    for margin in (0.0, 0.1 * rounding, rounding):
        largest = problem.largest(nu)
        if largest <= problem.lam:
            break
        nu = problem.lam / largest * (1 - min(margin, 0.5)) * nu
    return SplineBound(nu, problem.dual_objective(nu))


def missing_knots(problem: SplineProblem, nu: FloatArray, slack: float) -> IntArray:
    """The positions where ν says that a kink would pay: one of each run beyond the bounds.

    νᵀ(x − t)_+ may be from max(−λ, a − λ) to min(λ, a + λ), a = νᵀx.

    Parameters
    ----------
    nu : (n,) array
        With Σν = 0.
    slack : float
        How far, relative to λ, a bound may be exceeded.
    """
    right, lam = problem.hinges(nu), problem.lam
    above = right - lam - min(right[0], 0.0)
    below = max(right[0], 0.0) - lam - right
    found = [_peaks(excess, slack * lam) for excess in (above, below)]
    return np.unique(np.concatenate(found))


def _peaks(excess: FloatArray, least: float) -> IntArray:
    """The largest entry of each run of entries above `least`."""
    beyond = np.flatnonzero(excess > least)
    if not len(beyond):
        return beyond
    runs = np.split(beyond, np.flatnonzero(np.diff(beyond) > 1) + 1)
    return np.array([run[np.argmax(excess[run])] for run in runs], dtype=np.intp)
