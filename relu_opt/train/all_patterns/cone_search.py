"""Branch and bound over cones of directions: what the searches for one and several outputs share.

Space is covered by the cones of all signs. A cone whose bound is above the goal is cut in two
across its longest edge, until none is left, or there is no more time or memory.

Corners are not of norm 1: they stay on Σ_k |v_k| = 1, where Σ_j θ_j ≤ √r ‖u‖ for u = Σ_j θ_j v_j,
θ ≥ 0. A cone is cut in eighths of an edge, which is exact while there are bits enough. Then each
entry of a corner is rounded by a share of 2u; entries of one orthant have one sign, so that after
L cuts each entry of any direction is within a share of 2uL of one in some cone: `GAP` is for
`MOST_CUTS` of them.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.clock import Clock
from relu_opt.errors import DataError
from relu_opt.plugins.stopping import until_stopped
from relu_opt.plugins.types import StopReason
from relu_opt.rounding import gamma
from relu_opt.train.all_patterns.separation_bounds import RowSpace

# Entries of all open cones.
MOST_ENTRIES = 50_000_000
# Beyond this rank the orthants alone are too many.
MOST_RANK = 12
# Cones whose longest edge is shorter are lost in rounding.
NARROWEST = 1e-6
# A cut is at a multiple of 1/PARTS of an edge, and there are at most so many, one after another.
PARTS, MOST_CUTS = 8, 120
# How far a unit vector may be from all cones.
GAP = gamma(2 * MOST_CUTS)


class ConeSearch(ABC):
    """One search: its bound so far, and how it ended.

    Attributes
    ----------
    upper : float
        What no closed cone exceeds; after `run` it holds everywhere.
    cones : int
        How many were looked at.
    stop : StopReason
    """

    def __init__(self, rank: int, anything: float, step: int) -> None:
        # A bound that holds everywhere, and cones that are looked at together.
        self.rank, self.anything, self.step = rank, anything, max(1, step)
        self.upper, self.cones = 0.0, 0
        self.stop = StopReason.CONVERGED

    @property
    @abstractmethod
    def goal(self) -> float:
        """Cones with a bound of at most this are closed."""

    @abstractmethod
    def bounds_of(self, cones: FloatArray) -> FloatArray:
        """An upper bound on each cone, (m,); good points on the way may be noted."""

    def cut(self, cones: FloatArray) -> FloatArray | None:
        """Each cone in two, all first halves first; None if that is not possible any more."""
        return halves(cones)

    def begin(self, clock: Clock) -> None:  # noqa: B027 - a search may need nothing
        """What is done first; nothing by default."""

    def run(self, clock: Clock) -> None:
        """Cut cones until all are closed, or there is no more time or memory."""
        # What is known of the open cones; a stop at any point finds bounds that hold.
        self.bounds = np.full(2**self.rank, self.anything)
        self.stop = until_stopped(lambda: self._close_all(clock)).stop
        self.upper = max(self.upper, float(self.bounds.max(initial=0.0)))

    def _close_all(self, clock: Clock) -> StopReason:
        cones = orthants(self.rank)
        self.begin(clock)
        for _ in range(MOST_CUTS):
            self._look(cones, clock)
            closed = self.bounds <= self.goal
            self.upper = max(self.upper, float(self.bounds[closed].max(initial=0.0)))
            cones, self.bounds = cones[~closed], self.bounds[~closed]
            if not len(cones):
                return StopReason.CONVERGED
            smaller = self.cut(cones) if len(cones) <= MOST_ENTRIES // self.rank**2 else None
            if smaller is None:
                break
            cones, self.bounds = smaller, np.concatenate([self.bounds, self.bounds])
        return StopReason.ITERATION_LIMIT

    def _look(self, cones: FloatArray, clock: Clock) -> None:
        """Bound the cones in batches, and lower what is known of them in place."""
        for start in clock.each(range(0, len(cones), self.step)):
            part = slice(start, start + self.step)
            self.bounds[part] = np.minimum(self.bounds[part], self.bounds_of(cones[part]))
            self.cones += len(cones[part])


def searchable(space: RowSpace, instead: str) -> RowSpace:
    """A row space whose directions can be searched, or a DataError."""
    if space.rank > MOST_RANK:
        raise DataError(
            f"The data have rank {space.rank}, and directions are searched up to rank {MOST_RANK}: "
            f"the number of cones doubles with each. Use oracle={instead!r}, or reduce the data.",
            rank=space.rank,
            limit=MOST_RANK,
        )
    return space


def orthants(rank: int) -> FloatArray:
    """The cones of all signs, (2^rank, rank, rank), one row a corner."""
    return np.array([np.diag(signs) for signs in itertools.product((1.0, -1.0), repeat=rank)])


def halves(cones: FloatArray) -> FloatArray | None:
    """Each cone cut in two across its longest edge; the second halves follow.

    None if an edge is too short for it, or a cone is a ray.
    """
    rank = cones.shape[1]
    one, two = np.triu_indices(rank, 1)
    if not len(one):
        return None
    norms = np.linalg.norm(cones, axis=2)
    units = cones / norms[:, :, None]
    lengths = np.linalg.norm(units[:, one] - units[:, two], axis=2)
    longest, every = lengths.argmax(axis=1), np.arange(len(cones))
    i, j = one[longest], two[longest]
    # Near the middle of the angle: the share of the shorter corner is the larger one.
    parts = np.rint(PARTS * norms[every, j] / (norms[every, i] + norms[every, j]))[:, None]
    middle = (parts * cones[every, i] + (PARTS - parts) * cones[every, j]) / PARTS
    if lengths.max(axis=1).min() < NARROWEST:
        return None
    first, second = cones.copy(), cones.copy()
    first[every, i] = second[every, j] = middle
    return np.concatenate([first, second])
