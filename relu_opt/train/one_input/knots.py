"""Splines with knots at some of the positions, in the basis of hats: f = Φv, v its values there.

Every hat lives on two cells, so that the sums of a loss are gathered in O(n), and its curvature is
a tridiagonal matrix. Positions are in units of the range here, from 0 to 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import csc_array

from relu_opt.arrays import FloatArray, IntArray
from relu_opt.train.one_input.problem import SplineProblem, spline_cost


@dataclass(frozen=True, eq=False)
class Knots:
    """Which positions are knots.

    Parameters
    ----------
    problem : SplineProblem
        With at least two positions.
    chosen : (k,) array
        Numbers of positions, increasing; the first and the last are among them.
    """

    problem: SplineProblem
    chosen: IntArray

    @classmethod
    def of(cls, problem: SplineProblem, chosen: IntArray) -> Knots:
        """The chosen positions and the two ends."""
        return cls(problem, np.union1d(chosen, [0, len(problem.positions) - 1]).astype(np.intp))

    def __len__(self) -> int:
        return len(self.chosen)

    @cached_property
    def steps(self) -> FloatArray:
        """Distances of neighbouring knots, (k − 1,)."""
        return np.diff(self.problem.positions[self.chosen]) / self.problem.width

    @cached_property
    def cell(self) -> IntArray:
        """The cell of each position, (m,); a knot is in the cell to its right."""
        count = np.zeros(len(self.problem.positions), dtype=np.intp)
        count[self.chosen] = 1
        return np.minimum(np.cumsum(count) - 1, len(self) - 2)

    @cached_property
    def share(self) -> FloatArray:
        """How far each position is on its way through its cell, 0 to 1, (m,)."""
        positions = self.problem.positions
        starts = positions[self.chosen[self.cell]]
        return (positions - starts) / self.problem.width / self.steps[self.cell]

    def spread(self, values: FloatArray) -> FloatArray:
        """Φv, (m,)."""
        return values[self.cell] * (1 - self.share) + values[self.cell + 1] * self.share

    def gather(self, sums: FloatArray) -> FloatArray:
        """Φᵀ of sums at the positions, (k,)."""
        left = np.bincount(self.cell, sums * (1 - self.share), len(self))
        right = np.bincount(self.cell + 1, sums * self.share, len(self))
        return np.asarray(left + right, dtype=np.float64)

    def curvature(self, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The diagonal (k,) and the first off-diagonal (k − 1,) of Φᵀ diag(weights) Φ."""
        left, right = 1 - self.share, self.share
        diagonal = np.bincount(self.cell, weights * left**2, len(self)).astype(np.float64)
        diagonal += np.bincount(self.cell + 1, weights * right**2, len(self))
        off = np.bincount(self.cell, weights * left * right, len(self) - 1)
        return diagonal, off.astype(np.float64)

    # -- slopes ----------------------------------------------------------------

    def bends(self, values: FloatArray) -> FloatArray:
        """The changes of the slope at the inner knots, (k − 2,)."""
        return np.diff(np.diff(values) / self.steps)

    def cost(self, values: FloatArray) -> float:
        """cost(f), in units of the range."""
        return spline_cost(values, self.steps)

    @cached_property
    def slope_rows(self) -> csc_array:
        """The matrix of v ↦ slopes, (k − 1, k)."""
        cells = np.arange(len(self) - 1)
        entries = np.r_[-1 / self.steps, 1 / self.steps]
        at = (np.r_[cells, cells], np.r_[cells, cells + 1])
        return csc_array((entries, at), shape=(len(self) - 1, len(self)))
