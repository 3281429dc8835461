"""Training by knot generation: a program over few knots, and a proof that says which are missing.

A program over all positions is sparse, but its conditioning grows like n⁴, and solvers end far
from the tolerance. The optimum has few kinks: so the program is solved over some knots, its dual
point is checked against all positions in O(n), and the knots that it asks for join. A smooth loss
is replaced by its quadratic model at the current fits (a proximal Newton method), and the knots
that are left are settled exactly (`polish`). It ends with the certified gap.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from relu_opt.arrays import FloatArray, IntArray
from relu_opt.clock import Clock
from relu_opt.config import load_settings
from relu_opt.errors import SolveFailed
from relu_opt.optimality import StandardProgram
from relu_opt.plugins.manager import registry
from relu_opt.plugins.types import State, StopReason
from relu_opt.program.line_search import by_halves
from relu_opt.program.linear import QuadraticProgram
from relu_opt.program.lowering import into_domain
from relu_opt.proof.verdict import relative_gap
from relu_opt.solving.search import CuttingPlanes
from relu_opt.solving.standard import ProgramSolution, solve_in_time
from relu_opt.train.one_input.bounds import SplineBound, lower_bound, missing_knots
from relu_opt.train.one_input.knots import Knots
from relu_opt.train.one_input.masters import quadratic_master
from relu_opt.train.one_input.polish import BRANCHES, model_curvature, objective, polished
from relu_opt.train.one_input.problem import SplineProblem

MOST_ROUNDS = 200
INTERIOR = "clarabel"
START_KNOTS = 65
# What the programs are solved to, relative to the gap that is asked for.
MASTER_SHARE, TIGHTEST = 0.1, 1e-11
# A knot is idle if its slope change is below this share of its dual slack.
IDLE, LEAST_SLACK = 1e-3, 1e-6
# How much of the gap polishing may add to the objective: what it is for is the bound.
POLISH_SHARE, WORSE = 0.1, 1e-7
# The gap from which on signs are likely to be right.
POLISH_BELOW = 0.01
# The gap from which on a point is not moved for the sake of fewer knots.
SETTLE_BELOW = 1e-5
# Rounds without progress before it is given up.
PATIENCE, LITTLE = 8, 1e-7
# The share of the predicted decrease that a step has to reach, and how often it is halved for that.
ENOUGH, MOST_HALVINGS, ROUNDING = 1e-4, 34, 1e-12


@dataclass(frozen=True, eq=False)
class Trained:
    """Values at knots, with the best lower bound that was found.

    Attributes
    ----------
    knots : Knots
        Without cells if all samples are at one position.
    values : (k,) array
    objective : float
    bound : SplineBound
    """

    knots: Knots
    values: FloatArray
    objective: float
    bound: SplineBound

    @property
    def rel_gap(self) -> float:
        return relative_gap(self.objective, self.bound.value)


class KnotSearch(CuttingPlanes[IntArray]):
    """Programs over some knots, handed to the backend that was asked for, and which are missing.

    Attributes
    ----------
    best : Trained or None
        The best spline so far, with the best bound.
    used : str
        Who solved the last program.
    seconds : float
        What all of them took.
    """

    def __init__(
        self,
        problem: SplineProblem,
        tol: float,
        clock: Clock,
        backend: str,
        options: Mapping[str, object] | None,
    ) -> None:
        super().__init__(tol, clock, MOST_ROUNDS)
        self.problem, self.backend, self.options = problem, backend, options
        self.knots = start_knots(problem)
        self.nu: FloatArray | None = None
        self.best: Trained | None = None
        self.used, self.seconds = "", 0.0

    def ask(self) -> IntArray:
        """The positions where the dual point says that a kink would pay."""
        if self.nu is None:
            return np.empty(0, dtype=np.intp)
        return missing_knots(self.problem, self.nu, MASTER_SHARE * self.tol)

    def size(self) -> str:
        """How many knots there are."""
        return f"{len(self.knots)} knots"

    def keep(self, found: Trained) -> None:
        """The lower objective with the higher bound; a point that is good enough is simpler."""
        bound, best = found.bound, self.best
        if best is not None:
            bound = max(best.bound, bound, key=lambda each: each.value)
            good = relative_gap(found.objective, bound.value) <= self.tol
            found = found if good or found.objective <= best.objective else best
        self.best = replace(found, bound=bound)
        self.upper, self.lower = self.best.objective, bound.value

    def program(self, program: StandardProgram) -> ProgramSolution:
        """The answer to one more program."""
        began = self.clock.elapsed
        tol = max(MASTER_SHARE * self.tol, TIGHTEST)
        found = solve_in_time(program, self._backend(program), tol, self.clock, self.options)
        self.seconds += self.clock.elapsed - began
        self.used = found.backend
        return found

    def _backend(self, program: StandardProgram) -> str:
        """What was asked for; `auto` takes an interior point method for quadratic masters.

        All knots start as idle, and active-set methods end in such degenerate corners.
        """
        if self.backend != "auto" or not isinstance(program, QuadraticProgram):
            return self.backend
        known = registry().infos()
        free = load_settings().backend == "auto" and INTERIOR in known
        ready = free and registry().probe(known[INTERIOR]).state is State.READY
        return INTERIOR if ready else self.backend


def start_knots(problem: SplineProblem) -> Knots:
    """Some positions, evenly by rank."""
    last = len(problem.positions) - 1
    return Knots.of(problem, np.linspace(0, last, START_KNOTS).astype(np.intp))


def constant_fit(problem: SplineProblem, value: float) -> Trained:
    """A constant that is optimal."""
    fits = np.full(problem.n, value)
    nu = np.zeros(problem.n) if problem.constrained else problem.dual_start()
    bound = lower_bound(problem, nu)
    knots = Knots.of(problem, np.zeros(1, dtype=np.intp))
    return Trained(knots, np.full(len(knots), value), problem.mean_loss(fits), bound)


class SmoothSearch(KnotSearch):
    """For a smooth loss: each program is a step of Newton's method."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        problem = self.problem
        self.values = np.full(len(self.knots), problem.best_intercept(np.zeros(problem.n)))
        spread = problem.sample_scale @ (problem.y - self.values[0]) ** 2
        self.unit = 1.0 if not problem.loss.scales else math.sqrt(spread) or 1.0
        self.still = 0
        self.keep(_judged(problem, self.knots, self.values))

    def solve(self) -> None:
        """A step, settled exactly where the signs are likely to be right."""
        problem, before = self.problem, (self.upper, self.gap)
        values, nu = self._newton_step()
        model = lower_bound(problem, nu)
        found = _judged(problem, self.knots, values)
        found = (_polished if found.rel_gap <= POLISH_BELOW else _pruned)(problem, found)
        self.knots, self.values = found.knots, found.values
        if model.value > found.bound.value:
            found = replace(found, bound=model)
        else:
            nu = _dual_point(problem, self.knots, self.values)
        self.nu = nu
        self.keep(found)
        fallen = self.upper < before[0] * (1 - LITTLE) or self.gap < before[1] * (1 - ENOUGH)
        self.still = 0 if fallen else self.still + 1

    def join(self, missing: IntArray) -> StopReason | None:
        """More knots, unless nothing has moved for long: rounding is the limit then."""
        if self.still > PATIENCE:
            return StopReason.NUMERICAL
        wider = with_knots(self.knots, missing)
        self.knots, self.values = wider, self.knots.spread(self.values)[wider.chosen]
        return None

    def _newton_step(self) -> tuple[FloatArray, FloatArray]:
        """A step to the optimum of the quadratic model.

        Returns
        -------
        values : (k,) array
            Where the objective is lower.
        nu : (n,) array
            The model's dual point, with Σν = 0 and in the domain of D. Where the loss is flat, the
            optimal fits are many, and −∇F at the step's end may be far from feasible; this is not.
        """
        problem, knots, values, unit = self.problem, self.knots, self.values, self.unit
        fits = knots.spread(values)[problem.where]
        slopes, curves = problem.loss_gradient(fits), model_curvature(problem, fits)
        gradient = knots.gather(problem.at_positions(slopes))
        curvature = knots.curvature(problem.at_positions(curves))
        lam = problem.lam / problem.width
        master = quadratic_master(knots, values, gradient, curvature, lam, unit)
        step = unit * self.program(master).x[: len(knots)]
        nu = -slopes - curves * knots.spread(step)[problem.where]
        nu = problem.admissible(into_domain(problem, nu))
        if problem.loss.quadratic:
            return values + step, nu
        start = objective(problem, knots, values)
        start += ROUNDING * abs(start)  # the last steps serve the dual point
        slope = float(gradient @ step) + lam * (knots.cost(values + step) - knots.cost(values))

        def attempt(length: float) -> FloatArray | None:
            there = values + length * step
            fallen = objective(problem, knots, there) <= start + ENOUGH * length * min(slope, 0.0)
            return there if fallen else None

        there = by_halves(attempt, MOST_HALVINGS)
        return (values if there is None else there), nu


