"""Solving along λ: from large to small, each solve started from the one before."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from relu_opt.arrays import FloatArray, as_count, as_floats, as_positive
from relu_opt.clock import Clock
from relu_opt.errors import DataError
from relu_opt.path.events import events_between
from relu_opt.path.point import PathPoint
from relu_opt.path.segment import Segment
from relu_opt.plugins.dispatch import can_start
from relu_opt.plugins.stopping import StopNow
from relu_opt.plugins.types import StopReason
from relu_opt.program.convex import ConvexProgram
from relu_opt.progress.bar import Announcer
from relu_opt.solving.training import Solution, solve

# The first step in log λ, the longest, and by how much one may differ from the step before.
FIRST_STEP, LONGEST_STEP = 0.3, 1.5
SHRINK, GROW = 0.3, 2.5
# The next step aims at this share of ε; the gap between neighbours grows like step^(1/POWER).
AIM, POWER = 0.6, 0.4
# Neighbours this close in log λ are not parted any more.
CLOSEST = 1e-6


@dataclass
class Follower:
    """Solves at one λ after the other, and keeps the points.

    Attributes
    ----------
    prog : ConvexProgram
        The program; its own λ plays no part.
    backend, tol, options
        As in `solve`.
    clock : Clock
        Of the whole path.
    executor : Shards or None
        Workers that hold the patterns.
    most : int
        Points at the most.
    points : list of PathPoint
        Those found, with falling λ.
    """

    prog: ConvexProgram
    backend: str
    tol: float
    options: Mapping[str, object]
    clock: Clock = field(default_factory=Clock)
    executor: object = None
    most: int = 1000
    points: list[PathPoint] = field(default_factory=list)
    _tell: Announcer = field(default_factory=lambda: Announcer("path"))

    def solve(self, lam: float, start: Solution | FloatArray | None) -> PathPoint:
        """The point at λ.

        Raises
        ------
        StopNow, TimeUp
            If time is up, Ctrl-C was pressed, or there are enough points.
        """
        if len(self.points) >= self.most:
            raise StopNow(StopReason.ITERATION_LIMIT)
        self.clock.check()
        done = len(self.points)
        self._tell(done, f"path, point {done + 1}, lam {lam:.3g}", always=True)
        if not can_start(self.prog, self.backend):
            start = None
        sol = solve(
            self.prog.with_lam(lam),
            self.backend,
            self.tol,
            self.clock.remaining,
            start,
            self.options,
            self.executor,
        )
        if sol.stop in (StopReason.INTERRUPTED, StopReason.TIME_LIMIT):
            raise StopNow(sol.stop)
        return PathPoint.of(sol)

    def step_to(self, lam: float, eps: float | None) -> float:
        """Add the point at a smaller λ, and those between that ε asks for.

        Returns
        -------
        float
            The largest relative gap between the neighbours before any were put between.
        """
        before = self.points[-1]
        point = self.solve(lam, before.solution)
        segment = Segment(before, point)
        if eps is not None:
            self._fill(segment, eps)
        self.points.append(point)
        return segment.largest_gap

    def follow_freely(self, last: float, eps: float) -> None:
        """Go from the last point to λ = `last` in steps as long as ε allows."""
        step = FIRST_STEP
        while self.points[-1].lam > last:
            ahead = self.points[-1].lam * math.exp(-step)
            gap = self.step_to(max(last, ahead), eps)
            growth = (AIM * eps / gap) ** POWER if gap > 0 else GROW
            step = min(LONGEST_STEP, step * min(GROW, max(SHRINK, growth)))

    def locate(self, tol: float) -> None:
        """Part neighbours between which something happens until they are close."""
        k = 0
        while k < len(self.points) - 1:
            high, low = self.points[k : k + 2]
            far = high.lam > low.lam * (1 + tol)
            if far and any(events_between(high.optimal, low.optimal)):
                self.points.insert(k + 1, self._middle(Segment(high, low)))
            else:
                k += 1

    def _middle(self, segment: Segment) -> PathPoint:
        """The point half-way between two in log λ, started from their mixture."""
        lam = math.sqrt(segment.high.lam * segment.low.lam)
        return self.solve(lam, segment.weights(lam))

    def _fill(self, segment: Segment, eps: float) -> None:
        """Add points between two until the gap is at most ε everywhere between them."""
        high, low = segment.high, segment.low
        hopeless = max(high.certificate.rel_gap, low.certificate.rel_gap) >= eps
        close = math.log(high.lam / low.lam) <= CLOSEST
        if hopeless or close or segment.largest_gap <= eps:
            return
        middle = self._middle(segment)
        self._fill(Segment(high, middle), eps)
        self.points.append(middle)
        self._fill(Segment(middle, low), eps)


def lam_grid(
    prog: ConvexProgram, lams: ArrayLike | None, count: int | None, ratio: float
) -> FloatArray:
    """The λ to visit, falling: those given, or `count` evenly in log λ from λ_max down.

    Raises
    ------
    DataError
        If they cannot be used, or the zero network is optimal at every λ.
    """
    if lams is not None:
        given = as_floats(lams, "lams", 1)
        if (given <= 0).any():
            raise DataError(f"lams holds {given.min()}, and numbers greater than zero are needed.")
        return np.asarray(np.unique(given)[::-1])
    if not as_positive(ratio, "lam_min_ratio") < 1:
        raise DataError(f"lam_min_ratio is {ratio}, and a number between 0 and 1 is needed.")
    if not prog.lam_max > 0:
        raise DataError(
            "The zero network is optimal at every lam, so there is no path: no neuron of the "
            "patterns lowers the loss. Check y, or pass lams."
        )
    return prog.lam_max * np.geomspace(1.0, ratio, as_count(count, "n_lams", least=2))
