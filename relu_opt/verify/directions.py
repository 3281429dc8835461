r"""Cones of directions that cover all of space, without a gap that rounding could leave.

A cone is the set of nonnegative combinations of r vectors, its corners. The first cones are those
of all signs. A cone is cut at a point of an edge near its middle, in eighths, which is *not* scaled
to norm 1, and so is not rounded: all corners have Σ_k |v_k| = 1, and entries that are multiples of
2⁻⁴⁸. For u = Σ_j θ_j v_j in a cone, Σ_j θ_j = Σ_k |u_k| ≤ √r ‖u‖.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

# Edges shorter than this end a search: there is more rounding in its bounds than is left to win.
SHORTEST = 1e-6
# All entries of corners are multiples of 1/GRID; a cut is at a multiple of 1/SHARES of an edge.
GRID, SHARES = 2.0**48, 8


def orthants(rank: int) -> FloatArray:
    """The cones of all signs, (2^rank, rank, rank), one row a corner."""
    signs = np.where(np.arange(2**rank)[:, None] >> np.arange(rank) & 1, -1.0, 1.0)
    return np.asarray(signs[:, :, None] * np.eye(rank))


def cut(cones: FloatArray) -> FloatArray | None:
    """Every cone in two across its longest edge; None if one is too short, or a ray."""
    one, two = np.triu_indices(cones.shape[1], 1)
    if not len(one):
        return None
    lengths = np.sqrt((cones * cones).sum(axis=2))
    units = cones / lengths[:, :, None]
    widest = ((units[:, one] - units[:, two]) ** 2).sum(axis=2).argmax(axis=1)
    every, one, two = np.arange(len(cones)), one[widest], two[widest]
    apart = np.abs(cones[every, one] - cones[every, two]).max(axis=1)
    share = lengths[every, two] / (lengths[every, one] + lengths[every, two])
    share = np.round(share * SHARES)[:, None] / SHARES
    middle = share * cones[every, one] + (1 - share) * cones[every, two]
    if apart.min() < SHORTEST or (middle * GRID % 1 != 0).any():
        return None
    halves = np.stack([cones, cones])
    halves[0, every, one] = middle
    halves[1, every, two] = middle
    return np.asarray(halves.reshape(-1, *cones.shape[1:]))