def _dual_point(problem: SplineProblem, knots: Knots, values: FloatArray) -> FloatArray:
    """−∇F at the fits, (n,), with Σν = 0."""
    fits = knots.spread(values)[problem.where]
    return problem.admissible(-problem.loss_gradient(fits))


def _judged(problem: SplineProblem, knots: Knots, values: FloatArray) -> Trained:
    """A point with its objective and its own bound."""
    bound = lower_bound(problem, _dual_point(problem, knots, values))
    return Trained(knots, values, objective(problem, knots, values), bound)


def _polished(problem: SplineProblem, found: Trained) -> Trained:
    """The point without idle knots, settled exactly; as it was where that makes it worse.

    Of the branches of the cost, the one whose dual point is closest to feasible is the right one.
    """
    worst = _allowed(found)
    for join in (True, False):
        candidates = []
        active = _active(problem, found, join)
        for branch in BRANCHES:
            settled = polished(problem, *active, branch)
            if settled is not None and objective(problem, *settled) <= worst:
                candidates.append((problem.largest(_dual_point(problem, *settled)), settled))
        if candidates:
            result = _judged(problem, *min(candidates, key=_distance)[1])
            if result.bound.value >= found.bound.value:
                return result
    return found if found.rel_gap <= SETTLE_BELOW else _pruned(problem, found)


