r"""The oracle `sphere`: bounds on M(ν) by branch and bound over directions.

With f(u) = ±νᵀ(Xu)₊, the space is covered by simplicial cones u = Σ_j θ_j v_j, θ ≥ 0, with
corners v_j. On such a cone a term (x_kᵀu)₊ with a positive weight is at most Σ_j θ_j (x_kᵀv_j)₊,
since it is convex, and −(x_kᵀu)₊ is at most −τ x_kᵀu for every τ in [0, 1]. So f(u) ≤ Σ_j θ_j F_j
for some F, and for every g and ‖u‖ ≤ 1

    f(u)  ≤  gᵀu + Σ_j θ_j max_i (F_i − v_iᵀg)₊  ≤  ‖g‖ + √r max_i (F_i − v_iᵀg)₊,

with an error that falls with the square of the cone's width if g is near V⁻¹F; no inverse has to be
trusted. What rounding may take from F is added to it. A maximum lies where only rows of
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
from relu_opt.clock import Clock
from relu_opt.plugins.types import StopReason
from relu_opt.program.cones import least_squares
from relu_opt.rounding import above, chunk_rows, depth, gamma
from relu_opt.train.all_patterns.cone_search import GAP, ConeSearch, searchable
from relu_opt.train.all_patterns.separation_bounds import Kinks, RowSpace, Separation, separation_of

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
        self.space: RowSpace = searchable(RowSpace.of(X), "mip")

    def search(self, nu: FloatArray, target: float, rel: float, clock: Clock) -> Separation:
        """Bound M(ν); see `Oracle`."""
        if self.space.rank == 0:
            nowhere = np.zeros((0, self.X.shape[1]))
            upper = self.space.whole(0.0, nu)
            said, stop = "X is zero", StopReason.CONVERGED
            return separation_of(self.name, self.X, nu, nowhere, upper, said, stop, 0)
        search = _Search(self.space, nu, target, rel)
        search.run(clock)
        return separation_of(
            self.name,
            self.X,
            nu,
            self.space.outward(np.array([search.best, *search.points])),
            self.space.whole(search.everywhere, nu),
            f"branch and bound over {search.cones} cones of directions",
            search.stop,
            search.cones,
        )


class _Search(ConeSearch):
    """One search, and the points with large values."""

    def __init__(self, space: RowSpace, nu: FloatArray, target: float, rel: float) -> None:
        self.kinks = Kinks.of(space.rows, nu)
        self.slope, weights = self.kinks.slope, self.kinks.weights
        self.terms = np.abs(weights)[:, None] * self.kinks.lines
        step = CHUNK_ENTRIES // (space.rank * max(1, len(self.terms)))
        super().__init__(space.rank, self.kinks.size, step)
        self.positive: BoolArray = weights > 0
        self.rounding = self.kinks.rounding
        self.target = target
        self.rel = rel
        self.lower = 0.0
        self.best: FloatArray = np.zeros(self.rank)
        self.points: list[FloatArray] = []

    @property
    def everywhere(self) -> float:
        """What |νᵀ(rows w)₊| does not exceed, between the cones and for merged rows too."""
        return above(self.upper * (1 + GAP) + GAP * self.kinks.size + self.kinks.error, 4)

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
        up, down = _sums(rising, self.positive), _sums(rising, ~self.positive)
        slope, norms = cones @ self.slope, np.linalg.norm(cones, axis=2)
        points = (cones / norms[:, :, None]).reshape(-1, self.rank)
        self._note(points, ((up - down + slope) / norms).ravel())
        # τ of the rows: 1 where they are active, 0 where they are not, between where they cross.
        share = np.divide(high, high - low, out=np.zeros_like(high), where=crossing)
        share[above] = 1.0
        linear = np.clip(share, 0.0, 1.0)[:, None, :] * products
        best = np.zeros(len(cones))
        for sign, convex, rise in ((1.0, self.positive, up), (-1.0, ~self.positive, down)):
            F = rise - _sums(linear, ~convex) + sign * slope + self.rounding
            bound = self._shortest(cones, F, norms)
            kinks = (crossing & convex).sum(axis=1)
            near = (kinks == 0) | ((kinks <= MOST_KINKS) & (bound <= self.goal * (1 + NEAR)))
            for k in np.flatnonzero(near & (bound > self.goal)):
                bound[k] = min(bound[k], self._moreau(sign, convex, above[k], crossing[k]))
            best = np.maximum(best, bound)
        return best

    def _shortest(self, cones: FloatArray, F: FloatArray, norms: FloatArray) -> FloatArray:
        """What a g of small norm shows, between V⁻¹F and that of an F' that suits all corners."""
        highest = (F / norms).max(axis=1)
        solved = np.linalg.solve(cones, np.stack([F, norms], axis=2))
        g, level = solved[:, :, 0], solved[:, :, 1]
        apart = highest[:, None] * level - g
        size = np.maximum((apart**2).sum(axis=1), np.finfo(np.float64).tiny)
        part = np.clip(-(g * apart).sum(axis=1) / size, 0.0, 1.0)
        g = np.where(highest[:, None] > 0, g + part[:, None] * apart, 0.0)
        bound = np.linalg.norm(g, axis=1) * (1 + gamma(self.rank + 4))
        missed = (F - (cones @ g[:, :, None])[:, :, 0]).max(axis=1)
        missed = np.maximum(missed + gamma(self.rank + 4) * bound, 0.0)
        return np.asarray(bound * (1 + gamma(4)) + math.sqrt(self.rank) * missed * (1 + 2.0**-40))

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
            terms = np.vstack([sign * self.slope, sign * signs[active, None] * self.terms[active]])
            outward = np.where(sides, -1.0, 1.0)[:, None] * self.terms[both]
            normals = np.concatenate([concave, outward])
            shares = _shares(terms.sum(axis=0), normals, most)
            g = _total(np.vstack([terms, -shares[:, None] * normals]))
            size = float(np.linalg.norm(g))
            # Rows that are active up to rounding; and the multipliers of the kinks.
            pushed = shares[len(concave) :] @ np.linalg.norm(outward, axis=1)
            wrong = (1 + math.sqrt(self.rank)) * self.rounding
            wrong += 2 * gamma(depth(len(terms)) + self.rank + 12) * float(pushed)
            largest = max(largest, (size + wrong) * (1 + gamma(self.rank + 8)))
            if size > self.lower:
                point = g / size
                heights = np.maximum(self.terms @ point, 0.0)
                self._note(point[None], np.array([heights @ signs + self.slope @ point]))
        return largest

    def _note(self, points: FloatArray, values: FloatArray) -> None:
        sizes = np.abs(values)
        few = min(BATCH_DIRECTIONS, len(sizes))
        best = np.argpartition(-sizes, few - 1)[:few]
        self.points.extend(points[best[sizes[best] > self.target]])
        first = int(np.argmax(sizes))
        if sizes[first] > self.lower:
            self.lower, self.best = float(sizes[first]), points[first]


def _sums(terms: FloatArray, which: BoolArray) -> FloatArray:
    """Sums of some of the terms along the last axis, chunk by chunk."""
    chosen = which.astype(np.float64)
    step, found = chunk_rows(len(which)), np.zeros(terms.shape[:-1])
    for start in range(0, len(which), step):
        found += terms[..., start : start + step] @ chosen[start : start + step]
    return found


def _total(terms: FloatArray) -> FloatArray:
    """The sum of rows, chunk by chunk."""
    starts = np.arange(0, len(terms), chunk_rows(len(terms)))
    return np.asarray(np.add.reduceat(terms, starts, axis=0).sum(axis=0))


def _shares(g: FloatArray, normals: FloatArray, most: FloatArray) -> FloatArray:
    """s, 0 ≤ s_k ≤ most_k, that make g − Σ s_k normals_k short (not always the shortest)."""
    shares, left = np.where(np.isfinite(most), most, 0.0), np.arange(len(normals))
    while len(left):
        found = least_squares(normals[left].T, g)
        whole = found >= most[left]
        if not whole.any():
            shares[left] = np.maximum(found, 0.0)
            break
        g = g - most[left[whole]] @ normals[left[whole]]
        left = left[~whole]
    return shares
