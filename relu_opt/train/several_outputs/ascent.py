"""The oracle `ascent`: climbs from many directions and a bound by one matrix, for any rank."""

from __future__ import annotations

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.clock import Clock
from relu_opt.plugins.stopping import until_stopped
from relu_opt.train.all_patterns.separation_bounds import RowSpace
from relu_opt.train.several_outputs.bounds import MOST_DIRECTIONS, Terms, VectorSeparation, distinct
from relu_opt.train.several_outputs.lifted import lifted_bound

# Random starts of a climb.
STARTS = 64
# Entries of a matrix of products between two looks at the clock.
CHUNK_ENTRIES = 8_000_000


class VectorAscent:
    """Climbs for the rows that the neurons see.

    Parameters
    ----------
    space : RowSpace
        Of those rows.
    """

    name = "ascent"

    def __init__(self, space: RowSpace) -> None:
        self.space = space

    def search(
        self,
        weights: FloatArray,
        target: float,
        rel: float,
        clock: Clock,
        starts: FloatArray | None = None,
    ) -> VectorSeparation:
        """Bound M; see `VectorSphere.search`. The bounds stay apart, whatever `rel` is."""
        terms = Terms.of(self.space, weights)
        climber = Climber(terms, target)
        stop = until_stopped(lambda: climber.start(starts, self.space, clock)).stop
        directions, values = climber.found()
        lower = float(values.max(initial=0.0))
        bound = terms.everywhere(min(lifted_bound(self.space.rows, weights), terms.size))
        return VectorSeparation(
            terms.surely(lower),
            bound,
            self.space.outward(directions),
            values,
            self.name,
            "a bound by a matrix, for all directions",
            stop,
            len(climber.points),
        )


class Climber:
    """The best directions so far, found by climbing."""

    def __init__(self, terms: Terms, target: float) -> None:
        self.terms, self.target = terms, target
        self.lower = 0.0
        self.points: list[FloatArray] = []

    def start(self, starts: FloatArray | None, space: RowSpace, clock: Clock) -> None:
        """Climb from given directions of the data's space and from random ones."""
        if not (space.rank and self.terms.size > 0):
            return
        drawn = np.random.default_rng(0).standard_normal((STARTS, space.rank))
        points = drawn if starts is None else np.concatenate([starts @ space.axes.T, drawn])
        norms = np.linalg.norm(points, axis=1, keepdims=True)
        self.note(points[norms[:, 0] > 0] / norms[norms[:, 0] > 0], clock)

    def note(self, points: FloatArray, clock: Clock) -> None:
        """Remember the points uphill of some unit vectors."""
        step = max(1, CHUNK_ENTRIES // max(1, len(self.terms.a)))
        for start in clock.each(range(0, len(points), step)):
            self._climb(points[start : start + step], clock)

    def _climb(self, points: FloatArray, clock: Clock) -> None:
        points = self.terms.climb(points, clock)
        values = self.terms.values(points)
        points, values = distinct(points, values, MOST_DIRECTIONS)
        if not len(points):
            return
        self.points.append(points[:1])
        self.lower = max(self.lower, float(values[0]))
        for point in clock.each(points[values > max(self.target, 0.5 * self.lower)]):
            polished = self.terms.polish(point)[None]
            self.points.append(polished)
            self.lower = max(self.lower, float(self.terms.values(polished)[0]))

    def found(self) -> tuple[FloatArray, FloatArray]:
        """The points with the largest values, best first; and the values."""
        if not self.points:
            return np.zeros((0, self.terms.a.shape[1])), np.zeros(0)
        points = np.concatenate(self.points)
        return distinct(points, self.terms.values(points), MOST_DIRECTIONS)
