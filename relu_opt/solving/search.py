"""One cutting-plane loop: a master problem over few columns, and an oracle that adds to them.

The dual point ν of a master problem is scaled until the oracle's bound on what any column pulls
there is at most λ: then it is feasible, and D(ν) is a lower bound for all columns. Those that pull
harder than λ join the master problem, and so on until the bounds meet, or a limit ends it. Whoever
trains says in a class of its own what is asked, what joins and what is solved.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Generic, NamedTuple, Protocol, TypeVar

from relu_opt.arrays import FloatArray
from relu_opt.clock import Clock
from relu_opt.plugins.manager import announce
from relu_opt.plugins.types import ProgressEvent, StopReason
from relu_opt.proof.verdict import relative_gap

# A master problem is solved to this share of the gap over all columns, and to at most LOOSEST.
SHARE, LOOSEST = 0.05, 1e-2

Found = TypeVar("Found")


class Dual(Protocol):
    """A problem's dual side: D, and the t in [0, 1] with tν feasible at which D(tν) is largest."""

    def best_scale(self, nu: FloatArray, largest: float, /) -> float: ...
    def dual_objective(self, nu: FloatArray, /) -> float: ...


class DualPoint(NamedTuple):
    """A dual point tν, the t, and D(tν): what no network is below, up to rounding."""

    nu: FloatArray
    scale: float
    value: float


def best_multiple(problem: Dual, nu: FloatArray, largest: float) -> DualPoint:
    """The best multiple of ν that is feasible if nothing pulls harder than `largest` at ν."""
    scale = problem.best_scale(nu, largest)
    scaled = scale * nu
    return DualPoint(scaled, scale, problem.dual_objective(scaled))


class CuttingPlanes(ABC, Generic[Found]):
    """One run: its bounds so far, and the loop.

    A run is stopped by `StopNow` or `TimeUp` from inside any step, and keeps its best answer
    whenever that is: `until_stopped(search.run)` says why it ended.

    Parameters
    ----------
    tol : float
        The relative gap to reach.
    clock : Clock
        When to end.
    most : int
        Rounds at the most.
    progress : callable, optional
        Called with a `ProgressEvent` each round; all observers are told by default.

    Attributes
    ----------
    upper, lower : float
        The best network's objective, and the best bound.
    rounds : int
        How many master problems were solved.
    aim : float
        The relative gap that the next master problem is solved to.
    """

    def __init__(
        self,
        tol: float,
        clock: Clock,
        most: int,
        progress: Callable[[ProgressEvent], None] = announce,
    ) -> None:
        self.tol, self.clock, self.most, self.progress = tol, clock, most, progress
        self.upper, self.lower = math.inf, -math.inf
        self.rounds = 0
        self.aim = LOOSEST

    @abstractmethod
    def ask(self) -> Found:
        """What the oracle finds at the dual point; the bound that it proves is kept."""

    @abstractmethod
    def join(self, found: Found) -> StopReason | None:
        """Let what was found join the master problem; a reason where nothing can be gained."""

    @abstractmethod
    def solve(self) -> None:
        """Solve the master problem; the better network is kept, and the dual point is the new."""

    @abstractmethod
    def size(self) -> str:
        """How large the master problem is, such as "12 neurons"."""

    @property
    def gap(self) -> float:
        """The relative gap of the bounds."""
        return relative_gap(self.upper, self.lower)

    @property
    def done(self) -> bool:
        """Whether the gap is small enough."""
        return self.gap <= self.tol

    def run(self) -> StopReason:
        """Rounds of asking, joining and solving; why they ended."""
        while True:
            found = self.ask()
            self.tell()
            if self.done:
                return StopReason.CONVERGED
            if self.rounds >= self.most:
                return StopReason.ITERATION_LIMIT
            stop = self.join(found)
            if stop is not None:
                return stop
            self.clock.check()
            self.rounds += 1
            self.solve()

    def tell(self) -> None:
        """Tell observers how far it is."""
        seconds = self.clock.elapsed
        self.progress(ProgressEvent("solve", self.rounds, seconds, *self.told(), self.size()))

    def told(self) -> tuple[float, float, float]:
        """Both bounds and their gap, as observers hear of them."""
        return self.upper, self.lower, self.gap

    def tighten(self, new: bool, tightest: float) -> StopReason | None:
        """Aim at a share of the gap if there are new columns, and if not, at `tightest`.

        A reason to stop where the last master problem was solved to that and nothing is new: what
        is left is the tolerance of the oracle, or of who solves the master problem.
        """
        if not new and self.aim <= tightest:
            return StopReason.CONVERGED_LOOSE
        self.aim = max(tightest, min(LOOSEST, SHARE * self.gap)) if new else tightest
        return None
