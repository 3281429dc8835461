r"""All vertices of a polytope {x : Mx = b, x_j ≥ 0}, by walking from basis to basis.

The bounds are first moved out by tiny, different amounts, x_j ≥ −ε_j: every vertex is then one
basis, its neighbours are one pivot away, and the graph of bases is connected. Near every vertex of
the polytope itself is at least one of those (a basis is kept if its point is in the polytope).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from relu_opt.arrays import BoolArray, FloatArray, IntArray
from relu_opt.errors import NotCertified
from relu_opt.progress.bar import Announcer
from relu_opt.sets.polytope import ZERO, Polytope

# How far bounds move, in units of the sum of sizes, and how small a pivot may be.
SHIFT = 1e-6
PIVOT = 1e-9


@dataclass(frozen=True)
class Walk:
    """The vertices found, (m, q), and whether they are all."""

    vertices: FloatArray
    complete: bool


def walk_vertices(polytope: Polytope, limit: int, seed: int = 0) -> Walk:
    """Walk over the bases until all are seen, or more than `limit` vertices are found.

    M has full row rank and every bounded entry is positive somewhere in the polytope. At most
    20 · `limit` bases are looked at.
    """
    M, bounded = polytope.M, polytope.bounded
    shift = np.where(bounded, SHIFT * (1 + np.random.default_rng(seed).random(len(bounded))), 0.0)
    moved = replace(polytope, b=polytope.b + M @ shift, start=polytope.start + shift, _last=None)
    first = _first_basis(moved, seed)
    queue, seen = [first], {tuple(first)}
    found: dict[bytes, FloatArray] = {}
    tell = Announcer("vertices")
    while queue and len(found) <= limit and len(seen) <= 20 * limit:
        tell(len(seen), f"{len(found)} vertices")
        basis = queue.pop()
        inverse = np.linalg.inv(M[:, basis]).astype(np.float64, copy=False)
        point = np.zeros(len(bounded))
        point[basis] = inverse @ polytope.b
        if (point[bounded] >= -ZERO).all():
            point = np.where(bounded & (np.abs(point) <= ZERO), 0.0, point)
            found.setdefault(np.round(point / ZERO / 10).astype(np.int64).tobytes(), point)
        for neighbour in _neighbours(M, bounded, basis, inverse, inverse @ moved.b):
            if tuple(neighbour) not in seen:
                seen.add(tuple(neighbour))
                queue.append(neighbour)
    vertices = np.array(list(found.values())).reshape(len(found), len(bounded))
    return Walk(vertices[:limit], not queue and len(vertices) <= limit)


def _first_basis(moved: Polytope, seed: int) -> IntArray:
    """A feasible basis of the moved polytope: the support of one of its vertices."""
    cost = np.random.default_rng(seed).random(len(moved.bounded)) + 0.5
    vertex, _ = moved.minimise(np.where(moved.bounded, cost, 0.0))
    basis = np.flatnonzero((vertex > 0) | ~moved.bounded)
    if len(basis) != len(moved.b):
        raise NotCertified(
            f"A vertex has {len(basis)} entries that are not zero, and {len(moved.b)} are "
            "expected: the sizes of its neurons are too small to tell from zero. Use a larger lam.",
            entries=len(basis),
        )
    return basis


def _neighbours(
    M: FloatArray, bounded: BoolArray, basis: IntArray, inverse: FloatArray, values: FloatArray
) -> list[IntArray]:
    """The feasible bases that differ in one column."""
    outside = np.setdiff1d(np.arange(len(bounded)), basis)
    columns = inverse @ M[:, outside]
    limited = bounded[basis]
    result = []
    for k, entering in enumerate(outside):
        falls = limited & (columns[:, k] > PIVOT)
        if falls.any():
            ratios = np.where(falls, values / np.where(falls, columns[:, k], 1.0), np.inf)
            leaving = int(ratios.argmin())
            result.append(np.sort(np.append(np.delete(basis, leaving), entering)))
    return result
