"""Training with the hinge loss or with a hard margin: linear programs over few knots and groups.

Between two knots a spline is linear. Samples of one class there whose shortfalls are all positive,
or all zero, are one sample of their total weight at their mean; those with a hard margin need
their first and their last one only. Groups are cut where their shortfalls change sign, and knots
join where the dual point asks for them, until the gap is closed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csc_array

from relu_opt.arrays import FloatArray, IntArray
from relu_opt.train.one_input.bounds import lower_bound, missing_knots
from relu_opt.train.one_input.knots import Knots
from relu_opt.train.one_input.masters import hat_rows, margin_master
from relu_opt.train.one_input.polish import objective
from relu_opt.train.one_input.problem import SplineProblem
from relu_opt.train.one_input.training import (
    MASTER_SHARE,
    Masters,
    Trained,
    better,
    constant_fit,
    need_duals,
    start_knots,
    with_knots,
)

# Shortfalls that are zero up to a solver's rounding.
ZERO = 1e-8


@dataclass(frozen=True, eq=False)
class Groups:
    """Samples that share a row.

    Attributes
    ----------
    margins : (g, k) array
        The margin of each group is its row times the values at the knots.
    weights : (g,) array
        Weight of the samples of each group in F, or their number with a hard margin.
    of : (n,) array
        The group of each sample; −1 for those that no row needs.
    """

    margins: csc_array
    weights: FloatArray
    of: IntArray


def train_with_margins(problem: SplineProblem, masters: Masters) -> Trained:
    """The optimum for the hinge loss, or the cheapest spline with a hard margin."""
    if np.ptp(problem.y) == 0:
        return constant_fit(problem, float(problem.y[0]))
    if len(problem.positions) == 1:
        # The mean hinge loss of a constant in [−1, 1] falls towards the heavier class.
        heavier = float(np.sign(problem.sample_scale @ problem.y))
        return constant_fit(problem, heavier)
    hard = problem.constrained
    knots = _separating(problem) if hard else start_knots(problem)
    cuts = np.zeros(len(problem.positions), dtype=np.bool_)
    best: Trained | None = None
    still, before = 0, np.inf
    while best is None or masters.go_on(best.rel_gap):
        groups = _ends(problem, knots) if hard else _groups(problem, knots, cuts)
        price = None if hard else groups.weights
        lam = problem.lam / problem.width
        answer = masters.solve(margin_master(knots, groups.margins, price, lam))
        multipliers = np.clip(-need_duals(answer)[: len(groups.weights)] * lam, 0.0, None)
        nu = problem.admissible(_spread_multipliers(problem, groups, multipliers))
        bent = np.r_[True, _slope_changes(answer.x, len(knots)) != 0, True]
        values = answer.x[: len(knots)]
        kept = Knots(problem, knots.chosen[bent])
        fits = kept.spread(values[bent])[problem.where]
        if hard and (problem.y * fits).min() > 0:
            values = values / min(1.0, (problem.y * fits).min())
        cost = objective(problem, kept, values[bent])
        found = Trained(kept, values[bent], cost, lower_bound(problem, nu))
        best = found if best is None else better(best, found, masters.tol)
        wider = with_knots(knots, missing_knots(problem, nu, MASTER_SHARE * masters.tol))
        more = cuts | _crossings(knots.spread(values))
        same = len(wider) == len(knots) and (hard or (more == cuts).all())
        still = still + 1 if same else 0
        if still and best.rel_gap > masters.tol and best.rel_gap >= before:
            masters.stalled()
        knots, cuts, before = wider, more, best.rel_gap
    return best


def _slope_changes(x: FloatArray, count: int) -> FloatArray:
    """p − q of a master's answer, exactly zero where its knot is idle."""
    inner = count - 2
    return x[count : count + inner] - x[count + inner : count + 2 * inner]


def _separating(problem: SplineProblem) -> Knots:
    """The positions beside each change of the label: some spline over them has every margin."""
    labels = np.zeros(len(problem.positions))
    labels[problem.where] = problem.y
    changes = np.flatnonzero(np.diff(labels))
    return Knots.of(problem, np.concatenate([changes, changes + 1]))


def _crossings(values: FloatArray) -> np.ndarray:
    """Marks where a margin becomes or ends to be met, between a position and the one before."""
    marks = np.zeros(len(values), dtype=np.bool_)
    for label in (1.0, -1.0):
        shortfall = 1 - label * values
        side = np.where(np.abs(shortfall) <= ZERO, 0.0, np.sign(shortfall))
        marks[1:] |= np.diff(side) != 0
    return marks


def _groups(problem: SplineProblem, knots: Knots, cuts: np.ndarray) -> Groups:
    """Samples of one class between two knots or cuts."""
    marks = cuts.copy()
    marks[knots.chosen] = True
    marks[-1] = cuts[-1]  # the last position is in the last cell
    keys = 2 * np.cumsum(marks)[problem.where] + (problem.y > 0)
    _, of = np.unique(keys, return_inverse=True)
    weights = np.bincount(of, problem.sample_scale).astype(np.float64)
    shares = problem.y * problem.sample_scale / weights[of]
    return Groups(hat_rows(knots, of, problem.where, shares), weights, of)


def _ends(problem: SplineProblem, knots: Knots) -> Groups:
    """The first and the last position of each class between two knots."""
    labels = np.zeros(len(problem.positions))
    labels[problem.where] = problem.y
    keys = 2 * knots.cell + (labels > 0)
    order = np.argsort(keys, kind="stable")
    turns = np.flatnonzero(np.diff(keys[order])) + 1
    firsts, lasts = np.append(0, turns), np.append(turns, len(order)) - 1
    needed = np.union1d(order[firsts], order[lasts])
    row = np.full(len(labels), -1, dtype=np.intp)
    row[needed] = np.arange(len(needed))
    of = row[problem.where]
    weights = np.bincount(of[of >= 0])
    margins = hat_rows(knots, np.arange(len(needed)), needed, labels[needed])
    return Groups(margins, weights.astype(np.float64), of)


def _spread_multipliers(
    problem: SplineProblem, groups: Groups, multipliers: FloatArray
) -> FloatArray:
    """ν of the samples, (n,): each group's multiplier, shared out by weight."""
    share = multipliers / groups.weights
    if problem.constrained:
        return np.where(groups.of >= 0, problem.y * share[groups.of], 0.0)
    return problem.y * problem.sample_scale * np.minimum(share, 1.0)[groups.of]
