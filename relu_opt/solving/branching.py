r"""What is proved of an answer with integers: a tree whose leaves have lower bounds.

A backend's branch and bound ends with a bound that nobody can check. Here the box of the integer
variables is cut until the linear program of each part is bounded, by its multipliers, at the
answer's objective, or shown by a ray to be empty. The linear programs may come from any backend:
their bounds are `lower_bound`'s, and the tree covers the box. What is left open when the work or
the time is used up bounds the optimum all the same.
"""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass, replace

import numpy as np

from relu_opt.arrays import BoolArray, FloatArray
from relu_opt.clock import Clock
from relu_opt.optimality.form import Form
from relu_opt.optimality.measures import LEAST_GAP, judge, scale
from relu_opt.optimality.mending import Proof, prove
from relu_opt.optimality.rays import elastic, proves_infeasible
from relu_opt.plugins.types import StopReason
from relu_opt.program.linear import LinearProgram
from relu_opt.proof.verdict import Verdict
from relu_opt.solving.asking import Asking

# Parts to look at, at most.
MOST_PARTS = 5000
# Up to this, relative to its size, an entry is whole, and a bound on whole numbers is rounded up.
WHOLE = 1e-6
# The relative gap of the linear programs, and the share of the tolerance that is enough.
TOL, ENOUGH = 1e-9, 0.5


@dataclass(frozen=True)
class Covered:
    """A lower bound on all integer points, and whether the tree was finished."""

    bound: float
    parts: int
    finished: bool


@dataclass(frozen=True, order=True)
class _Part:
    bound: float
    number: int
    lower: FloatArray
    upper: FloatArray


def covered(
    program: LinearProgram,
    goal: float | None,
    asking: Asking,
    patience: float,
) -> Covered:
    """A lower bound by branching, as good as shows that x is optimal if it is.

    Parameters
    ----------
    program : LinearProgram
        With integers.
    goal : float or None
        The bound that is enough; None for a program that is said to have no point, which a bound
        of inf shows.
    asking : Asking
        Who solves the linear programs, by when.
    patience : float
        Seconds, where no time limit is given.
    """
    whole = program.integrality
    assert whole is not None  # noqa: S101 - that is why there is something to branch on
    goal = np.inf if goal is None else goal
    clock = Clock(patience) if asking.clock.limit is None else asking.clock
    steps = _whole_objective(program, whole)
    numbers = itertools.count()
    open_parts = [_Part(-np.inf, next(numbers), *_whole_box(program, whole))]
    # The least bound of the parts that are done with, and whether all of them have what they need.
    closed, finished, parts = np.inf, True, 0
    while open_parts and parts < MOST_PARTS and not clock.expired:
        part = heapq.heappop(open_parts)
        parts += 1
        bound, point = _solved(program, part, asking)
        bound = max(part.bound, _rounded_up(bound, steps, program.offset))
        column = None if point is None else _least_whole(point, whole)
        if bound < goal and column is not None and point is not None:
            for lower, upper in _halves(part, column, point[column]):
                heapq.heappush(open_parts, _Part(bound, next(numbers), lower, upper))
            continue
        closed = min(closed, bound)
        if bound < goal and point is not None:
            break  # a better point with integers
        finished = finished and bound >= goal
    better = closed < goal and finished
    bounds = [closed, *(each.bound for each in open_parts)]
    return Covered(min(bounds), parts, better or (finished and not open_parts))


def prove_whole(
    program: LinearProgram, x: FloatArray, tol: float, asking: Asking, patience: float
) -> tuple[Proof, int]:
    """The verdict on an answer with integers, and how many parts its tree has.

    `inconclusive` where the tree was not finished; the bound holds all the same.
    """
    proof = prove(program, x, None, tol)
    if proof.verdict is not Verdict.INCONCLUSIVE:
        return proof, 0
    found, offset = proof.residuals, program.offset
    unit = scale(Form.of(program), proof.x, found.objective - offset)
    goal = found.objective - ENOUGH * max(tol, LEAST_GAP) * unit
    tree = covered(program, goal, asking, patience)
    if tree.bound == -np.inf:
        return proof, tree.parts
    gap = (found.objective - tree.bound) / unit
    found = replace(found, dual_objective=tree.bound, rel_gap=gap, dual=0.0)
    verdict = judge(found, tol)
    if verdict is not Verdict.CERTIFIED and not tree.finished:
        verdict = Verdict.INCONCLUSIVE
    return Proof(proof.x, None, found, verdict), tree.parts


def _whole_box(program: LinearProgram, whole: BoolArray) -> tuple[FloatArray, FloatArray]:
    lower = np.where(whole, np.ceil(program.lower), program.lower)
    upper = np.where(whole, np.floor(program.upper), program.upper)
    return lower, upper


def _solved(program: LinearProgram, part: _Part, asking: Asking) -> tuple[float, FloatArray | None]:
    """The bound of a part, inf if a ray shows it empty, −inf if nothing is known; and its point."""
    if (part.lower > part.upper).any():
        return np.inf, None
    relaxed = replace(program, lower=part.lower, upper=part.upper, integrality=None)
    answer = asking.answer(relaxed)
    if answer is None:
        return -np.inf, None
    if answer.x is not None and answer.duals is not None:
        proof = prove(relaxed, answer.x, answer.duals, TOL)
        return proof.residuals.dual_objective, proof.x
    if answer.stop is StopReason.INFEASIBLE:
        ray = answer.ray
        if ray is None:
            found = asking.answer(elastic(relaxed))
            ray = None if found is None else found.duals
        if ray is not None and proves_infeasible(relaxed, ray) is not None:
            return np.inf, None
    return -np.inf, None


def _least_whole(x: FloatArray, whole: BoolArray) -> int | None:
    """The integer variable to branch on, or None where all are whole."""
    distance = np.where(whole, np.abs(x - np.rint(x)), 0.0)
    column = int(np.argmax(distance))
    if distance[column] > WHOLE * max(1.0, abs(x[column])):
        return column
    return None


def _halves(part: _Part, column: int, value: float) -> list[tuple[FloatArray, FloatArray]]:
    upper, lower = part.upper.copy(), part.lower.copy()
    upper[column], lower[column] = np.floor(value), np.floor(value) + 1
    return [(part.lower, upper), (lower, part.upper)]


def _whole_objective(program: LinearProgram, whole: BoolArray) -> float:
    """What the objective, without its offset, is a multiple of; 0 if of nothing."""
    c = program.c
    if np.any(c[~whole]) or not np.any(c) or np.any(c != np.rint(c)):
        return 0.0
    return float(np.gcd.reduce(np.abs(c).astype(np.int64))) if np.abs(c).max() < 2**53 else 0.0


def _rounded_up(bound: float, steps: float, offset: float) -> float:
    if not steps or not np.isfinite(bound):
        return bound
    units = (bound - offset) / steps
    return offset + steps * float(np.ceil(units - WHOLE * max(1.0, abs(units))))
