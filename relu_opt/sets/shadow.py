"""What is seen of a polytope in two of its coordinates: a polygon, exact, by linear programs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from relu_opt.arrays import BoolArray, FloatArray
from relu_opt.errors import DataError
from relu_opt.sets.polytope import Polytope, null_space

# A corner is one if it stands out by more than this, in units of the sum of sizes.
FLAT = 1e-7


@dataclass(frozen=True, eq=False)
class Shadow:
    """The sizes that two neurons may have together.

    Attributes
    ----------
    neurons : (int, int)
        Which two.
    corners : (m, 2) array
        The corners of the polygon of their sizes α, counterclockwise; two for a segment, one for
        a point.
    """

    neurons: tuple[int, int]
    corners: FloatArray


def shadow(polytope: Polytope, first: int, second: int) -> FloatArray:
    """The corners of the projection onto two coordinates, counterclockwise, (m, 2).

    From an edge whose outer side may hold more, a linear program along its normal finds the next
    corner or proves that there is none.
    """
    chosen = [first, second]

    def touch(direction: FloatArray) -> FloatArray:
        cost = np.zeros(len(polytope.bounded))
        cost[chosen] = -direction
        return polytope.minimise(cost)[0][chosen]

    def beyond(start: FloatArray, end: FloatArray) -> list[FloatArray]:
        along = end - start
        length = float(np.hypot(*along))
        if length <= FLAT:
            return []
        normal = np.array([along[1], -along[0]]) / length
        corner = touch(normal)
        if (corner - start) @ normal <= FLAT:
            return []
        return [*beyond(start, corner), corner, *beyond(corner, end)]

    axis = np.array([1.0, 0.0])
    right, left = touch(axis), touch(-axis)
    if right[0] - left[0] <= FLAT:
        axis = np.array([0.0, 1.0])
        right, left = touch(axis), touch(-axis)
    if np.abs(right - left).max() <= FLAT:
        return right[None, :]
    return np.array([right, *beyond(right, left), left, *beyond(left, right)])


def widest_pair(polytope: Polytope, inner: BoolArray) -> tuple[int, int]:
    """Two sizes that show most of the polytope: the one that moves most, and the next beside it.

    Parameters
    ----------
    polytope : Polytope
    inner : (q,) array of bool
        The entries that are positive somewhere.

    Raises
    ------
    DataError
        If fewer than two neurons can be on.
    """
    on = np.flatnonzero(inner[: polytope.sizes])
    if len(on) < 2:
        raise DataError(
            f"{len(on)} neurons can be on, and two are needed to draw one size against another."
        )
    turns = null_space(polytope.M[:, inner])
    basis = np.zeros((len(inner), turns.shape[1]))
    basis[inner] = turns
    rows = basis[on]
    first = int(np.linalg.norm(rows, axis=1).argmax())
    unit = rows[first] / max(float(np.linalg.norm(rows[first])), np.finfo(float).tiny)
    # How far each moves on its own; where nothing does, how far it moves at all.
    own = np.linalg.norm(rows - np.outer(rows @ unit, unit), axis=1)
    if own.max(initial=0.0) <= FLAT:
        own = np.linalg.norm(rows, axis=1)
    own[first] = -1.0
    return int(on[first]), int(on[own.argmax()])
