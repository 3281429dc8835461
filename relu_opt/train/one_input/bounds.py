"""Lower bounds for splines: a dual point made feasible, and the knots that it says are missing."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from relu_opt.arrays import FloatArray, IntArray
from relu_opt.program.loss_proof import dual_below, settled
from relu_opt.rounding import UNIT, charge, exact_dot, remainders
from relu_opt.train.one_input.problem import SplineProblem

# Times that a dual point is shrunk for the rounding of the last time.
MOST_SHRINKS = 8


@dataclass(frozen=True, eq=False)
class SplineBound:
    """A feasible dual point ν, (n,), and a number that D(ν) is not below."""

    nu: FloatArray
    value: float


def lower_bound(problem: SplineProblem, nu: FloatArray) -> SplineBound:
    """The bound of a dual point, which is shrunk until it is feasible, with every rounding.

    For a loss of one's own the value is as it is computed: it is found, and not proved.
    """
    proves = not problem.constrained and problem.loss.proves
    nu = settled(problem, nu) if proves else problem.admissible(nu)
    nu = problem.best_scale(nu, _largest(problem, nu)) * nu
    for _ in range(MOST_SHRINKS):
        if proves:
            nu = settled(problem, nu)
        largest = _largest(problem, nu)
        if largest <= problem.lam:
            # ν = 0 is feasible, and nothing is below 0.
            return SplineBound(nu, max(0.0, _value(problem, proves, nu)))
        nu = problem.lam / largest * (1 - 16 * UNIT) * nu
    return SplineBound(np.zeros(problem.n), 0.0)


def _value(problem: SplineProblem, proves: bool, nu: FloatArray) -> float:
    """A number that D is not below at ν, what is left of Σν taken out of its largest entry."""
    if proves:
        return dual_below(problem, nu)
    if not problem.constrained:
        return problem.dual_objective(nu)
    parts, row = remainders(nu), int(np.argmax(np.abs(nu)))
    if problem.loss.classifies and not (problem.y * nu >= 0).all():
        return 0.0
    value = exact_dot((nu, problem.y), *(([-part], [problem.y[row]]) for part in parts))
    return value - charge(2) * abs(value)


def _largest(problem: SplineProblem, nu: FloatArray) -> float:
    """What M does not exceed where D is evaluated, and where it is re-checked."""
    sizes, moved = np.abs(nu), np.zeros(problem.n)
    moved[int(np.argmax(sizes))] = math.fsum(map(abs, remainders(nu)))
    if not problem.constrained:
        # The re-check has doubles within a few roundings of ν.
        moved += 4 * UNIT * sizes
    # Where sums are zero the ramps of one side are those of the other, less that of the end.
    left, right = problem.x - problem.positions[0], problem.positions[-1] - problem.x
    reach = float(moved @ (left if sizes @ left < sizes @ right else right))
    return (problem.largest(nu) + 2 * reach * (1 + charge(problem.n))) * (1 + charge(8))


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
