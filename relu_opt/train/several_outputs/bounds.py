"""h(u) = Σ_i (x_iᵀu)₊ ω_i over distinct lines, what its norm is, and how to climb it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.clock import Clock
from relu_opt.program.lines import merge, units
from relu_opt.program.units import scaled
from relu_opt.rounding import charge, depth
from relu_opt.train.all_patterns.separation_bounds import SAME_LINE, RowSpace, Separation
from relu_opt.train.several_outputs.definite import row_sums

# Steps of a climb, and hyperplanes near a point whose intersections are tried.
CLIMB, NEAR = 30, 4
# Points that are handed on.
MOST_DIRECTIONS = 128


@dataclass(frozen=True, eq=False, repr=False)
class VectorSeparation(Separation):
    """Bounds on M(V) = max ‖Vᵀ(Xu)₊‖ over ‖u‖ ≤ 1, and directions with large values.

    The attributes are those of `Separation`: values are ‖Vᵀ(Xu)₊‖, and the oracle is "sphere",
    "flats" or "ascent". Rounding is in `lower` and `upper`, not in the values.
    """

    @property
    def proof(self) -> str:
        """What a certificate calls the reason of `upper`."""
        return "lifted" if self.oracle == "ascent" else "searched"

    def in_units(self, power: int) -> VectorSeparation:
        """The same for 2^power times the values."""
        lower, upper = scaled(self.lower, power), scaled(self.upper, power)
        return replace(self, lower=lower, upper=upper, values=scaled(self.values, power))


@dataclass(frozen=True, eq=False)
class Terms:
    """h(u) = Σ_k (a_kᵀu)₊ ŵ_k + B u in coordinates of the row space, no two a_k parallel.

    Attributes
    ----------
    a : (N, r) array
    w : (N, q) array
        Unit vectors, up to rounding.
    B : (q, r) array
        From rows that are opposite to others: (−aᵀu)₊ = (aᵀu)₊ − aᵀu.
    size : float
        At least Σ_k ‖a_k‖ + ‖B‖: no intermediate sum is larger.
    error : float
        At least the distance of these numbers' h from that of the data, at a unit vector.
    stretch : float
        What the norm of a direction may grow by when it is turned to these coordinates.
    """

    a: FloatArray
    w: FloatArray
    B: FloatArray
    size: float
    error: float
    stretch: float

    @classmethod
    def of(cls, space: RowSpace, weights: FloatArray) -> Terms:
        """Of the rows of a space and the ω_i, (rows, q)."""
        rows, (n, q), r = space.rows, weights.shape, space.rank
        careful = 1 + charge(n + r + q + 8)
        sizes, strengths = np.linalg.norm(rows, axis=1), np.linalg.norm(weights, axis=1)
        total = float(sizes @ strengths) * careful
        error = float(space.rest @ strengths) * careful
        on = (sizes > 0) & (strengths > 0)
        if not on.any():
            nothing = np.zeros((q, r))
            return cls(nothing[:0], np.zeros((0, q)), nothing, total, error, space.stretch)
        directions, heavy = units(rows[on]), weights[on] * sizes[on, None]
        lines, which, back = merge(directions, SAME_LINE)
        turned = np.where(back, -1.0, 1.0)[:, None] * directions
        error += careful * float(
            np.linalg.norm(heavy, axis=1) @ np.linalg.norm(turned - lines[which], axis=1)
        )
        summed = np.zeros((len(lines), q))
        np.add.at(summed, which, heavy)
        B = -row_sums(heavy[back], lines[which[back]])
        lengths = np.linalg.norm(summed, axis=1)
        kept = lengths > 0
        # Rows of one line are summed one after another; scaling takes a few roundings more.
        most = int(np.bincount(which).max())
        error += charge(most + depth(n) + 2 * (r + q) + 24) * total
        return cls(
            lines[kept] * lengths[kept, None],
            summed[kept] / lengths[kept, None],
            B,
            (total + float(np.linalg.norm(B))) * careful,
            error,
            space.stretch,
        )

    def everywhere(self, bound: float) -> float:
        """What ‖h‖ does not exceed for the data, if it is `bound` on the unit ball for these."""
        return (bound * self.stretch + self.error) * (1 + charge(3))

    def surely(self, value: float) -> float:
        """What the data's M is not below, if a direction has this value here."""
        r, q = self.a.shape[1], self.w.shape[1]
        lost = self.error + charge(len(self.a) + 2 * r + q + 16) * self.size
        return max(0.0, value - lost * self.stretch * (1 + charge(3)))

    def values(self, points: FloatArray) -> FloatArray:
        """‖h(u)‖ of each row u, (k,)."""
        heights = np.maximum(points @ self.a.T, 0.0) @ self.w + points @ self.B.T
        return np.asarray(np.linalg.norm(heights, axis=1))

    def slope(self, point: FloatArray) -> FloatArray:
        """A with h = A u in the point's cell, (q, r)."""
        active = self.a @ point > 0
        return np.asarray(self.w[active].T @ self.a[active] + self.B)

    def climb(self, points: FloatArray, clock: Clock) -> FloatArray:
        """Unit vectors uphill of each point, (k, r), none with a smaller value, in the time."""
        best, values = points.copy(), self.values(points)
        points = best
        for _ in range(CLIMB):
            # Within a cell ‖h‖ is convex, and u ← AᵀAu/‖AᵀAu‖ ascends.
            products = points @ self.a.T
            heights = np.maximum(products, 0.0) @ self.w + points @ self.B.T
            steps = (np.where(products > 0, heights @ self.w.T, 0.0)) @ self.a + heights @ self.B
            norms = np.linalg.norm(steps, axis=1, keepdims=True)
            points = np.where(norms > 0, steps / np.where(norms > 0, norms, 1.0), points)
            reached = self.values(points)
            gained = reached > values * (1 + 1e-12)
            best[gained], values = points[gained], np.maximum(values, reached)
            if not gained.any() or clock.expired:
                break
        return best

    def polish(self, point: FloatArray) -> FloatArray:
        """The best unit vector on the flats near a point: a top eigenvector of one of them.

        A maximum is the top eigenvector of AᵀA restricted to the hyperplanes that it lies on.
        """
        r = len(point)
        lengths = np.linalg.norm(self.a, axis=1)
        near = np.argsort(np.abs(self.a @ point) / lengths)[:NEAR]
        best, value = point, float(self.values(point[None])[0])
        for count in range(min(r, len(near) + 1)):
            for rows in itertools.combinations(near, count):
                Q = null_basis(self.a[list(rows)] / lengths[list(rows), None], r)
                flat = Q @ (Q.T @ best)
                size = float(np.linalg.norm(flat))
                if size == 0.0:
                    continue
                # The hyperplanes themselves contribute nothing on the flat.
                active = self.a @ flat > 0
                active[list(rows)] = False
                A = (self.w[active].T @ self.a[active] + self.B) @ Q
                top = Q @ np.linalg.svd(A)[2][0]
                top *= np.sign(top @ flat) or 1.0
                found = float(self.values(top[None])[0])
                if found > value:
                    best, value = top, found
        return best


def null_basis(rows: FloatArray, r: int) -> FloatArray:
    """An orthonormal basis of {u : rows u = 0}, (r, r − rank)."""
    if not len(rows):
        return np.eye(r)
    _, sizes, axes = np.linalg.svd(rows)
    return np.asarray(axes[int((sizes > 1e-10 * sizes[0]).sum()) :].T)


def distinct(points: FloatArray, values: FloatArray, most: int) -> tuple[FloatArray, FloatArray]:
    """The `most` points with the largest values > 0, no two nearly one."""
    chosen: list[int] = []
    for k in np.argsort(-values, kind="stable"):
        if values[k] <= 0 or len(chosen) == most:
            break
        if not chosen or (points[chosen] @ points[k]).max() < 1 - 1e-12:
            chosen.append(int(k))
    return points[chosen], values[chosen]
