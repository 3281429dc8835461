r"""Whether |νᵀ(Xu)₊| ≤ level for every ‖u‖ ≤ 1, in exact arithmetic, by a search of its own.

A cone of directions is the set of nonnegative combinations of r integer vectors v_j. On it
h(u) = gᵀu + Σ_k c_k (a_kᵀu)₊ with a sum over the rows that change sign there, and h(u) ≤ zᵀu if

* zᵀv_j ≥ h_j for all j, h_j = gᵀv_j + Σ_{c>0} c_k (a_kᵀv_j)₊ + Σ_{c<0} τ_k c_k a_kᵀv_j; or
* z = g + Σ_{c>0} ([c_k a_k] ± ρ_k a_k) + Σ_{c<0} τ_k c_k a_k for each way of taking sides of the
  rows with c > 0: with c_k a_k where a_kᵀu ≥ 0, and ±ρ_k a_k where ±a_kᵀu ≥ 0;

with any 0 ≤ τ_k ≤ 1 and ρ_k ≥ 0. A cone is settled by a z with ‖z‖ ≤ level; others are cut in two,
at a sum of two of their corners. z, τ and ρ are guessed in floating point and checked in integers.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from relu_opt.verify.exact_cones import (
    MOST_RANK,
    Cone,
    Vector,
    dot,
    floats,
    merged,
    search,
    size,
    turned,
)
from relu_opt.verify.exact_integers import Integers
from relu_opt.verify.least_squares import nonnegative

# Rows with c > 0 whose sides are taken one by one.
MOST_KINKS = 2
# Binary digits of a guess, and by how much it is raised, relative to the level, so that it holds.
GUESS, RAISE = 60, 2.0**-44
# What is this many times the level is not settled by any guess.
FAR = 2.0**400


def reach(x: Integers, nu: Integers, level: Fraction) -> tuple[Fraction, str]:
    """A bound on |νᵀ(Xu)₊| for all ‖u‖ ≤ 1, hardly above `level`; or why none is known.

    Parameters
    ----------
    x, nu : Integers
        X, row by row, and ν.
    level : Fraction
    """
    rows = x.rows(len(x.values) // len(nu.values))
    z, shift, longer, missed = turned(rows)
    if not z[0]:
        return Fraction(0), ""
    if len(z[0]) > MOST_RANK:
        return level, f"an exact search of directions in {len(z[0])} dimensions is too long"
    unit = 1 << x.shift + nu.shift
    limit = math.floor((level * (unit << shift)) ** 2)
    for sign in (1, -1):
        a, weights, (b,) = merged(z, [[sign * v] for v in nu.values])
        problem = _Side(a, [c for (c,) in weights], b, limit).search()
        if problem:
            return level, problem
    error = sum((abs(v) * miss for v, miss in zip(nu.values, missed, strict=True)), Fraction(0))
    return level * longer + error / unit, ""


@dataclass(frozen=True)
class _Side:
    """h(u) = Σ c_k (a_kᵀu)₊ + bᵀu, and `limit`, which squares of norms are compared with."""

    a: list[Vector]
    c: list[int]
    b: Vector
    limit: int

    def search(self) -> str:
        """Why h(u) ≤ level ‖u‖ may not hold; empty if it does."""
        return search(self.a, [[c] for c in self.c], [self.b], self._exceeds, self._settled)

    def _exceeds(self, cone: Cone) -> bool:
        for corner in cone.corners:
            kinks = zip(cone.across, corner.heights, strict=True)
            value = dot(cone.g[0], corner.v)
            value += sum(self.c[k] * max(0, height) for k, height in kinks)
            if value > 0 and value**2 > self.limit * dot(corner.v, corner.v):
                return True
        return False

    def _settled(self, cone: Cone) -> bool:
        """Whether a z is found that shows h ≤ level on the cone."""
        kinks = [k for k in cone.across if self.c[k] > 0]
        if len(kinks) <= MOST_KINKS and self._settled_by_sides(cone, kinks):
            return True
        return self._settled_by_corners(cone)

    def _settled_by_sides(self, cone: Cone, kinks: list[int]) -> bool:
        falling = [self._pull(k) for k in cone.across if self.c[k] < 0]
        for sides in itertools.product((1, -1), repeat=len(kinks)):
            z, rising = list(cone.g[0]), []
            for k, side in zip(kinks, sides, strict=True):
                pull = self._pull(k)
                rising.append([side * entry for entry in pull])
                if side > 0:
                    z = [value + entry for value, entry in zip(z, pull, strict=True)]
            z = [value << GUESS for value in z]
            for pull, share in self._shares(z, falling, rising):
                z = [value + share * entry for value, entry in zip(z, pull, strict=True)]
            if dot(z, z) > self.limit << 2 * GUESS:
                return False
        return True

    def _pull(self, k: int) -> Vector:
        return [self.c[k] * entry for entry in self.a[k]]

    def _shares(
        self, z: Vector, falling: list[Vector], rising: list[Vector]
    ) -> list[tuple[Vector, int]]:
        """What to add of each pull, in 2^-GUESS, for a short z: at most all of those that fall."""
        pulls, found = [*falling, *rising], list[tuple[Vector, int]]()
        most = [1.0] * len(falling) + [math.inf] * len(rising)
        target = -np.array(floats(z, self._digits + GUESS))
        while pulls:
            columns = np.array([floats(pull, self._digits) for pull in pulls]).T
            if max(np.abs(columns).max(), np.abs(target).max()) > FAR:
                break
            shares = nonnegative(columns, target)
            full = [share >= limit for share, limit in zip(shares, most, strict=True)]
            done = full if any(full) else [True] * len(pulls)
            for k in itertools.compress(range(len(pulls)), done):
                found.append((pulls[k], round(min(shares[k], most[k]) * 2.0**GUESS)))
                target = target - min(shares[k], most[k]) * columns[:, k]
            rest = [not each for each in done]
            pulls, most = (
                list(itertools.compress(pulls, rest)),
                list(itertools.compress(most, rest)),
            )
        return found

    def _settled_by_corners(self, cone: Cone) -> bool:
        values = [dot(cone.g[0], corner.v) << GUESS for corner in cone.corners]
        for k, column in zip(cone.across, cone.columns(), strict=True):
            top = max(column)
            slope = (top << GUESS) // (top - min(column))
            for j, height in enumerate(column):
                rise = max(0, height) << GUESS if self.c[k] > 0 else slope * height
                values[j] += self.c[k] * rise
        if max(values) <= 0:
            return True
        z = self._guess([corner.v for corner in cone.corners], values)
        return (
            z is not None
            and all(
                dot(z, corner.v) << self._digits >= value
                for corner, value in zip(cone.corners, values, strict=True)
            )
            and dot(z, z) << 2 * self._digits <= self.limit << 2 * GUESS
        )

    def _guess(self, corners: list[Vector], values: list[int]) -> Vector | None:
        """A short z with zᵀv_j ≥ h_j, in 2^(digits − GUESS)."""
        V = np.array([floats(v, size(v)) for v in corners])
        h = np.array(
            [
                floats([f], self._digits + GUESS + size(v))[0]
                for f, v in zip(values, corners, strict=True)
            ]
        )
        if np.abs(h).max() > FAR:
            return None
        lengths = np.linalg.norm(V, axis=1)
        try:
            inverse = np.linalg.inv(V / lengths[:, None])
        except np.linalg.LinAlgError:
            return None
        h = h / lengths + RAISE
        shares = np.array([0.0, 0.25, 0.5, 0.75, 1.0])[:, None]
        found = ((1 - shares) * h + shares * h.max()) @ inverse.T
        best = found[np.argmin(np.linalg.norm(found, axis=1))]
        return [round(entry * 2.0**GUESS) for entry in best.tolist()]

    @property
    def _digits(self) -> int:
        """The level's binary digits."""
        return self.limit.bit_length() // 2
