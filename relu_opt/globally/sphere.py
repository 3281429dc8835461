r"""The oracle `sphere`: bounds on M(ν) by branch and bound over directions.

With f(u) = ±νᵀ(Xu)₊, the space is covered by simplicial cones u = Σ_j θ_j v_j, θ ≥ 0, with unit
vectors v_j. On such a cone a term (x_kᵀu)₊ with a positive weight is at most Σ_j θ_j (x_kᵀv_j)₊,
since it is convex, and −(x_kᵀu)₊ is at most −τ x_kᵀu for every τ in [0, 1]. So f(u) ≤ Σ_j θ_j F_j
for some F, and for every F' ≥ F

    max f over the cone and the ball  ≤  ‖V⁻¹F'‖,

with an error that falls with the square of the cone's width. A maximum lies where only rows of
negative weight change their sign. There f(u) ≤ (g₀ − Σ τ_k |ν_k| x_k)ᵀu without an error, and the
τ in [0, 1] with the shortest vector close the cone, as Moreau's multipliers do in one cell; the
vector also points to the maximum. (Degenerate data may have a convex kink there as well; both its
sides are then looked at.) Cones that stay open are cut in two across their longest edge.
The number of cones grows with the rank of X, hardly with n. (Derived here; the tests compare it
with all cells and with a grid.)
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from relu_opt.arrays import BoolArray, FloatArray
from relu_opt.globally.bounds import RowSpace, Separation, as_kinks, separation_of
from relu_opt.globally.cone_search import ConeSearch, searchable
from relu_opt.plugins.types import StopReason
from relu_opt.program.cones import least_squares

# Entries of a matrix of products that are held at a time.
CHUNK_ENTRIES = 2_000_000
# Convex kinks in a cone whose sides are looked at one by one, and how near to its goal, relative
# to it, the cone has to be.
MOST_KINKS, NEAR = 3, 1e-3
# Directions that one batch of cones may add.
BATCH_DIRECTIONS = 32


class SphereOracle:
    """Branch and bound for one data matrix.

    Parameters
    ----------
    X : (n, d) array
    """

    name = "sphere"

    def __init__(self, X: FloatArray) -> None:
        self.X = X
        self.space = searchable(RowSpace.of(X), "mip")

    def search(
        self, nu: FloatArray, target: float, rel: float, deadline: float | None
    ) -> Separation:
        """Bound M(ν); see `Oracle`."""
        if self.space.rank == 0:
            nowhere = np.zeros((0, self.X.shape[1]))
            upper = self.space.rounding(nu)
            said, stop = "X is zero", StopReason.CONVERGED
            return separation_of(self.name, self.X, nu, nowhere, upper, said, stop, 0)
        search = _Search(self.space, nu, target, rel)
        search.run(deadline)
        return separation_of(
            self.name,
            self.X,
            nu,
            self.space.outward(np.array([search.best, *search.points])),
            search.upper,
            f"branch and bound over {search.cones} cones of directions",
            search.stop,
            search.cones,
        )


class _Search(ConeSearch):
    """One search, and the points with large values."""

    def __init__(self, space: RowSpace, nu: FloatArray, target: float, rel: float) -> None:
        lines, weights, self.slope, error = as_kinks(space.rows, nu)
        self.terms = np.abs(weights)[:, None] * lines
        anything = np.linalg.norm(self.terms, axis=1).sum() + np.linalg.norm(self.slope)
        step = CHUNK_ENTRIES // (space.rank * max(1, len(self.terms)))
        super().__init__(space.rank, float(anything), step)
        self.positive: BoolArray = weights > 0
        self.rounding = space.rounding(nu) + error
        self.target = target
        self.rel = rel
        self.lower = 0.0
        self.best: FloatArray = np.zeros(self.rank)
        self.points: list[FloatArray] = []

    @property
    def goal(self) -> float:
        """Cones with a bound of at most this are closed."""
        # Below a few times the rounding of a bound no cut would help.
        known = self.lower * (1 + self.rel) + 4 * math.sqrt(self.rank) * self.rounding
        return max(self.target, known)

    def bounds_of(self, cones: FloatArray) -> FloatArray:
        """An upper bound of |f| on each cone; the best vertices are noted."""
        products = cones @ self.terms.T  # (m, r, n)
        low, high = products.min(axis=1), products.max(axis=1)
        above, crossing = low >= 0, (low < 0) & (high > 0)
        rising = np.maximum(products, 0.0)
        up, down = rising[:, :, self.positive].sum(axis=2), rising[:, :, ~self.positive].sum(axis=2)
        slope = cones @ self.slope
        self._note(cones.reshape(-1, self.rank), (up - down + slope).ravel())
        # τ of the rows: 1 where they are active, 0 where they are not, between where they cross.
        share = np.divide(high, high - low, out=np.zeros_like(high), where=crossing)
        share[above] = 1.0
        linear = share[:, None, :] * products
        ones = np.ones((len(cones), self.rank, 1))
        best = np.zeros(len(cones))
        for sign, convex, rise in ((1.0, self.positive, up), (-1.0, ~self.positive, down)):
            F = rise - linear[:, :, ~convex].sum(axis=2) + sign * slope
            solved = np.linalg.solve(cones, np.concatenate([F[:, :, None], ones], axis=2))
            bound = self._shortest(F, solved[:, :, 0], solved[:, :, 1])
            kinks = (crossing & convex).sum(axis=1)
            near = (kinks == 0) | ((kinks <= MOST_KINKS) & (bound <= self.goal * (1 + NEAR)))
            for k in np.flatnonzero(near & (bound > self.goal)):
                bound[k] = min(bound[k], self._moreau(sign, convex, above[k], crossing[k]))
            best = np.maximum(best, bound)
        return best

    def _shortest(self, F: FloatArray, g: FloatArray, level: FloatArray) -> FloatArray:
        """‖V⁻¹F'‖ with the best F' between F and its largest entry; g = V⁻¹F, level = V⁻¹1."""
        highest = F.max(axis=1)
        apart = highest[:, None] * level - g
        size = np.maximum((apart**2).sum(axis=1), np.finfo(np.float64).tiny)
        part = np.clip(-(g * apart).sum(axis=1) / size, 0.0, 1.0)
        bound = np.linalg.norm(g + part[:, None] * apart, axis=1)
        bound[highest <= 0] = 0.0
        return np.asarray(bound + self.rounding * np.linalg.norm(level, axis=1))

    def _moreau(
        self, sign: float, convex: BoolArray, above: BoolArray, crossing: BoolArray
    ) -> float:
        """The largest ‖g‖ over the sides of the convex kinks; where g points is noted.

        On one side, ±x_kᵀu ≥ 0 for these rows, and g is g₀ − Σ τ_k |ν_k| x_k ± Σ ρ_k x_k, as short
        as τ in [0, 1] and ρ ≥ 0 make it.
        """
        signs = np.where(self.positive, 1.0, -1.0)
        both = np.flatnonzero(crossing & convex)
        concave = self.terms[crossing & ~convex]
        most = np.concatenate([np.ones(len(concave)), np.full(len(both), np.inf)])
        largest = 0.0
        for sides in itertools.product((True, False), repeat=len(both)):
            active = above.copy()
            active[both] = sides
            g = sign * (signs[active] @ self.terms[active] + self.slope)
            outward = np.where(sides, -1.0, 1.0)[:, None] * self.terms[both]
            g = _shortened(g, np.concatenate([concave, outward]), most)
            size = float(np.linalg.norm(g))
            largest = max(largest, size)
            if size > self.lower:
                point = g / size
                heights = np.maximum(self.terms @ point, 0.0)
                self._note(point[None], np.array([heights @ signs + self.slope @ point]))
        return largest + self.rounding

    def _note(self, points: FloatArray, values: FloatArray) -> None:
        sizes = np.abs(values)
        few = min(BATCH_DIRECTIONS, len(sizes))
        best = np.argpartition(-sizes, few - 1)[:few]
        self.points.extend(points[best[sizes[best] > self.target]])
        first = int(np.argmax(sizes))
        if sizes[first] > self.lower:
            self.lower, self.best = float(sizes[first]), points[first]


def _shortened(g: FloatArray, normals: FloatArray, most: FloatArray) -> FloatArray:
    """g − Σ s_k normals_k, as short as can be with 0 ≤ s_k ≤ most_k (not always the shortest)."""
    while len(normals):
        share = least_squares(normals.T, g)
        whole = share >= most
        if not whole.any():
            return np.asarray(g - share @ normals)
        g, normals, most = g - most[whole] @ normals[whole], normals[~whole], most[~whole]
    return g
