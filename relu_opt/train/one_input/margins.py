"""Training with the hinge loss or with a hard margin: linear programs over few knots and groups.

Between two knots a spline is linear. Samples of one class there whose shortfalls are all positive,
or all zero, are one sample of their total weight at their mean; those with a hard margin need
their first and their last one only. Groups are cut where their shortfalls change sign, and knots
join where the dual point asks for them, until the gap is closed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csc_array

from relu_opt.arrays import FloatArray, IntArray
from relu_opt.plugins.types import StopReason
from relu_opt.train.one_input.bounds import lower_bound
from relu_opt.train.one_input.knots import Knots
from relu_opt.train.one_input.masters import hat_rows, margin_master
from relu_opt.train.one_input.polish import objective
from relu_opt.train.one_input.problem import SplineProblem
from relu_opt.train.one_input.training import (
    KnotSearch,
    Trained,
    need_duals,
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


class MarginSearch(KnotSearch):
    """For the hinge loss, or the cheapest spline with a hard margin."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.hard = self.problem.constrained
        if self.hard:
            self.knots = _separating(self.problem)
        self.cuts = self.more = np.zeros(len(self.problem.positions), dtype=np.bool_)
        self.before = np.inf

    def run(self) -> StopReason:
        """The first program shows what is missing."""
        self.rounds = 1
        self.solve()
        return super().run()

    def solve(self) -> None:
        """A linear program over knots and groups."""
        problem, knots, hard = self.problem, self.knots, self.hard
        groups = _ends(problem, knots) if hard else _groups(problem, knots, self.cuts)
        price = None if hard else groups.weights
        lam = problem.lam / problem.width
        answer = self.program(margin_master(knots, groups.margins, price, lam))
        multipliers = np.clip(-need_duals(answer)[: len(groups.weights)] * lam, 0.0, None)
        self.nu = problem.admissible(_spread_multipliers(problem, groups, multipliers))
        bent = np.r_[True, _slope_changes(answer.x, len(knots)) != 0, True]
        values = answer.x[: len(knots)]
        kept = Knots(problem, knots.chosen[bent])
        fits = kept.spread(values[bent])[problem.where]
        if hard and (problem.y * fits).min() > 0:
            values = values / min(1.0, (problem.y * fits).min())
        cost = objective(problem, kept, values[bent])
        self.keep(Trained(kept, values[bent], cost, lower_bound(problem, self.nu)))
        self.more = self.cuts | _crossings(knots.spread(values))

    def join(self, missing: IntArray) -> StopReason | None:
        """More knots and cuts; a reason to stop where there are none and the gap stays."""
        wider = with_knots(self.knots, missing)
        same = len(wider) == len(self.knots) and (self.hard or (self.more == self.cuts).all())
        if same and self.gap >= self.before:
            return StopReason.NUMERICAL
        self.knots, self.cuts, self.before = wider, self.more, self.gap
        return None


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
