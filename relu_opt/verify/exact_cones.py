r"""Cones of directions in integers, and how a search cuts them, for the exact re-checks.

A cone is the set of nonnegative combinations of r integer vectors, its corners. Cutting it at a sum
of two corners leaves no gap. What is searched is h(u) = g(u) + Σ_i (a_iᵀu)₊ ω_i, g linear: the rows
that have one sign on a cone are part of its g, and the sum is over those that change sign.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from relu_opt.verify.exact_integers import integers, primitive, root_above, rounded

Vector = list[int]

# Cones that a search looks at, and the rank beyond which there are too many.
MOST_CONES, MOST_RANK = 100_000, 8
# Binary digits of a corner, about one for each cut. Guesses have fewer: a cone that they do not
# settle by then touches the level.
MOST_DIGITS = 128


@dataclass(frozen=True)
class Corner:
    """A direction v, and a_iᵀv for the rows that change sign within the cone."""

    v: Vector
    heights: Vector


@dataclass(frozen=True)
class Cone:
    """Corners; the numbers of the rows that change sign; and g, a vector for each output."""

    corners: list[Corner]
    across: list[int]
    g: list[Vector]

    def columns(self) -> list[tuple[int, ...]]:
        """The heights at the corners, for each row that changes sign."""
        return list(zip(*(corner.heights for corner in self.corners), strict=True))


def search(
    a: list[Vector],
    omega: list[Vector],
    g: list[Vector],
    exceeds: Callable[[Cone], bool],
    settled: Callable[[Cone], bool],
) -> str:
    """Why it is not shown that h is small everywhere; empty if it is.

    Parameters
    ----------
    a, omega : lists of vectors
        The rows, and what each adds to the outputs.
    g : list of vectors
        The linear part of h, a vector for each output.
    exceeds : callable
        Whether h is too large at a corner of a cone.
    settled : callable
        Whether h is shown to be small on a whole cone.
    """
    r, left = len(g[0]), list[Cone]()
    for signs in itertools.product((1, -1), repeat=r):
        axes = [[sign * (i == j) for j in range(r)] for i, sign in enumerate(signs)]
        corners = [Corner(v, [dot(row, v) for row in a]) for v in axes]
        left.append(Cone(corners, list(range(len(a))), g))
    for _ in range(MOST_CONES):
        if not left:
            return ""
        cone = _refined(left.pop(), a, omega)
        if exceeds(cone):
            return "a direction exceeds lam"
        if settled(cone):
            continue
        if max(size(corner.v) for corner in cone.corners) > MOST_DIGITS:
            return "a direction reaches lam, or cannot be told from one that does"
        left += _halves(cone)
    return "an exact search of the directions is too long"


def _refined(cone: Cone, a: list[Vector], omega: list[Vector]) -> Cone:
    """The same cone, with the rows of one sign out of the sum."""
    g, kept = [list(part) for part in cone.g], []
    for place, column in enumerate(cone.columns()):
        k = cone.across[place]
        if min(column) < 0 < max(column):
            kept.append(place)
        elif max(column) > 0:
            for part, weight in zip(g, omega[k], strict=True):
                part[:] = [value + weight * entry for value, entry in zip(part, a[k], strict=True)]
    corners = [Corner(c.v, [c.heights[place] for place in kept]) for c in cone.corners]
    return Cone(corners, [cone.across[place] for place in kept], g)


def _halves(cone: Cone) -> list[Cone]:
    """A cone in two, at a sum of the two corners that are farthest apart; a ray has no halves."""
    if len(cone.corners) == 1:
        return []
    V = np.array([floats(corner.v, size(corner.v)) for corner in cone.corners])
    V /= np.linalg.norm(V, axis=1)[:, None]
    i, j = np.unravel_index(int(np.argmin(V @ V.T)), (len(V), len(V)))
    one, two = cone.corners[i], cone.corners[j]
    p, q = size(one.v), size(two.v)
    powers = 1 << max(p, q) - p, 1 << max(p, q) - q  # both as long, up to a factor of two
    middle = Corner(_combined(one.v, two.v, *powers), _combined(one.heights, two.heights, *powers))
    halves = []
    for place in (i, j):
        corners = list(cone.corners)
        corners[place] = middle
        halves.append(Cone(corners, cone.across, cone.g))
    return halves


def _combined(one: Vector, two: Vector, p: int, q: int) -> Vector:
    return [p * a + q * b for a, b in zip(one, two, strict=True)]


def turned(rows: list[Vector]) -> tuple[list[Vector], int, Fraction, list[Fraction]]:
    """The rows in as few dimensions as there seem to be.

    x_k = Q z_k + R_k for any Q and z_k, so that x_kᵀu is z_kᵀ(Qᵀu) but for ‖R_k‖‖u‖.

    Returns
    -------
    rows : list
        z_k 2^shift.
    shift : int
    size : Fraction
        A bound on ‖Qᵀu‖ for ‖u‖ ≤ 1.
    missed : list of Fraction
        Bounds on ‖R_k‖.
    """
    most = max((abs(value) for row in rows for value in row), default=0) or 1
    floats = np.array([[value / most for value in row] for row in rows])
    _, sizes, axes = np.linalg.svd(floats, full_matrices=False)
    kept = sizes > 4 * max(floats.shape) * np.finfo(np.float64).eps * sizes[0]
    if kept.all() and len(sizes) == len(rows[0]):
        return rows, 0, Fraction(1), [Fraction(0)] * len(rows)
    Q = integers(axes[kept]).values
    shift, d = integers(axes[kept]).shift, len(rows[0])
    columns = [Q[k : k + d] for k in range(0, len(Q), d)]
    turned = [[dot(row, column) for column in columns] for row in rows]
    one = 1 << 2 * shift
    gram = max((sum(abs(dot(a, b)) for b in columns) for a in columns), default=0)
    missed = []
    for row, z in zip(rows, turned, strict=True):
        rest = [
            (v << 2 * shift) - dot(z, q)
            for v, q in zip(row, zip(*columns, strict=True), strict=True)
        ]
        missed.append(root_above(Fraction(dot(rest, rest), one**2)))
    return turned, shift, root_above(Fraction(gram, one)), missed


def merged(
    rows: list[Vector], omega: list[Vector]
) -> tuple[list[Vector], list[Vector], list[Vector]]:
    """Σ_i (x_iᵀu)₊ ω_i with one term a line, (−zᵀu)₊ = (zᵀu)₊ − zᵀu; what is linear comes last."""
    found: dict[tuple[int, ...], Vector] = {}
    g = [[0] * len(rows[0]) for _ in omega[0]]
    for row, weights in zip(rows, omega, strict=True):
        if not any(row):
            continue
        line = primitive(row)
        times = max(map(abs, row)) // max(map(abs, line))
        if next(filter(None, line)) < 0:
            line = tuple(-entry for entry in line)
            for part, weight in zip(g, weights, strict=True):
                part[:] = [value + weight * entry for value, entry in zip(part, row, strict=True)]
        before = found.get(line, [0] * len(weights))
        found[line] = [value + times * more for value, more in zip(before, weights, strict=True)]
    lines = {line: weights for line, weights in found.items() if any(weights)}
    return [list(line) for line in lines], list(lines.values()), g


def dot(a: Iterable[int], b: Iterable[int]) -> int:
    return sum(map(operator.mul, a, b))


def size(vector: Vector) -> int:
    """The binary digits of the largest entry."""
    return max(map(abs, vector)).bit_length()


def floats(vector: Vector, digits: int) -> list[float]:
    """The entries over 2^digits; ±inf where no double is as large."""
    return [rounded(entry, digits) for entry in vector]
