"""Searches along a path of λ: the best points so far, for this λ and for the one asked for."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.clock import Clock
from relu_opt.plugins.stopping import Ending, until_stopped
from relu_opt.plugins.types import SolveOptions, StopReason
from relu_opt.program import ConvexProgram
from relu_opt.proof.verdict import relative_gap
from relu_opt.solving.search import CuttingPlanes, best_multiple

# Aim below the tolerance: the certificate charges rounding errors to the gap.
AIM = 0.5
# A bound that moves by less than this share of the distance of the bounds makes no progress.
PROGRESS = 1e-3


@dataclass
class Answer:
    """The best primal and dual points so far: what is returned whenever the search stops."""

    weights: FloatArray
    upper: float
    nu: FloatArray
    lower: float


class Bounds(CuttingPlanes[None]):
    """A search that reaches the λ asked for (`target`) through others (`prog`), in stages.

    `upper` and `lower` are the stage's. After `patience` rounds without progress of either,
    rounding is to blame.
    """

    def __init__(
        self, prog: ConvexProgram, options: SolveOptions, most: int, patience: int
    ) -> None:
        clock = Clock(options.time_limit)
        super().__init__(AIM * options.tol, clock, most, options.progress)
        self.target = self.prog = prog
        self.options = options
        self.patience, self.stalled = patience, 0
        # The stage's bounds before an iteration.
        self.before: tuple[float, float] | None = None
        self.last_told = (np.nan, np.nan, np.nan)
        value = prog.mean_loss(np.zeros(prog.n) + prog.best_intercept(np.zeros(prog.n)))
        self.answer = Answer(np.zeros(prog.weights_shape), value, np.zeros(prog.n), -np.inf)
        self.upper = value

    @property
    def distance(self) -> float:
        """How far the bounds of this stage are apart."""
        return self.upper - self.lower

    @property
    def final_gap(self) -> float:
        """The relative gap of the answer, at the λ that was asked for."""
        return relative_gap(self.answer.upper, self.answer.lower)

    @abstractmethod
    def follow(self) -> StopReason:
        """Go along λ to its value, from a start that was given begin there; why it ended."""

    @abstractmethod
    def advance(self) -> None:
        """Solve the master problem."""

    def outcome(self) -> Ending:
        """Follow; why it ended, also when stopped early, and a solver's own word."""

        def careful() -> StopReason:
            try:
                return self.follow()
            except np.linalg.LinAlgError:
                # Numbers so far apart that a factorisation fails; the bounds so far still hold.
                return StopReason.NUMERICAL

        ending = until_stopped(careful)
        if self.told() != self.last_told:
            self.tell()
        return ending

    def tell(self) -> None:
        """Tell observers how far it is."""
        self.last_told = self.told()
        super().tell()

    def join(self, found: None) -> StopReason | None:
        """What was priced has joined; a reason to stop where that brings nothing any more."""
        if self.before is not None:
            self.stalled = 0 if self.progressed(self.before) else self.stalled + 1
        if self.stalled < self.patience:
            return None
        good = min(self.gap, self.final_gap) <= self.options.tol
        return StopReason.CONVERGED if good else StopReason.NUMERICAL

    def progressed(self, before: tuple[float, float]) -> bool:
        """Whether either bound has moved."""
        whole = self.distance
        return before[0] - self.upper > PROGRESS * whole or self.lower - before[1] > PROGRESS * min(
            whole, abs(self.lower)
        )

    def solve(self) -> None:
        """One iteration."""
        self.before = self.upper, self.lower
        self.advance()

    def told(self) -> tuple[float, float, float]:
        """The bounds of the answer."""
        return self.answer.upper, self.answer.lower, self.final_gap

    def begin_stage(self, lam: float) -> None:
        """Go to another λ, whose bounds are not known."""
        self.prog = self.target if lam <= self.target.lam else self.target.with_lam(lam)
        self.upper, self.lower = np.inf, -np.inf
        self.before, self.stalled = None, 0

    def note_upper(self, fits: FloatArray, norms: float, weights: Callable[[], FloatArray]) -> None:
        """Note a network with these fits and Σ‖w_b‖, for this λ and for the one asked for."""
        loss = self.prog.mean_loss(fits)
        self.upper = min(self.upper, loss + self.prog.lam * norms)
        value = loss + self.target.lam * norms
        if value < self.answer.upper:
            self.answer.weights, self.answer.upper = weights(), value

    def note_lower(self, nu: FloatArray, largest: float) -> float | None:
        """Note ν, scaled to be feasible, for both λ; the scale if it is the best for the target."""
        best = None
        for prog in {id(p): p for p in (self.prog, self.target)}.values():
            point = best_multiple(prog, nu, largest)
            if prog is self.prog:
                self.lower = max(self.lower, point.value)
            if prog is self.target and point.value > self.answer.lower:
                self.answer.nu, self.answer.lower = point.nu, point.value
                best = point.scale
        return best