def _distance(candidate: tuple[float, tuple[Knots, FloatArray]]) -> float:
    """M(ν) of a candidate's dual point."""
    return candidate[0]


def _pruned(problem: SplineProblem, found: Trained) -> Trained:
    """The point without idle knots, where its objective stays."""
    for join in (True, False):
        knots, values = _active(problem, found, join)
        there = objective(problem, knots, values)
        if there <= _allowed(found):
            return replace(found, knots=knots, values=values, objective=there)
    return found


def _allowed(found: Trained) -> float:
    """The highest objective of a point that may take another's place for its bound or its knots."""
    gap = POLISH_SHARE * (found.objective - found.bound.value)
    return found.objective + min(gap, WORSE * abs(found.objective))


def _active(problem: SplineProblem, found: Trained, join: bool) -> tuple[Knots, FloatArray]:
    """The knots that the optimum needs, as far as an answer up to rounding tells, and the values.

    Idle knots are left out: those whose slope changes a solver's rounding explains. A kink between
    two data points needs a knot on either side; a solver spreads it over more, because their dual
    slacks are the same up to rounding. `join` makes two of these again.
    """
    knots, values = found.knots, found.values
    hinges = problem.hinges(_dual_point(problem, knots, values))
    first, bends = hinges[0], knots.bends(values)
    upper, lower = problem.lam + min(first, 0.0), max(first, 0.0) - problem.lam
    slacks = np.stack([hinges - lower, upper - hinges]) / problem.lam
    inner, side = knots.chosen[1:-1], (bends > 0).astype(np.intp)
    least = IDLE * np.abs(bends).max(initial=0.0) * np.maximum(slacks[side, inner], LEAST_SLACK)
    active = np.abs(bends) > least
    inner, side, bends = inner[active], side[active], bends[active]
    apart = np.cumsum(slacks > LEAST_SLACK, axis=1)
    joined = (
        join & (side[1:] == side[:-1]) & (apart[side[1:], inner[1:]] == apart[side[1:], inner[:-1]])
    )
    chosen = []
    for group in np.split(np.arange(len(inner)), np.flatnonzero(~joined) + 1):
        if len(group) < 3:
            chosen.append(inner[group])
        else:
            centre = np.average(problem.positions[inner[group]], weights=bends[group])
            after = int(np.searchsorted(problem.positions, centre))
            chosen.append(np.array([after - 1, after]))
    narrow = Knots.of(problem, np.concatenate(chosen))
    return narrow, knots.spread(values)[narrow.chosen]


def need_duals(found: ProgramSolution) -> FloatArray:
    """The multipliers of a linear program, or a SolveFailed."""
    if found.duals is None:
        raise SolveFailed(
            f"Backend {found.backend!r} returned no multipliers, and the proof needs them. Use "
            "backend='highs'.",
            backend=found.backend,
        )
    return found.duals


def with_knots(knots: Knots, added: IntArray) -> Knots:
    """More knots."""
    return Knots.of(knots.problem, np.union1d(knots.chosen, added))
